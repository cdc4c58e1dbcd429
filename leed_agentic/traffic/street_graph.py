"""All streets of a net that a car may drive, as numbers: what searches over thousands of trips need."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import VEHICLE_CLASS, nearest_id
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.signals import Signals, Waits

Goal = tuple[int, ...]
"""The streets at whose end a trip is over: one street, or all that lead to one junction."""
MOST_BOUNDS = 40_000_000
"""Seconds to destinations kept at a time, of 8 bytes each: 47,000 destinations on 850 streets, 700 on 57,000."""


class StreetGraph:
    """Streets by index, the turns between them, their free-flow seconds and their lights.

    Unlike a RoadNetwork it may hold streets that lead only into or out of the net: real demand begins and ends there.

    Args:
        ids: of the streets.
        to_junctions: the junction at the end of each.
        free: free-flow seconds of each.
        successors: of each street the indices of those a car may take next.
        signals: the lights at the streets' ends.
    """

    def __init__(
        self,
        ids: Sequence[str],
        to_junctions: Sequence[str],
        free: Sequence[float],
        successors: Sequence[Sequence[int]],
        signals: Signals,
    ) -> None:
        self.ids = tuple(ids)
        self.index = {edge: i for i, edge in enumerate(ids)}
        self.free = np.array(free, dtype=np.float64)
        self.free_list: list[float] = self.free.tolist()
        self.successors = tuple(tuple(after) for after in successors)
        self.signals = signals
        self.links: tuple[tuple[tuple[int, Waits | None], ...], ...] = tuple(
            tuple((n, signals.static.get((ids[e], ids[n]))) for n in after) for e, after in enumerate(self.successors)
        )
        """Of each street: the next one and, where a static light stands between them, its waits."""
        self._backward = lru_cache(maxsize=4)(self._reversed)
        self.bound = lru_cache(maxsize=max(16, MOST_BOUNDS // max(1, len(self.ids))))(self._bound)
        self._ending: dict[str, list[int]] = {}
        for street, junction in enumerate(to_junctions):
            self._ending.setdefault(junction, []).append(street)

    @classmethod
    def of(cls, network: RoadNetwork, signals: Signals) -> StreetGraph:
        """The streets of a map, in its order."""
        return cls(
            [e.id for e in network.edges],
            [e.to_junction for e in network.edges],
            [e.travel_time for e in network.edges],
            [[after.index for after in following] for following in network.following],
            signals,
        )

    @classmethod
    def read(cls, net: Any, signals: Signals) -> StreetGraph:
        """All streets for passenger cars of a net that sumolib has read."""
        streets = [e for e in net.getEdges(withInternal=False) if e.allows(VEHICLE_CLASS)]
        index = {e.getID(): i for i, e in enumerate(streets)}
        successors = [
            [index[s.getID()] for s in e.getAllowedOutgoing(VEHICLE_CLASS) if s.getID() in index] for e in streets
        ]
        free = [e.getLength() / e.getSpeed() for e in streets]
        return cls(list(index), [e.getToNode().getID() for e in streets], free, successors, signals)

    def street(self, edge: str) -> int:
        """Raises UsageError with the nearest known id when there is no such street for cars."""
        try:
            return self.index[edge]
        except KeyError:
            raise UsageError(f"The net has no street {edge!r} for cars; {nearest_id(edge, self.index)}") from None

    def goal(self, *, edge: str | None = None, junction: str | None = None) -> Goal:
        """Where a trip ends: at the end of an edge, or at a junction by whichever street.

        Raises:
            UsageError: there is no such edge or junction, or no street leads to the junction.
        """
        if edge is not None:
            return (self.street(edge),)
        if junction not in self._ending:
            raise UsageError(f"No street for cars leads to {junction!r}; {nearest_id(str(junction), self._ending)}")
        return tuple(self._ending[junction])

    def legal(self, route: Sequence[int]) -> bool:
        """Whether every turn of the route may be made."""
        return all(after in self.successors[e] for e, after in pairwise(route))

    def _reversed(self, per_junction: float) -> csr_matrix:
        pairs = [(after, e) for e, following in enumerate(self.successors) for after in following]
        after, before = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        # A zero would be no arc at all.
        costs = np.maximum(self.free[after] + per_junction, 1e-9)
        return csr_matrix((costs, (after, before)), shape=(len(self.ids),) * 2)

    def _bound(self, goal: Goal, per_junction: float = 0.0) -> array[float]:
        """Least seconds from the END of each street to the end of the trip, infinite where no way leads there."""
        seconds = dijkstra(self._backward(per_junction), indices=list(goal), min_only=True)
        # Read one by one in the searches: twice as fast as from numpy, a quarter of a list's memory.
        return array("d", seconds.tobytes())

    def free_seconds(self, route: Iterable[int]) -> float:
        """Free-flow seconds of a route, first and last street included."""
        return float(sum(self.free[e] for e in route))
