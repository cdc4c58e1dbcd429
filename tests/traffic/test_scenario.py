"""Scenarios come from a seed, respect the trip length, and survive JSON."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.roads.catalogue import open_map
from leed_agentic.setting_groups import MapSettings, ScenarioSettings
from leed_agentic.traffic.scenario import AgentTrip, Scenario, draw_scenario

NETWORK = open_map("braunschweig", MapSettings())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    agents=st.integers(1, 30),
    share=st.floats(0, 0.5),
    background=st.integers(0, 20),
)
def test_a_drawn_scenario_keeps_its_promises(seed, agents, share, background):
    wanted = ScenarioSettings(agents=agents, min_trip_share=share, background=background)
    scenario = draw_scenario(NETWORK, wanted, seed)
    assert scenario == draw_scenario(NETWORK, wanted, seed)
    assert scenario == Scenario.from_json(json.loads(json.dumps(scenario.to_json())))
    scenario.check(NETWORK)
    assert [t.agent for t in scenario.agents] == list(range(agents))
    assert len({t.start_edge for t in scenario.agents}) == agents
    for trip in (*scenario.agents, *scenario.background):
        path = NETWORK.shortest_path(trip.start_edge, trip.destination)
        assert NETWORK.path_time(path) >= share * NETWORK.diameter - 1e-6
    assert all(0 <= t.departure <= wanted.departure_window for t in scenario.agents)


def test_more_agents_than_start_edges_share_them():
    scenario = draw_scenario(NETWORK, ScenarioSettings(agents=400), 0)
    starts = Counter(trip.start_edge for trip in scenario.agents)
    assert max(starts.values()) - min(starts.values()) <= 1 < max(starts.values())


@pytest.mark.parametrize("pattern", ["hub", "cross"])
def test_patterns(pattern):
    scenario = draw_scenario(NETWORK, ScenarioSettings(agents=40, background=20, pattern=pattern), 1)
    scenario.check(NETWORK)
    xs = [j.x for j in NETWORK.junctions]
    width = max(xs) - min(xs)
    goals = {trip.destination for trip in scenario.vehicles}
    if pattern == "hub":
        assert len(goals) <= 3
        return
    assert all(NETWORK.junction(goal).x >= min(xs) + 0.7 * width for goal in goals)
    starts = [NETWORK.junction(NETWORK.edge(trip.start_edge).to_junction).x for trip in scenario.vehicles]
    assert max(starts) <= min(xs) + 0.3 * width


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("pattern", ["uniform", "hub", "cross"])
def test_departures_come_in_a_peak(pattern, seed):
    """Half of a triangle lies within 29 % of its middle (1 - sqrt(1/2)); of evenly drawn ones 29 % do."""
    wanted = {"agents": 100, "background": 100, "pattern": pattern, "departure_window": 600, "min_trip_share": 0.2}
    shares = {}
    for departures in ("uniform", "peak"):
        drawn = draw_scenario(NETWORK, ScenarioSettings(**wanted, departures=departures), seed)
        drawn.check(NETWORK)
        times = [trip.departure for trip in (drawn.vehicles if departures == "peak" else drawn.agents)]
        assert 0 <= min(times) <= max(times) < 600
        shares[departures] = sum(abs(time - 300) <= 0.2929 * 300 for time in times) / len(times)
    assert shares["peak"] == pytest.approx(0.5, abs=0.12)
    assert shares["uniform"] == pytest.approx(0.29, abs=0.15)


def test_a_map_without_long_enough_trips_is_refused():
    with pytest.raises(UsageError, match="has no trip of"):
        draw_scenario(NETWORK, ScenarioSettings(pattern="hub", min_trip_share=1), 0)


@pytest.mark.parametrize(
    "data", [None, {}, [], {"format": "leed-scenario", "version": 99}, {"format": "leed-scenario", "version": 1}]
)
def test_what_is_not_a_scenario_is_refused(data):
    with pytest.raises(UsageError, match="scenario"):
        Scenario.from_json(data)


def test_files(tmp_path):
    scenario = draw_scenario(NETWORK, ScenarioSettings(agents=3), 5)
    scenario.save(tmp_path / "scenario.json")
    assert Scenario.load(tmp_path / "scenario.json") == scenario
    with pytest.raises(UsageError, match="Cannot read the scenario"):
        Scenario.load(tmp_path / "none.json")


def test_agents_are_numbered_in_order():
    data = draw_scenario(NETWORK, ScenarioSettings(agents=3), 5).to_json()
    data["agents"] = data["agents"][::-1]
    with pytest.raises(UsageError, match="numbered"):
        Scenario.from_json(data)


def test_people_read_the_ids_of_the_demand_where_it_has_some():
    trips = (AgentTrip(0, "a", "b", 0.0), AgentTrip(1, "a", "b", 0.0, id="van-1"))
    scenario = Scenario("map", 0, trips)
    assert (scenario.name_of(0), scenario.name_of(1)) == ("0", "van-1")
    told = "Agent 0: its route; it meets agent 1 and agent 12. Agent 1: the route takes a twice."
    assert scenario.named(told) == "Agent 0: its route; it meets van-1 and agent 12. van-1: the route takes a twice."
