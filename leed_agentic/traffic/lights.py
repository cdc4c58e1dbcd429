"""Everybody on the path that is fastest for a car alone that knows the lights: what needs no model and no traffic."""

from __future__ import annotations

from dataclasses import replace

from leed_agentic.traffic.judge import Judge
from leed_agentic.traffic.paths import Costs
from leed_agentic.traffic.starts import Routes, shortest_paths
from leed_agentic.traffic.street_times import StreetTimes, Visits
from leed_agentic.traffic.trips import Trips


def lights_paths(trips: Trips, judge: Judge) -> Routes:
    """Fastest paths by free flow, junctions and the red lights at the second of arrival.

    Where lights are actuated, the waits are those that one drive of these paths shows; without such lights nothing is
    driven.
    """
    graph = trips.graph
    costs = Costs(graph, lights=True)
    routes = shortest_paths(trips, costs)
    actuated = {graph.index[before] for before, _ in graph.signals.actuated if before in graph.index}
    if not actuated:
        return routes
    driven = judge.drive(routes)
    times = StreetTimes.measure([(run, Visits.of(run, graph)) for run in driven], graph)
    measured = times.costs(lights=True)
    extra = {key: lost for key, lost in measured.extra.items() if key // times.intervals in actuated}
    return shortest_paths(trips, replace(measured, extra=extra))
