"""Static traffic lights as a driver can know them: how long a car that arrives at a given second waits for green."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from leed_agentic.errors import UsageError
from leed_agentic.traffic.sumo_run import elements

OPEN = frozenset("GgOos")
"""SUMO's link states in which a car may pass; yellow and red-yellow are not among them."""
LONGEST_CYCLE = 86_400
"""Seconds: a programme that lasts longer than a day is no programme that a driver could know."""

Link = tuple[str, str]
"""The turn from one edge to the next, by their ids."""


@dataclass(frozen=True)
class Waits:
    """One link's programme: seconds until it may be passed, for every whole second of its cycle."""

    offset: int
    seconds: tuple[float, ...]
    """Shape (cycle,); infinite where the link never opens."""

    def at(self, second: float) -> float:
        """Seconds of waiting for a car that arrives at this second of SUMO's clock, which need not start at 0."""
        return self.seconds[int(second - self.offset) % len(self.seconds)]


@dataclass(frozen=True)
class Signals:
    """The lights of a network, by link."""

    static: Mapping[Link, Waits] = field(default_factory=dict)
    actuated: frozenset[Link] = frozenset()
    """Links whose green depends on traffic: their waits cannot be read, only measured."""

    def wait(self, before: str, after: str, second: float) -> float | None:
        """Seconds until the turn may be made on arrival at `second`; 0 without a light, None where it is actuated."""
        if (before, after) in self.actuated:
            return None
        waits = self.static.get((before, after))
        return waits.at(second) if waits else 0.0


@dataclass(frozen=True)
class _Programme:
    offset: int
    states: tuple[str, ...]
    """The state of all links of the light, by second of the cycle."""

    def waits(self, links: Iterable[int]) -> Waits:
        """Of a turn whose lanes have these link indices: it is open when one of them is."""
        indices = [i for i in links if 0 <= i < min(map(len, self.states))]
        is_open = [any(state[i] in OPEN for i in indices) for state in self.states]
        cycle = len(is_open)
        seconds = [math.inf] * cycle
        if any(is_open):
            ahead = 0.0
            # Twice around: the wait at the cycle's end runs into its beginning.
            for second in reversed(range(2 * cycle)):
                ahead = 0.0 if is_open[second % cycle] else ahead + 1.0
                seconds[second % cycle] = ahead
        return Waits(self.offset, tuple(seconds))


def read_signals(net_file: str | Path, additional_files: Iterable[str | Path] = ()) -> Signals:
    """The lights of a SUMO network, read once; a programme in an additional file takes the place of the network's.

    As SUMO has it, a programme with offset o stands at second (t - o) of its cycle at time t, whenever the simulation
    began. Phases are rounded to whole seconds.

    Raises:
        UsageError: a file is missing or is not SUMO's XML.
    """
    programmes: dict[str, _Programme | None] = {}
    turns: dict[Link, tuple[str, list[int]]] = {}
    for file in (net_file, *additional_files):
        try:
            for element in elements(Path(file), "tlLogic", "connection"):
                if element.tag == "tlLogic":
                    programmes[element.get("id", "")] = _programme(element)
                elif element.get("tl") and not element.get("from", ":").startswith(":"):
                    link = (element.get("from", ""), element.get("to", ""))
                    turns.setdefault(link, (element.get("tl", ""), []))[1].append(int(element.get("linkIndex", "-1")))
        except (OSError, EOFError, ParseError, ValueError) as error:
            raise UsageError(f"The lights of {file} cannot be read ({error}); give a SUMO .net.xml file.") from error
    static: dict[Link, Waits] = {}
    actuated = set()
    same: dict[tuple[str, tuple[int, ...]], Waits] = {}
    for link, (light, indices) in turns.items():
        programme = programmes.get(light)
        if programme:
            key = (light, tuple(sorted(indices)))
            static[link] = same.setdefault(key, programme.waits(indices))
        elif light in programmes:
            actuated.add(link)
    return Signals(static, frozenset(actuated))


def _programme(element: Any) -> _Programme | None:
    """None for a light that reacts to traffic."""
    if element.get("type", "static") != "static":
        return None
    states: list[str] = []
    ends = 0.0
    for phase in element.iter("phase"):
        ends += float(phase.get("duration", "0"))
        if not 0 <= ends <= LONGEST_CYCLE:
            raise ValueError(f"the light {element.get('id')} has phases of {ends:g} s")
        states += [phase.get("state", "")] * (round(ends) - len(states))
    # SUMO also takes offset="begin"; then the programme starts with the simulation, at a second that no file tells.
    offset = element.get("offset", "0")
    return _Programme(round(float(offset)), tuple(states)) if states and offset != "begin" else None
