"""Routes as numbers of edges, each stored once: a training run proposes the same few routes again and again."""

from __future__ import annotations

from collections.abc import Sequence

from leed_agentic.roads.network import RoadNetwork

UNKNOWN = -1
"""Stands for an edge that the map does not have; the finding says what the model wrote."""


class RouteTable:
    """Every different route once, by number."""

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        self.routes: list[list[int]] = []
        self._numbers: dict[tuple[str, ...], int] = {}

    def number(self, route: Sequence[str]) -> int:
        """The number under which the route is stored."""
        key = tuple(route)
        if key not in self._numbers:
            self._numbers[key] = len(self.routes)
            known = self.network.has_edge
            self.routes.append([self.network.edge(e).index if known(e) else UNKNOWN for e in key])
        return self._numbers[key]
