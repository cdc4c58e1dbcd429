"""Real traffic in the environment: plain SUMO repeats it, closures hold, illegal actions are no oracle."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from leed_agentic.errors import UsageError
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.programs import sumo_home
from leed_agentic.setting_groups import EnvironmentSettings, MapSettings, ScenarioSettings
from leed_agentic.traffic.closures import Closure
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.route_v0 import parallel_env
from leed_agentic.traffic.run_files import write_sumo_run
from leed_agentic.traffic.scenario import BackgroundTrip, Scenario, VehicleType, draw_scenario
from leed_agentic.traffic.sumo_run import read_driven
from leed_agentic.traffic.trajectory import drive, fastest_path, follow, random_policy

NETWORK = open_map("braunschweig", MapSettings())
GENERATE = ("demo", "generate", "--model", "stand-in", "--agents", "2", "--out", "run", "--map")


def drawn(agents: int = 8, seed: int = 0, **settings: object) -> Scenario:
    return draw_scenario(NETWORK, ScenarioSettings(agents=agents, **settings), seed, 150.0)


@pytest.fixture
def make():
    made = []

    def _make(scenario, **settings):
        for env in made:
            env.close()
        made.append(RouteEnv(NETWORK, scenario, EnvironmentSettings(**settings)))
        return made[-1]

    yield _make
    for env in made:
        env.close()


def own_way(scenario: Scenario) -> dict[int, list[str]]:
    """Routes that are not the fastest: each takes another turn first, where there is one."""
    routes = {}
    for trip in scenario.agents:
        fast = NETWORK.shortest_path(trip.start_edge, trip.goal)
        other = next((e for e in NETWORK.edge(fast[0]).successors if e != fast[1]), fast[1])
        rest = NETWORK.shortest_path(other, trip.goal)
        routes[trip.agent] = fast if fast[0] in rest else [fast[0], *rest]
    return routes


def full(scenario: Scenario) -> Scenario:
    """With types, attributes and destination edges."""
    van = VehicleType("van", {"length": "7", "maxSpeed": "11"}, {"k": "v"})
    agents = tuple(
        replace(trip, id=f"own-{trip.agent}", type="van", attributes={"departLane": "best", "departSpeed": "max"})
        for trip in scenario.agents
    )
    end = NETWORK.edge(NETWORK.shortest_path(agents[0].start_edge, agents[0].goal)[-1])
    agents = (replace(agents[0], destination_edge=end.id, attributes={"arrivalPos": "3"}), *agents[1:])
    return replace(scenario, agents=agents, types=(van,))


CASES = {
    "drawn": (drawn(), {}),
    "background": (drawn(background=60), {}),
    "types": (full(drawn(background=30)), {}),
    "rerouting": (drawn(background=60, background_routes="rerouting"), {}),
    "noise": (drawn(background=30), {"driver_noise": 0.5}),
    "late": (
        replace(
            drawn(background=30),
            begin=1000.0,
            agents=tuple(replace(t, departure=t.departure + 1000) for t in drawn().agents),
            background=tuple(replace(t, departure=t.departure + 1000) for t in drawn(background=30).background),
        ),
        {},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", [*(pytest.param(case, marks=pytest.mark.long) for case in CASES), "closures"])
def test_plain_sumo_repeats_every_arrival_to_the_second(make, tmp_path, case):
    scenario, settings = CASES.get(case, (drawn(background=40), {}))
    if case == "closures":
        scenario = closed(scenario)
    env = make(scenario, **settings)
    drive(env, random_policy(1))
    episode = drive(env, follow(own_way(scenario)), seed=5)
    routes = {agent: list(t.route) for agent, t in episode.trajectories.items()}
    write_sumo_run(tmp_path, NETWORK, scenario, routes, env.settings, episode.driven)
    subprocess.run([sumo_home() / "bin" / "sumo", "-c", "run.sumocfg"], cwd=tmp_path, check=True, capture_output=True)
    plain = read_driven(tmp_path, begin=scenario.begin, end=episode.driven.end, seed=0).vehicles
    reported = {scenario.agents[agent].id: t.arrival for agent, t in episode.trajectories.items()}
    assert reported == {name: plain[name].arrived for name in reported}
    assert any(reported.values())
    sent_off = [trip.id for trip in scenario.background if trip.departure < episode.driven.end]
    assert set(plain) == {*reported, *sent_off}


def closed(scenario: Scenario) -> Scenario:
    """A street of a route is closed all the time, one of another's is closed on the way, one is slow."""
    ways = [NETWORK.shortest_path(t.start_edge, t.goal) for t in scenario.agents]
    starts = {t.start_edge for t in scenario.vehicles}
    for first in ways[0][2:-1]:
        for second in ways[1][3:-1]:
            candidate = replace(
                scenario,
                closures=(
                    Closure((first,), 0, 2000),
                    Closure((second,), 20, 400, known=False),
                    Closure((ways[2][1],), 10, 200, speed=2),
                ),
            )
            if {first, second} & starts or first == second:
                continue
            try:
                for trip in scenario.vehicles:
                    NETWORK.shortest_path(trip.start_edge, trip.goal, costs_without(first, second))
            except UsageError:
                continue
            return candidate
    raise AssertionError("no street can be closed")


def costs_without(*edges: str) -> np.ndarray:
    costs = NETWORK.travel_times.copy()
    costs[[NETWORK.edge(edge).index for edge in edges]] = np.inf
    return costs


@pytest.mark.slow
def test_nobody_enters_a_closed_street(make):
    scenario = closed(drawn(background=40))
    env = make(scenario)
    episode = drive(env, fastest_path)
    (known,), (surprise,), _ = (closure.edges for closure in scenario.closures)
    assert known not in {edge for t in episode.trajectories.values() for edge in t.route}
    assert not any(known in route for route in env.fleet.others.values())
    for trajectory in episode.trajectories.values():
        chosen = dict(zip(trajectory.route[1:], trajectory.times, strict=False))
        assert not 20 <= chosen.get(surprise, 0) < 400
    assert episode.arrival_rate == 1.0


def test_a_mask_leaves_closed_streets_out(make):
    start = NETWORK.edges[next(k for k, e in enumerate(NETWORK.edges) if len(e.successors) > 1 and e.length > 10)]
    trip = replace(drawn().agents[0], start_edge=start.id)
    env = make(Scenario("braunschweig", 0, (trip,), closures=(Closure((start.successors[0],), 0, 900),)))
    _, infos = env.reset()
    assert infos["agent_0"]["action_mask"][: len(start.successors)].tolist() == [0] + [1] * (len(start.successors) - 1)


@pytest.mark.long
def test_an_always_illegal_policy_is_no_better_than_a_random_legal_one(make):
    env = make(drawn(10))

    def illegal(env, agent, observation, mask):
        return 99

    def reward(policy):
        return float(np.mean([drive(env, policy(seed), seed=seed).mean_reward for seed in range(4)]))

    never, random = reward(lambda seed: illegal), reward(random_policy)
    assert never < random + 25
    oracle = drive(make(drawn(10), illegal_action="fastest"), illegal, seed=0).mean_reward
    assert oracle > never + 100
    fined = drive(make(drawn(10), illegal_action="penalty"), illegal, seed=0)
    unfined = drive(make(drawn(10)), illegal, seed=0)
    assert fined.counters.illegal_actions == unfined.counters.illegal_actions
    lost = unfined.mean_reward - fined.mean_reward
    assert lost == pytest.approx(10 * fined.counters.illegal_actions / 10)
    with pytest.raises(UsageError, match="not legal at"):
        drive(make(drawn(10), illegal_action="error"), illegal)


@pytest.mark.slow
def test_forced_choices_are_taken_by_the_environment(make):
    scenario = drawn(6)
    asked = drive(make(scenario), fastest_path)
    spared = drive(make(scenario, forced_choices=True), fastest_path)
    for agent, trajectory in spared.trajectories.items():
        assert trajectory.route == asked.trajectories[agent].route
        assert trajectory.arrival == asked.trajectories[agent].arrival
        assert (trajectory.masks.sum(axis=1) > 1).all()
        choices = sum(len(NETWORK.edge(edge).successors) > 1 for edge in trajectory.route[:-1])
        assert len(trajectory.actions) == choices


def test_reset_without_a_seed_goes_on_drawing():
    env = parallel_env(agents=3)
    try:
        first = env.scenario
        drawn_ones = []
        for seed in (7, None, None, 7, None):
            env.reset(seed=seed)
            drawn_ones.append(env.scenario)
        assert drawn_ones[0] == drawn_ones[3] != first
        assert drawn_ones[1] == drawn_ones[4] != drawn_ones[2]
        assert all(a != b for a, b in pairwise(drawn_ones))
    finally:
        env.close()


def test_drawn_trips_stay_for_as_many_episodes_as_wanted():
    env = RouteEnv(NETWORK, lambda seed: drawn(3, seed), redraw_every=2)
    try:
        seen = []
        for seed in range(4):
            env.reset(seed=seed)
            seen.append(env.scenario.seed)
        assert seen == [0, 0, 2, 2]
    finally:
        env.close()


@pytest.mark.slow
def test_the_end_of_an_episode_fits_the_trips(make, caplog):
    assert make(drawn(3)).max_steps == 200
    slow = tuple(replace(trip, departure=trip.departure + 5000) for trip in drawn(3).agents)
    late = replace(drawn(3), agents=slow)
    env = make(late)
    assert drive(env, fastest_path).arrival_rate == 1.0
    assert 1000 < env.max_steps < 1300
    drive(make(late, max_steps=200), fastest_path)
    assert "3 of 3 trips cannot end by 1000 s" in caplog.text


@pytest.mark.slow
def test_rewards_of_time(make):
    scenario = drawn(10, departure_window=0)
    episode = drive(make(scenario, reward="time"), fastest_path)
    for trajectory in episode.trajectories.values():
        assert trajectory.total_reward == pytest.approx(-0.1 * trajectory.travel_seconds)
    together = drive(make(scenario, reward="fleet"), fastest_path)
    seconds = [t.travel_seconds for t in together.trajectories.values()]
    last = max(together.trajectories.values(), key=lambda t: t.travel_seconds)
    assert last.total_reward == pytest.approx(-0.1 * np.mean(seconds))
    marginal = drive(make(scenario, reward="marginal"), fastest_path)
    for agent, trajectory in marginal.trajectories.items():
        own = episode.trajectories[agent].total_reward
        assert 2 * own - 1e-9 <= trajectory.total_reward <= own + 1e-9


@pytest.mark.slow
def test_a_red_light_is_not_hours(make):
    env = make(drawn(10, background=40))
    episode = drive(env, fastest_path)
    scores = np.concatenate([t.observations[:, 2::2].ravel() for t in episode.trajectories.values()])
    assert scores.max() <= 90 + NETWORK.travel_times.max() + 1e-3


def test_many_agents_may_start_on_one_street(make):
    start = NETWORK.edge(max(NETWORK.edges, key=lambda e: e.length).id)
    trip = drawn().agents[0]
    crowd = tuple(replace(trip, agent=k, id=f"c{k}", start_edge=start.id, departure=0.0) for k in range(40))
    env = make(Scenario("braunschweig", 0, crowd))
    episode = drive(env, fastest_path)
    seconds = sorted(t.travel_seconds for t in episode.trajectories.values())
    # Waiting to be inserted counts: they come one after the other.
    assert seconds[-1] > seconds[0] + 30
    env = make(Scenario("braunschweig", 0, crowd), max_steps=4)
    assert 10 < drive(env, fastest_path).counters.never_inserted < 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"background": (BackgroundTrip("x", "y", 0.0, id="agent_0"),)}, "Two vehicles have the id 'agent_0'"),
        ({"agents": (replace(drawn(1).agents[0], type="tank"),)}, "of type 'tank', which nothing defines"),
        ({"begin": 90.0}, "departs at .* before 90 s"),
        ({"agents": (replace(drawn(1).agents[0], destination_edge=NETWORK.edges[0].id),)}, "does not end at"),
    ],
)
def test_a_scenario_that_contradicts_itself(change, message):
    with pytest.raises(UsageError, match=message):
        replace(drawn(1), **change).check(NETWORK)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["libsumo", "traci"])
def test_sumo_says_why_it_refuses_a_network(leed, backend):
    text = NETWORK.net_file.read_text(encoding="utf-8")
    Path("odd.net.xml").write_text(text.replace('<phase duration="', '<phase duration="x', 1), encoding="utf-8")
    ran = leed(*GENERATE, "odd.net.xml", "-s", f"environment.backend={backend}")
    assert ran.code == 2
    assert "SUMO cannot use odd.net.xml: sumo says: Attribute 'duration' in definition of phase" in ran.err
    assert not Path("run").exists()


def test_sumo_says_why_it_refuses_a_vehicle(make):
    trip = replace(drawn().agents[0], attributes={"departPos": "99999"})
    with pytest.raises(UsageError, match="SUMO refuses"):
        drive(make(Scenario("braunschweig", 0, (replace(trip, attributes={"departLane": "x"}),))), fastest_path)
