"""RouteEnv keeps PettingZoo's contract, repeats itself exactly, and loses nobody on the way."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pettingzoo
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from leed_agentic.errors import UsageError
from leed_agentic.roads.catalogue import open_map
from leed_agentic.setting_groups import EnvironmentSettings, MapSettings, ScenarioSettings
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.route_v0 import ID, parallel_env
from leed_agentic.traffic.scenario import draw_scenario
from leed_agentic.traffic.trajectory import Episode, drive, fastest_path, random_policy

MAPS = ["braunschweig", "berlin", "grid"]


def make(name: str = "braunschweig", agents: int = 5, background: int = 0, seed: int = 0, **settings) -> RouteEnv:
    network = open_map(name, MapSettings())
    scenario = draw_scenario(network, ScenarioSettings(agents=agents, background=background), seed)
    return RouteEnv(network, scenario, EnvironmentSettings(**settings))


@pytest.fixture
def env():
    made = make()
    yield made
    made.close()


def fingerprint(episode: Episode) -> str:
    """Everything an agent saw, did and was paid, to the last bit."""
    return json.dumps(
        [
            [
                t.route,
                t.observations.tobytes().hex(),
                t.actions.tolist(),
                [r.hex() for r in t.rewards.tolist()],
                t.times.tolist(),
                t.travel_seconds,
            ]
            for t in episode.trajectories.values()
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"mask_in_observation": True}, {"arrived": "keep"}, {"backend": "process"}, {"max_cycles": 7}],
    ids=str,
)
def test_keeps_the_parallel_api(settings):
    env = pettingzoo.make("parallel", ID, agents=4, **{"max_steps": 40, **settings})
    try:
        parallel_api_test(env, num_cycles=300)
    finally:
        env.close()


@pytest.mark.slow
def test_equal_seeds_through_step():
    parallel_seed_test(lambda: parallel_env(agents=3, max_steps=40, backend="process"), num_cycles=60)


def rolled(env: RouteEnv, seed: int = 0) -> list[tuple]:
    """Everything that a whole episode of random legal actions told."""
    generator, told = np.random.default_rng(0), []
    observations, infos = env.reset(seed=seed)
    while env.agents:
        actions = {
            name: int(generator.choice(np.flatnonzero(info["action_mask"])))
            for name, info in infos.items()
            if info["decides"] and name in env.agents
        }
        observations, rewards, terminations, truncations, infos = env.step(actions)
        rows = {name: row.tobytes() for name, row in observations.items()}
        told.append((rows, rewards, terminations, truncations, env.state().tobytes()))
        box = env.observation_space("agent_0")
        assert all(box.contains(row) for row in observations.values())
        assert env.state_space.contains(env.state())
    return told


@pytest.mark.slow
@pytest.mark.parametrize("score", ["travel_time", "sumo_travel_time", "vehicles", "straight", "network"])
def test_bounds_are_finite_and_infos_are_numbers(score):
    env = make(score=score, max_steps=60)
    try:
        assert np.isfinite(env.observation_space("agent_0").low).all()
        assert np.isfinite(env.observation_space("agent_0").high).all()
        rolled(env)
        _, infos = env.reset(seed=0)
    finally:
        env.close()
    kinds = {type(value) for info in infos.values() for value in info.values()}
    assert kinds <= {np.ndarray, bool, int}


@pytest.mark.slow
def test_state_says_who_is_under_way(env):
    told = rolled(env)
    under_way = [np.frombuffer(step[4], np.float32)[-5:] for step in told]
    assert under_way[0].tolist() == [1.0] * 5
    assert under_way[-1].tolist() == [0.0] * 5
    env.reset(options={"agents": [1, 3]})
    assert env.state()[-5:].tolist() == [0.0, 1.0, 0.0, 1.0, 0.0]


def test_whoever_arrived_may_stay_until_all_are_done():
    env = make(arrived="keep")
    try:
        assert env.max_cycles is None
        _, infos = env.reset(seed=0)
        home, last = {}, {}
        while env.agents:
            assert env.agents == env.possible_agents
            actions = {
                name: env.action_of(int(name[6:]), env.fleet.fallback(int(name[6:])))
                for name, info in infos.items()
                if info["decides"]
            }
            observations, rewards, terminations, truncations, infos = env.step(actions)
            for name in home:
                assert rewards[name] == 0.0
                assert infos[name]["action_mask"].sum() == 1
                assert not infos[name]["decides"]
                assert np.array_equal(observations[name], last[name])
            home |= {env.possible_agents[agent]: True for agent in env.arrived}
            last = observations
            assert len(set(terminations.values()) | set(truncations.values())) == 1 or not env.agents
        assert all(terminations.values())
        assert len(home) == 5
    finally:
        env.close()


@pytest.mark.slow
def test_max_cycles_truncates():
    env = parallel_env(agents=3, max_cycles=4)
    try:
        assert env.max_cycles == 4
        told = rolled(env)
        assert len(told) == 4
        assert all(told[-1][3].values())
        assert len(rolled(env)) == 4
    finally:
        env.close()
    with pytest.raises(UsageError, match="max_cycles is 0"):
        parallel_env(agents=3, max_cycles=0)


@pytest.mark.slow
def test_pictures_show_the_cars():
    env = parallel_env(agents=3, render_mode="rgb_array")
    try:
        env.reset(seed=0)
        while not env.places():
            env.step(dict.fromkeys(env.agents, 0))
        with_cars = env.render()
        cars = len(env.places())
        places, env.places = env.places, dict
        empty = env.render()
        env.places = places
    finally:
        env.close()
    assert with_cars.dtype == np.uint8
    assert with_cars.shape == empty.shape == (*empty.shape[:2], 3)
    assert 20 * cars < (with_cars != empty).any(axis=2).sum() < 400 * cars
    with pytest.raises(UsageError, match="no render mode 'human'"):
        parallel_env(agents=3, render_mode="human")


def test_spaces_follow_table_1(env):
    m = env.network.max_successors
    observations, infos = env.reset(seed=0)
    assert env.action_space("agent_0").n == m
    assert env.observation_space("agent_0").shape == (2 + 2 * m,)
    for name, row in observations.items():
        agent = int(name.split("_")[1])
        edge, trip = env.current_edge(agent), env.scenario.agents[agent]
        assert row[0] == env.network.junction(edge.to_junction).index
        assert row[1] == env.network.junction(trip.destination).index
        ends = [env.network.junction(env.network.edge(s).to_junction).index for s in edge.successors]
        assert row[3::2].tolist() == ends + [-1.0] * (m - len(ends))
        assert infos[name]["action_mask"].sum() == len(ends)
    assert env.state().shape == env.state_space.shape
    assert np.array_equal(env.state(), np.concatenate([*observations.values(), np.ones(5, np.float32)]))


def until_some_decide(env: RouteEnv, fits) -> tuple[int, dict[str, int]]:
    """Drive on until an agent decides for whom `fits` holds; gives it and every decider's first action."""
    _, infos = env.reset(seed=0)
    while True:
        actions = {name: 0 for name in env.agents if infos[name]["decides"]}
        for name in actions:
            if fits(int(name[6:])):
                return int(name[6:]), actions
        _, _, _, _, infos = env.step(actions)


def test_illegal_action_may_be_replaced_by_the_fastest_path_and_is_reported():
    env = make(illegal_action="fastest")
    try:
        _check_replacement(env)
    finally:
        env.close()


def _check_replacement(env):
    m = env.network.max_successors
    agent, actions = until_some_decide(env, lambda a: len(env.current_edge(a).successors) < m)
    expected, taken = env.fleet.fallback(agent), len(env.route(agent))
    actions[f"agent_{agent}"] = m - 1
    _, _, _, _, infos = env.step(actions)
    assert infos[f"agent_{agent}"]["illegal_action"]
    assert env.route(agent)[taken] == expected
    assert env.counters.illegal_actions == 1


def test_missing_action_names_the_agent(env):
    agent, actions = until_some_decide(env, lambda a: True)
    del actions[f"agent_{agent}"]
    with pytest.raises(UsageError, match=f"agent_{agent} must decide"):
        env.step(actions)


def test_fastest_path_arrives_terminates_and_is_paid(env):
    episode = drive(env, fastest_path)
    assert episode.arrival_rate == 1.0
    for agent, trajectory in episode.trajectories.items():
        trip = env.scenario.agents[agent]
        path = env.network.shortest_path(trip.start_edge, trip.destination)
        assert list(trajectory.route) == path
        assert trajectory.travel_seconds >= env.network.path_time(path[:-1])
        gained = env.network.straight_distance(env.network.edge(path[0]).to_junction, trip.destination)
        settings = env.settings
        expected = (
            settings.progress_weight * gained
            - settings.time_penalty * trajectory.travel_seconds
            + settings.arrival_bonus
        )
        assert trajectory.total_reward == pytest.approx(expected)


@pytest.mark.slow
def test_cap_truncates(env):
    env = env
    observations, infos = env.reset(seed=0)
    policy, steps = random_policy(0), 0
    short = env.max_steps * env.settings.step_seconds
    while env.agents:
        actions = {
            name: policy(env, int(name[6:]), observations[name], infos[name]["action_mask"])
            for name in env.agents
            if infos[name]["decides"]
        }
        observations, _, terminations, truncations, infos = env.step(actions)
        steps += 1
    assert env.now == short
    assert any(truncations.values())
    assert not any(terminations[name] and truncations[name] for name in terminations)


def test_only_some_agents_drive(env):
    episode = drive(env, fastest_path, options={"agents": [1, 3]})
    assert sorted(episode.trajectories) == [1, 3]
    assert env.state().shape == env.state_space.shape


@pytest.mark.slow
def test_one_libsumo_per_process(env):
    with pytest.raises(UsageError, match="one simulation per process"):
        make()


@pytest.mark.slow
def test_scenario_of_another_map_is_refused(env):
    berlin = open_map("berlin", MapSettings())
    scenario = draw_scenario(berlin, ScenarioSettings(agents=5), 0)
    with pytest.raises(UsageError, match="has no"):
        RouteEnv(env.network, scenario)


@pytest.mark.slow
def test_fast_reset_is_refused_where_it_is_not_exact():
    with pytest.raises(UsageError, match=r"environment\.reset=load"):
        make(reset="fast", driver_noise=0.5)
    env = make(reset="auto", driver_noise=0.5)
    try:
        first, second = (fingerprint(drive(env, fastest_path, seed=3_000_000_009)) for _ in range(2))
        other = fingerprint(drive(env, fastest_path, seed=4))
    finally:
        env.close()
    assert first == second != other


@pytest.mark.slow
def test_traci_gives_the_same_trajectories():
    env = make(backend="traci", background=5)
    try:
        socket = fingerprint(drive(env, fastest_path))
    finally:
        env.close()
    env = make(background=5)
    try:
        assert fingerprint(drive(env, fastest_path)) == socket
    finally:
        env.close()


def test_seed_draws_another_scenario():
    env = parallel_env(agents=3)
    try:
        env.reset(seed=1)
        first = env.scenario
        env.reset(seed=2)
        second = env.scenario
        env.reset(seed=1)
        assert env.scenario == first != second
    finally:
        env.close()


FRESH_PROCESS = """
import sys
from test_environment import fingerprint, make
from leed_agentic.traffic.trajectory import drive, random_policy
env = make(sys.argv[1], agents=10, background=10, reset=sys.argv[2])
print(fingerprint(drive(env, random_policy(7))))
"""


@pytest.mark.slow
def test_cars_that_sumo_lifts_over_a_jam_drive_on():
    """500 cars at random on Braunschweig's few streets: where SUMO puts them down, their choices are others."""
    env = make(agents=500, teleport_seconds=60, max_steps=60)
    try:
        episode = drive(env, random_policy(0))
        assert env.counters.teleports > 100
        for trajectory in episode.trajectories.values():
            pairs = zip(trajectory.route, trajectory.route[1:], strict=False)
            assert all(after in env.network.edge(before).successors for before, after in pairs)
    finally:
        env.close()


@pytest.mark.long
@pytest.mark.parametrize("name", MAPS)
def test_equal_seeds_give_bit_equal_episodes(name):
    """50 resets in one process, a `load` reset and a fresh process all give the same trajectories; nobody vanishes."""
    env = make(name, agents=10, background=10)
    assert env.simulation.fast_reset
    reference = None
    try:
        for repeat in range(50):
            # Another episode in between, so that the reset has something to clear.
            episode = drive(env, random_policy(7 if repeat % 2 == 0 else repeat))
            assert env.counters.missed == 0
            for trajectory in episode.trajectories.values():
                goal = env.scenario.agents[trajectory.agent].destination
                assert trajectory.arrived == (env.network.edge(trajectory.route[-1]).to_junction == goal) or (
                    # Heading home when the cap came.
                    not trajectory.arrived and env.now == 1000.0
                )
            if repeat % 2 == 0:
                reference = reference or fingerprint(episode)
                assert fingerprint(episode) == reference
    finally:
        env.close()
    for reset in ("auto", "load"):
        command = [sys.executable, "-c", FRESH_PROCESS, name, reset]
        done = subprocess.run(command, cwd=__file__.rsplit("/", 1)[0], capture_output=True, text=True, check=True)
        assert done.stdout.strip().splitlines()[-1] == reference
