"""A net whose closed streets nobody can turn into, for SUMO's tools, which know no closures; and who did turn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent, tostring

from leed_agentic.errors import UsageError
from leed_agentic.roads.markup import Stream
from leed_agentic.runs.files import whole_file, write_text
from leed_agentic.traffic.closures import Closure
from leed_agentic.traffic.sumo_run import Driven, elements


@dataclass(frozen=True)
class NetStreet:
    """An edge of a net by its id, and the name of its street."""

    id: str
    street: str | None


@dataclass(frozen=True)
class NetStreets:
    """All edges of a net as they stand in its file: what a file of closures is read against."""

    net_file: Path

    @property
    def name(self) -> str:
        return self.net_file.name

    @cached_property
    def edges(self) -> tuple[NetStreet, ...]:
        rows = (edge for edge in elements(self.net_file, "edge") if edge.get("function", "normal") == "normal")
        return tuple(NetStreet(edge.get("id", ""), edge.get("name")) for edge in rows)

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(edge.id for edge in self.edges)

    def has_edge(self, edge_id: str) -> bool:
        return edge_id in self._ids


def write_closed_net(net_file: Path, file: Path, closures: Sequence[Closure]) -> None:
    """The net with every turn into a closed street forbidden, and slowed streets at their slow speed.

    The turns stay in the file: SUMO crashes on a junction that lacks one. Who begins on a closed street drives off it.

    Raises:
        UsageError: the net cannot be read.
        UnwritableError: the file cannot be written.
    """
    shut = {edge for closure in closures if closure.speed is None for edge in closure.edges}
    slow = _slowest(closures)
    root = _read_whole(net_file)
    ways = set()
    for turn in root.iter("connection"):
        if turn.get("to") in shut:
            _forbid(turn)
            ways.add(turn.get("via", ""))
    for edge in root.iter("edge"):
        for lane in edge.iter("lane"):
            if lane.get("id") in ways:
                _forbid(lane)
            if edge.get("id") in slow:
                lane.set("speed", f"{min(float(lane.get('speed', 'inf')), slow[edge.get('id', '')]):g}")
    with whole_file(file) as partial:
        ElementTree(root).write(partial, encoding="utf-8", xml_declaration=True)


def write_speed_signs(net_file: Path, file: Path, closures: Sequence[Closure]) -> bool:
    """SUMO's signs that slow streets from begin to end and no longer; False, and no file, where none is slowed.

    Speeds are written out, so that the signs mean the same on the net of `write_closed_net`.
    """
    slowed = [closure for closure in closures if closure.speed is not None]
    if not slowed:
        return False
    edges = {edge for closure in slowed for edge in closure.edges}
    lanes: dict[str, dict[str, float]] = {}
    for edge in elements(net_file, "edge"):
        if (name := edge.get("id", "")) in edges:
            lanes[name] = {lane.get("id", ""): float(lane.get("speed", "nan")) for lane in edge.iter("lane")}
    root = Element("additional")
    for edge_id in sorted(edges):
        here = [closure for closure in slowed if edge_id in closure.edges]
        moments = sorted({0.0, *(c.begin for c in here), *(c.end for c in here)})
        for lane_id, limit in lanes[edge_id].items():
            sign = SubElement(root, "variableSpeedSign", id=f"slow_{lane_id}", lanes=lane_id)
            for moment in moments:
                speed = min([limit, *(c.speed for c in here if c.speed and c.begin <= moment < c.end)])
                SubElement(sign, "step", time=f"{moment:g}", speed=f"{speed:g}")
    indent(root)
    write_text(file, tostring(root, encoding="unicode") + "\n")
    return True


def turned_into_closed(driven: Driven, closures: Sequence[Closure]) -> int:
    """How many vehicles entered a street while it was closed; who began on it is not among them."""
    shut: dict[str, list[Closure]] = {}
    for closure in closures:
        if closure.speed is None:
            for edge in closure.edges:
                shut.setdefault(edge, []).append(closure)
    if not shut:
        return 0
    return sum(_turned_in(drive.route, drive.exit_times, shut) for drive in driven.vehicles.values())


def _turned_in(route: Sequence[str], exits: Sequence[float], shut: Mapping[str, Sequence[Closure]]) -> bool:
    return any(
        closure.begin <= left < closure.end
        for (_, edge), left in zip(pairwise(route), exits, strict=False)
        if left >= 0
        for closure in shut.get(edge, ())
    )


def _slowest(closures: Sequence[Closure]) -> dict[str, float]:
    slow: dict[str, float] = {}
    for closure in closures:
        if closure.speed is not None:
            slow |= {edge: min(closure.speed, slow.get(edge, closure.speed)) for edge in closure.edges}
    return slow


def _forbid(element: Any) -> None:
    element.attrib.pop("allow", None)
    element.set("disallow", "all")


def _read_whole(net_file: Path) -> Any:
    from xml.etree.ElementTree import ParseError

    from defusedxml.ElementTree import parse

    try:
        return parse(Stream(net_file, "give a whole one")).getroot()
    except (ParseError, ValueError) as error:
        raise UsageError(f"{net_file} cannot be read as a SUMO network ({error}); give a .net.xml file.") from error
