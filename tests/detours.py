"""Longer ways than need be, for tests that want a legal route which is not the best."""

from __future__ import annotations

from leed_agentic.roads.network import RoadNetwork


def detours(network: RoadNetwork, route: list[str]) -> list[list[str]]:
    """Longer ways of the same trip, shortest first."""
    found = []
    for position in range(len(route) - 1):
        for other in network.edge(route[position]).successors:
            way = [*route[: position + 1], *network.shortest_path(other, network.edge(route[-1]).to_junction)]
            if other != route[position + 1] and len(set(way)) == len(way):
                found.append(way)
    return sorted(found, key=network.path_time)
