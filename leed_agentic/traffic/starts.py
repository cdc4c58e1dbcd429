"""Plans that need no model: what coordination begins with, and is never worse than."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from leed_agentic.errors import UsageError
from leed_agentic.traffic.judge import Judge
from leed_agentic.traffic.limits import NO_LIMITS, Limits
from leed_agentic.traffic.paths import Costs, Route, fastest_path
from leed_agentic.traffic.trips import Trips

Routes = dict[str, Route]
STARTS = ("shortest", "lights", "rerouted")
"""Fastest paths of empty streets; the same with the static lights; where SUMO's rerouting drivers ended."""


def shortest_paths(
    trips: Trips, costs: Costs, vehicles: Iterable[str] | None = None, limits: Limits = NO_LIMITS
) -> Routes:
    """The fastest path of each vehicle (None: of all) under these costs, on departure as planned.

    Raises:
        UsageError: no open way leads from a vehicle's start to its destination.
    """
    routes = {}
    for vehicle in trips.vehicles if vehicles is None else vehicles:
        trip = trips.vehicles[vehicle]
        path = fastest_path(limits.costs(costs, vehicle), trip.start, trip.goal, trip.departure)
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
    limits: Limits = NO_LIMITS,
) -> Iterator[tuple[str, Routes]]:
    """The plans of these names for the whole demand, in which the fleet keeps to its limits.

    "rerouted" takes a SUMO run to find. A vehicle whose route breaks a limit, or takes a street twice, gets its
    shortest path in place of it.
    """
    graph = trips.graph
    alone = Costs(graph)
    shortest = {**shortest_paths(trips, alone, fleet, limits), **limits.held}
    ways: dict[str, Callable[[], Routes]] = {
        "shortest": lambda: shortest,
        "lights": partial(shortest_paths, trips, Costs(graph, True), fleet, limits),
        "rerouted": lambda: judge.rerouted({**shortest, **fixed}, fleet),
    }
    for name in names:
        found = ways[name]()
        kept = {}
        for vehicle in fleet:
            route = found[vehicle]
            twice = len(set(route)) < len(route)
            kept[vehicle] = route if not twice and limits.allow(trips, vehicle, route) else shortest[vehicle]
        yield name, {**kept, **fixed}
