"""The streets that matter for a trip: those of its k fastest routes, and of any route that is hardly slower."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from leed_agentic.roads.edges import Edge
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import DemonstrationSettings
from leed_agentic.traffic.scenario import AgentTrip

MAX_STEPS = 20_000
"""Of the search for further routes; the fastest one is always found. 10 routes take some 200 on real streets."""


def corridor(network: RoadNetwork, trip: AgentTrip, settings: DemonstrationSettings) -> frozenset[int]:
    """Indices of the edges of the trip's corridor; of all edges when `corridor_paths` is 0.

    A legal route is always among them, and one of at most `max_route_edges` edges wherever the network has one.
    """
    paths, slack = settings.corridor_paths, settings.corridor_slack
    return _corridor(network, trip.start_edge, trip.destination, paths, slack, settings.max_route_edges)


def union(network: RoadNetwork, trips: Iterable[AgentTrip], settings: DemonstrationSettings) -> list[Edge]:
    """The edges of all the trips' corridors, in the network's order."""
    kept = frozenset[int]().union(*(corridor(network, trip, settings) for trip in trips))
    return [network.edges[index] for index in sorted(kept)]


@lru_cache(maxsize=16384)
def _corridor(
    network: RoadNetwork, start: str, destination: str, paths: int, slack: float, most_edges: int
) -> frozenset[int]:
    if paths == 0:
        return frozenset(range(len(network.edges)))
    fastest = network.shortest_path(start, destination)
    kept = {network.edge(e).index for e in fastest}
    if len(fastest) > most_edges:
        fewest = network.shortest_path(start, destination, np.ones(len(network.edges)))
        kept.update(network.edge(e).index for e in fewest)
    for path in fastest_routes(network, start, destination, paths):
        kept.update(edge.index for edge in path)
    if slack > 0:
        before, after = network.times_from(start), network.times_to(destination)
        kept.update(np.flatnonzero(before + after <= (1 + slack) * after[network.edge(start).index]).tolist())
    return frozenset(kept)


def fastest_routes(network: RoadNetwork, start: str, destination: str, count: int) -> list[tuple[Edge, ...]]:
    """At most `count` routes by rising free-flow time, start edge included, none with an edge twice.

    Best-first search over beginnings of routes: the time still to go is known exactly, so hardly any beginning is
    looked at that belongs to none of the routes.
    """
    left = network.times_to(destination)
    first = network.edge(start)
    # The running number keeps equal times in the order they were found.
    queue: list[tuple[float, int, tuple[Edge, ...]]] = [(float(left[first.index]), 0, (first,))]
    found: list[tuple[Edge, ...]] = []
    pushed = 0
    for _ in range(MAX_STEPS):
        if not queue or len(found) == count:
            break
        total, _, path = heapq.heappop(queue)
        last = path[-1]
        if last.to_junction == destination:
            found.append(path)
            continue
        so_far = total - float(left[last.index])
        for following in network.following[last.index]:
            if following not in path:
                pushed += 1
                reached = so_far + following.travel_time + float(left[following.index])
                heapq.heappush(queue, (reached, pushed, (*path, following)))
    return found
