"""Other routes for the agents of rules about time that a drive broke: by the arrivals to be expected of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from leed_agentic.demonstrations.rules.compiled import Rules
from leed_agentic.demonstrations.rules.rule import LatestArrival, Order, Priority, Together
from leed_agentic.traffic.alternatives import PENALTY
from leed_agentic.traffic.coordinate import Coordinator
from leed_agentic.traffic.paths import Costs, Route, fastest_path, seconds_along
from leed_agentic.traffic.scenario import AgentTrip
from leed_agentic.traffic.starts import Routes

WAYS = 6
"""Routes looked at for each agent."""
GAP = 5.0
"""Seconds that an order is to be kept by: what is expected is a few seconds off."""

Way = tuple[float, Route]
"""Expected second of arrival, and the route."""


def mended(rules: Rules, loop: Coordinator) -> Routes:
    """The best plan's routes with others for the agents of rules about time that its first drive broke."""
    best = loop.best
    if best is None:
        return {}
    routes, driven = dict(best.routes), best.driven[0]

    def ways(trips: Sequence[AgentTrip]) -> dict[str, list[Way]]:
        return {trip.id: _ways(loop, trip.id, routes[trip.id]) for trip in trips}

    for place, verdict in enumerate(rules.verdicts(driven)):
        rule, trips = verdict.rule, rules.agents[place]
        if verdict.met:
            continue
        if isinstance(rule, LatestArrival | Priority):
            broken = {one.agent for one in verdict.broken}
            chosen = [t for t in trips if t.agent in broken or isinstance(rule, Priority)]
            routes |= {vehicle: min(found)[1] for vehicle, found in ways(chosen).items()}
        elif isinstance(rule, Order):
            first = {vehicle: min(found) for vehicle, found in ways(trips).items()}
            routes |= {vehicle: way[1] for vehicle, way in first.items()}
            last = max(way[0] for way in first.values()) + GAP
            for vehicle, found in ways(rules.of(rule.then, rule)).items():
                later = [way for way in found if way[0] > last]
                routes[vehicle] = min(later)[1] if later else max(found)[1]
        elif isinstance(rule, Together):
            routes |= _together(ways(trips))
    return routes


def _together(ways: dict[str, list[Way]]) -> Routes:
    """The routes that arrive within the shortest span; of equal ones the earliest."""
    best: tuple[float, float, Routes] = (math.inf, math.inf, {})
    for target in sorted({way[0] for found in ways.values() for way in found}):
        chosen = {vehicle: min(found, key=lambda way: abs(way[0] - target)) for vehicle, found in ways.items()}
        times = [way[0] for way in chosen.values()]
        rated = (max(times) - min(times), max(times), {vehicle: way[1] for vehicle, way in chosen.items()})
        best = min(best, rated, key=lambda one: one[:2])
    return best[2]


def _ways(loop: Coordinator, vehicle: str, current: Route) -> list[Way]:
    """The present route, the fastest by what is known of the streets, and ever more roundabout ones."""
    trip, best, limits = loop.trips.vehicles[vehicle], loop.best, loop.settings.limits
    drive = best.driven[0].vehicles[vehicle] if best else None
    departure = trip.departure if drive is None or drive.departed is None else drive.departed
    costs = limits.costs(loop.memory.get(True, Costs(loop.trips.graph, True)), vehicle)
    routes, penalty = [current], dict[int, float]()
    while len(routes) < WAYS and vehicle not in limits.held:
        found = fastest_path(costs, trip.start, trip.goal, departure, penalty)
        if found is None:
            break
        if found[0] not in routes and limits.allow(loop.trips, vehicle, found[0]):
            routes.append(found[0])
        elif found[0] in routes and max(penalty.values(), default=0.0) > PENALTY**WAYS:
            break
        penalty |= {street: penalty.get(street, 1.0) * PENALTY for street in found[0]}
    # What was expected of the present route against what it took corrects what is expected of the others.
    now = seconds_along(costs, current, departure)
    arrived = drive.arrived if drive is not None and drive.arrived is not None else departure + now
    return [(arrived + seconds_along(costs, route, departure) - now, route) for route in routes]
