"""Routes of a scenario's agents without a model: by the lights, and of duaIterate, in the scenario's own traffic."""

from __future__ import annotations

from contextlib import closing

import pytest

from leed_agentic.learning.evaluation import EQUILIBRIUM, RANDOM, SHORTEST_PATH, Driver, drive_all, reference_drivers
from leed_agentic.learning.sources import sources
from leed_agentic.roads.catalogue import open_map
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demand import in_traffic, scenario_for
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.reference_routes import equilibrium_routes, lights_routes
from leed_agentic.traffic.trajectory import drive, fastest_path, follow


@pytest.fixture(scope="module")
def settings():
    return load_settings(assignments=("map.name=braunschweig", "scenario.agents=4", "scenario.background=60", "seed=3"))


@pytest.fixture(scope="module")
def env(settings):
    network = open_map("braunschweig", settings.map)
    with closing(RouteEnv(network, scenario_for(network, settings), settings.environment)) as env:
        yield env


def mean(episode):
    return sum(t.travel_seconds for t in episode.trajectories.values()) / len(episode.trajectories)


def ends_right(env, routes):
    for trip in env.scenario.agents:
        assert routes[trip.agent][0] == trip.start_edge
        assert env.network.edge(routes[trip.agent][-1]).to_junction == trip.destination


@pytest.mark.slow
def test_paths_that_know_the_lights_are_driven_faster(env):
    routes = lights_routes(env)
    ends_right(env, routes)
    driven = drive(env, follow(routes))
    assert driven.arrival_rate == 1
    assert mean(driven) <= mean(drive(env, fastest_path))


@pytest.mark.slow
def test_lights_are_a_source_of_demonstrations(env, settings):
    source = sources.get("lights")(settings, env, None)
    shown = source.demonstrations(0, None, env)
    assert {agent: t.route for agent, t in shown.items()} == lights_routes(env)


@pytest.mark.long
def test_in_traffic_gain_runs_from_the_shortest_path_to_equilibrium(env, settings):
    assert in_traffic(settings)
    routes = equilibrium_routes(env, runs=1)
    ends_right(env, routes)
    drivers = [*reference_drivers(4), Driver(EQUILIBRIUM, lambda seed: follow(routes), range(4))]
    rows = {row["driver"]: row for row in drive_all(env, drivers, [5])}
    better = rows[EQUILIBRIUM]["fleet"]["mean"] < rows[SHORTEST_PATH]["fleet"]["mean"]
    assert rows[EQUILIBRIUM]["gain"] == (1 if better else None)
    assert rows[SHORTEST_PATH]["gain"] == (0 if better else None)
    assert rows[RANDOM]["fleet"]["unfinished"] > 0
    assert rows[RANDOM]["fleet"]["mean"] > rows[SHORTEST_PATH]["fleet"]["mean"]
    without = {row["driver"]: row["gain"] for row in drive_all(env, reference_drivers(4), [5])}
    assert without == {RANDOM: 0, SHORTEST_PATH: 1}
