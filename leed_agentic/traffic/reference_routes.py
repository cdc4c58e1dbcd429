"""Routes of a scenario's agents that need no model: by the lights alone, rerouted on the way, in user equilibrium."""

from __future__ import annotations

import tempfile
from pathlib import Path

from leed_agentic.traffic.baselines import Task, dua_iterate
from leed_agentic.traffic.drives import close_streets
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.paths import Costs
from leed_agentic.traffic.scenario_judge import closed_streets, stage
from leed_agentic.traffic.starts import shortest_paths
from leed_agentic.traffic.trip_files import read_routes

DUA_RUNS = 8
"""SUMO runs of duaIterate, in which it gets most of what it gets."""
AgentRoutes = dict[int, tuple[str, ...]]
"""Edge ids by agent."""


def lights_routes(env: RouteEnv) -> AgentRoutes:
    """The path of each agent that is fastest for a car alone that knows the red lights at the second of arrival.

    Raises:
        UsageError: closures that are known leave no way for an agent.
    """
    scenario = env.scenario
    with tempfile.TemporaryDirectory(prefix="leed-lights-") as name:
        trips = stage(env, scenario, Path(name)).trips
        ids = [trip.id for trip in scenario.agents]
        costs = Costs(trips.graph, lights=True, closed=closed_streets(scenario, trips.graph))
        routes = shortest_paths(trips, costs, ids)
    return {trip.agent: tuple(trips.graph.ids[street] for street in routes[trip.id]) for trip in env.scenario.agents}


def rerouted_routes(env: RouteEnv) -> AgentRoutes:
    """The agents' routes by the end of a drive in which SUMO's navigation device guides every vehicle from its shortest
    path.

    Raises:
        UsageError: closures leave no way for a vehicle.
    """
    with tempfile.TemporaryDirectory(prefix="leed-rerouted-") as name:
        found = stage(env, env.scenario, Path(name))
        trips = found.trips
        guided = [vehicle for vehicle in trips.vehicles if vehicle not in found.others]
        routes = {**shortest_paths(trips, Costs(trips.graph), guided), **found.others}
        driven = found.judge.rerouted(routes, routes)
    return {trip.agent: tuple(trips.graph.ids[street] for street in driven[trip.id]) for trip in env.scenario.agents}


def equilibrium_routes(env: RouteEnv, runs: int = DUA_RUNS) -> AgentRoutes:
    """The agents' routes after so many runs of duaIterate.py in which everybody learns, the other vehicles too.

    Raises:
        UsageError: SUMO's tool cannot route the scenario.
    """
    scenario = env.scenario
    with tempfile.TemporaryDirectory(prefix="leed-equilibrium-") as name:
        folder = Path(name)
        judge = stage(env, scenario, folder).judge
        demand = judge.trips.demand
        demand.write()
        plans = folder / "plans"
        plans.mkdir()
        task = Task(
            judge.net_file,
            demand,
            judge.begin,
            judge.end,
            plans,
            iterations=runs,
            teleport_seconds=judge.teleport_seconds,
        )
        (file,) = dua_iterate(close_streets(task, scenario.closures, folder)).route_files
        routes = read_routes(file)
    return {trip.agent: routes[trip.id] for trip in scenario.agents}
