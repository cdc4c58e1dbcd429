"""Plans that need no model: what coordination begins with, and is never worse than."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from leed_agentic.errors import UsageError
from leed_agentic.traffic.alternatives import detour
from leed_agentic.traffic.judge import Judge
from leed_agentic.traffic.paths import Costs, Route, fastest_path
from leed_agentic.traffic.trips import Trips

Routes = dict[str, Route]
STARTS = ("shortest", "lights", "rerouted")
"""Fastest paths of empty streets; the same with the static lights; where SUMO's rerouting drivers ended."""


def shortest_paths(trips: Trips, costs: Costs, vehicles: Iterable[str] | None = None) -> Routes:
    """The fastest path of each vehicle (None: of all) under these costs, on departure as planned.

    Raises:
        UsageError: no open way leads from a vehicle's start to its destination.
    """
    routes = {}
    for vehicle in trips.vehicles if vehicles is None else vehicles:
        trip = trips.vehicles[vehicle]
        path = fastest_path(costs, trip.start, trip.goal, trip.departure)
        if path is None:
            start, goal = trips.graph.ids[trip.start], trips.graph.ids[trip.goal[0]]
            raise UsageError(
                f"Vehicle {vehicle!r} cannot drive from {start} to {goal}: no open way leads there. "
                "Leave it out, or open a street."
            )
        routes[vehicle] = path[0]
    return routes


def start_plans(
    trips: Trips,
    judge: Judge,
    names: Iterable[str],
    fleet: tuple[str, ...],
    fixed: Mapping[str, Route],
    closed: frozenset[int],
    max_detour: float | None,
) -> Iterator[tuple[str, Routes]]:
    """The plans of these names for the whole demand, in which the fleet keeps off closed streets and long detours.

    "rerouted" takes a SUMO run to find. A vehicle whose route breaks a rule gets its shortest path in place of it.
    """
    graph = trips.graph
    alone = Costs(graph, closed=closed)
    shortest = shortest_paths(trips, alone, fleet)
    ways: dict[str, Callable[[], Routes]] = {
        "shortest": lambda: shortest,
        "lights": partial(shortest_paths, trips, Costs(graph, True, closed=closed), fleet),
        "rerouted": lambda: judge.rerouted({**shortest, **fixed}, fleet),
    }
    for name in names:
        found = ways[name]()
        kept = {}
        for vehicle in fleet:
            route = found[vehicle]
            too_far = max_detour is not None and detour(alone, trips.vehicles[vehicle], route) > max_detour
            kept[vehicle] = shortest[vehicle] if too_far or not closed.isdisjoint(route) else route
        yield name, {**kept, **fixed}
