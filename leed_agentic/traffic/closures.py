"""Streets that are closed or slowed for a while, and the fastest paths of drivers who know of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest
from leed_agentic.roads.edges import Destination, nearest_id
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.runs.files import check_plain

COLUMNS = ("street", "begin", "end", "speed", "known")
AHEAD = 60.0
"""Seconds before it is closed from which on nobody who knows of a closure turns into the street."""
_YES, _NO = {"", "yes", "true", "1"}, {"no", "false", "0"}


@dataclass(frozen=True)
class Closure:
    """Edges that nobody may enter from `begin` to `end`, in seconds, or only drive at `speed` metres per second.

    Whoever knows of a closure plans around it until it is over; one that is not known is met when it begins. Who is on
    the street then drives on.
    """

    edges: tuple[str, ...]
    begin: float
    end: float
    speed: float | None = None
    known: bool = True


class Street(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def street(self) -> str | None: ...


class Streets(Protocol):
    """What a file of closures is read against: a RoadNetwork, or all edges of a net."""

    @property
    def name(self) -> str: ...

    @property
    def edges(self) -> Sequence[Street]: ...

    def has_edge(self, edge_id: str) -> bool: ...


def read_closures(file: Path, network: Streets) -> tuple[Closure, ...]:
    """A CSV file with the columns street (an edge id or a street's name), begin, end, and, if wanted, speed and known.

    Raises:
        UsageError: the file or one of its lines cannot be used; the message says which.
    """
    try:
        text = check_plain(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read the closures {file}: {error}.") from error
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    missing = [name for name in COLUMNS[:3] if name not in (rows.fieldnames or ())]
    unknown = [name for name in rows.fieldnames or () if name not in COLUMNS]
    if missing or unknown:
        raise UsageError(
            f"{file} has the columns {', '.join(rows.fieldnames or ()) or '(none)'}; "
            "write street,begin,end and, if wanted, speed,known in its first line."
        )
    try:
        return tuple(_closure(row, network, f"{file}, line {rows.line_num}") for row in rows)
    except csv.Error as error:
        raise UsageError(f"{file}, line {rows.line_num}: {error}.") from error


def closures_text(closures: Sequence[Closure]) -> str:
    """The closures as `read_closures` reads them, an edge a line."""
    lines = [",".join(COLUMNS)]
    for closure in closures:
        speed = "" if closure.speed is None else f"{closure.speed:.10g}"
        rest = f"{closure.begin:.10g},{closure.end:.10g},{speed},{'yes' if closure.known else 'no'}"
        lines += [f"{edge},{rest}" for edge in closure.edges]
    return "\n".join(lines) + "\n"


def _closure(row: Mapping[str, str | None], network: Streets, where: str) -> Closure:
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    begin, end = (_seconds(cells[name], name, where) for name in ("begin", "end"))
    if end <= begin:
        raise UsageError(f"{where}: the closure ends at {end:g} s, not after its begin at {begin:g} s.")
    speed = _seconds(cells["speed"], "speed", where) if cells["speed"] else None
    if speed is not None and speed <= 0:
        raise UsageError(f"{where}: speed {speed:g} must be above 0 metres per second; leave it empty to close.")
    if (known := cells["known"].lower()) not in _YES | _NO:
        raise UsageError(f"{where}: known is {known[:40]!r}; write yes or no.")
    return Closure(edges_of(cells["street"], network, where), begin, end, speed, known in _YES)


def _seconds(text: str, name: str, where: str) -> float:
    import sumolib

    try:
        value = float(sumolib.miscutils.parseTime(text))
    except (ValueError, TypeError):
        value = np.nan
    if not np.isfinite(value) or value < 0:
        raise UsageError(f"{where}: {name} is {text[:40]!r}; write a number of 0 or more, or hh:mm:ss.")
    return value


def edges_of(street: str, network: Streets, where: str) -> tuple[str, ...]:
    """The edge of this id, or all of the street of this name. Raises UsageError, which begins with `where`."""
    if network.has_edge(street):
        return (street,)
    named = tuple(edge.id for edge in network.edges if edge.street and edge.street.casefold() == street.casefold())
    if not named:
        names = {edge.street for edge in network.edges if edge.street}
        hint = nearest(street, names) if names else "choose one of"
        hint = hint if hint.startswith("did") else nearest_id(street, [edge.id for edge in network.edges])
        raise UsageError(f"{where}: map {network.name} has no edge or street {street[:80]!r}; {hint}")
    return named


class OpenStreets:
    """What may be driven when, and the fastest free-flow paths of drivers who know what a driver can know."""

    def __init__(self, network: RoadNetwork, closures: Sequence[Closure] = ()) -> None:
        self.network = network
        self.closures = tuple(closures)
        for closure in closures:
            for edge in closure.edges:
                network.edge(edge)
        self._costs: dict[frozenset[int], np.ndarray] = {}
        self._paths: dict[tuple[frozenset[int], str, Destination], list[str]] = {}

    def path(self, start_edge: str, destination: Destination, now: float) -> list[str]:
        """The fastest path as planned at `now`, start edge included. Raises UsageError where closures leave none."""
        met = self._met(now)
        if not met:
            return self.network.shortest_path(start_edge, destination)
        key = (met, start_edge, destination)
        if key not in self._paths:
            self._paths[key] = self.network.shortest_path(start_edge, destination, self._costs_of(met))
        return list(self._paths[key])

    def blocks(self, route: Sequence[str], now: float) -> bool:
        """Whether a driver at `now` knows that a street of the route is closed."""
        shut = [self.closures[k] for k in self._met(now) if self.closures[k].speed is None]
        return any(not set(closure.edges).isdisjoint(route) for closure in shut)

    def closed(self, now: float) -> frozenset[str]:
        """Edges that nobody may choose at `now`: those closed, and those known to be closed in AHEAD seconds."""
        if not self.closures:
            return frozenset()
        shut = [c for c in self.closures if c.speed is None and c.begin - AHEAD * c.known <= now < c.end]
        return frozenset(edge for closure in shut for edge in closure.edges)

    def surprises(self, after: float, until: float) -> list[float]:
        """When closures that nobody knew of begin, later than `after` and not later than `until`."""
        return sorted({c.begin for c in self.closures if not c.known and after < c.begin <= until})

    def _met(self, now: float) -> frozenset[int]:
        return frozenset(k for k, c in enumerate(self.closures) if now < c.end and (c.known or c.begin <= now))

    def _costs_of(self, met: frozenset[int]) -> np.ndarray:
        if met not in self._costs:
            costs = self.network.travel_times.copy()
            for closure in (self.closures[k] for k in met):
                for edge in map(self.network.edge, closure.edges):
                    slow = np.inf if closure.speed is None else edge.length / closure.speed
                    costs[edge.index] = max(costs[edge.index], slow)
            self._costs[met] = costs
        return self._costs[met]
