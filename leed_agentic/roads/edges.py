"""Edges and junctions of a street graph, and how they are made of a network file's streets."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest
from leed_agentic.roads.net_file import NetFile, Street

VEHICLE_CLASS = "passenger"


@dataclass(frozen=True)
class Edge:
    """One directed street segment. Lengths in metres, speed in metres per second, shape in network coordinates."""

    index: int
    id: str
    from_junction: str
    to_junction: str
    length: float
    speed: float
    street: str
    shape: tuple[tuple[float, float], ...]
    successors: tuple[str, ...]
    """Edges a car may legally take next, counter-clockwise from the sharpest right turn to the U-turn."""

    @cached_property
    def travel_time(self) -> float:
        """Seconds to drive the edge at its speed limit."""
        return self.length / self.speed


@dataclass(frozen=True)
class Junction:
    """A node where edges meet; x and y in metres, lon and lat in degrees (None for a network without projection)."""

    index: int
    id: str
    x: float
    y: float
    lon: float | None
    lat: float | None


class Goal(NamedTuple):
    """A destination that only one street reaches: the end of `edge`, which lies at `junction`."""

    junction: str
    edge: str


Destination = str | Goal
"""A junction's id, reached at the end of any edge that ends there, or a goal."""


def nearest_id(wanted: str, known: Iterable[str]) -> str:
    """A short hint for an unknown edge or junction id; the full list would be hundreds of ids long."""
    names = sorted(known)
    if len(names) > 2000:  # comparing with tens of thousands takes seconds; what is alike mostly begins alike
        place = bisect.bisect_left(names, wanted)
        names = names[max(0, place - 500) : place + 500]
    return nearest(wanted, names) if len(names) <= 20 else nearest(wanted, names).split(":")[0][:80]


def strongly_connected(streets: list[Street], net: NetFile, bit: int) -> list[Street]:
    """The largest set of streets in which every one can be reached from every other by legal turns."""
    if not streets:
        return []
    index = {s.id: i for i, s in enumerate(streets)}
    pairs = [
        (i, index[after])
        for name, i in index.items()
        for after, allowed in net.turns[name].items()
        if allowed & bit and after in index
    ]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    graph = csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(streets),) * 2)
    _, labels = connected_components(graph, directed=True, connection="strong")
    largest = np.bincount(labels).argmax()
    return [s for s, label in zip(streets, labels, strict=True) if label == largest]


def edge_of(index: int, street: Street, net: NetFile, kept: set[str], bit: int) -> Edge:
    successors = [s for s, allowed in net.turns[street.id].items() if allowed & bit and s in kept]
    successors.sort(key=lambda s: (_turn(street, net.streets[s]), s))
    return Edge(
        index=index,
        id=street.id,
        from_junction=street.from_junction,
        to_junction=street.to_junction,
        length=street.length,
        speed=street.speed,
        street=street.name,
        shape=street.shape,
        successors=tuple(successors),
    )


def _turn(before: Street, after: Street) -> float:
    """Signed turning angle in degrees, (-180, 180]: negative is right; a U-turn is 180."""
    (x0, y0), (x1, y1) = before.shape[-2:]
    (x2, y2), (x3, y3) = after.shape[:2]
    angle = math.degrees(math.atan2(y3 - y2, x3 - x2) - math.atan2(y1 - y0, x1 - x0))
    angle = (angle + 180.0) % 360.0 - 180.0
    return 180.0 if angle < -179.0 or after.to_junction == before.from_junction else round(angle, 3)


def junctions_of(names: list[str], net: NetFile, net_file: Path) -> tuple[Junction, ...]:
    points = [net.positions[name] for name in names]
    try:
        places = net.degrees(points)
    except ValueError as error:
        raise UsageError(
            f"{net_file} has the projection {(net.projection or '')[:80]!r}, which cannot be used: {error}; "
            "build it again with `leed map build` or netconvert."
        ) from error
    return tuple(
        Junction(i, name, x, y, *(places[i] if places else (None, None)))
        for i, (name, (x, y)) in enumerate(zip(names, points, strict=True))
    )
