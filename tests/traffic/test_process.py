"""SUMO in a process of its own: the same episodes, any number in one program, copies, and what is said when it dies."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from leed_agentic import make_env, vector_env
from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.roads.catalogue import open_map
from leed_agentic.setting_groups import EnvironmentSettings, MapSettings, ScenarioSettings
from leed_agentic.traffic.environment import ProcessEnv, RouteEnv
from leed_agentic.traffic.scenario import draw_scenario
from leed_agentic.traffic.trajectory import drive, fastest_path, follow, random_policy
from tests.traffic.test_environment import fingerprint, make, rolled


@pytest.fixture
def apart():
    env = make(backend="process")
    yield env
    env.close()


@pytest.mark.slow
def test_the_same_episodes_as_in_this_process(env_here, apart):
    assert isinstance(apart, ProcessEnv)
    assert apart.pid is None
    assert fingerprint(drive(apart, random_policy(3))) == fingerprint(drive(env_here, random_policy(3)))
    assert fingerprint(drive(apart, fastest_path)) == fingerprint(drive(env_here, fastest_path))
    routes = {agent: apart.route(agent) for agent in range(5)}
    assert fingerprint(drive(apart, follow(routes))) == fingerprint(drive(env_here, follow(routes)))
    assert vars(apart.counters) == vars(env_here.counters)
    assert rolled(apart) == rolled(env_here)


@pytest.fixture
def env_here():
    env = make()
    yield env
    env.close()


@pytest.mark.slow
def test_what_stays_in_the_process_can_be_asked(apart, env_here):
    for env in (apart, env_here):
        env.reset(seed=0)
        env.step(dict.fromkeys(env.agents, 0))
    edge = env_here.network.edges[3].id
    ask = apart.simulation.api.edge.getTraveltime
    assert ask(edge) == env_here.simulation.api.edge.getTraveltime(edge)
    assert apart.junction_columns == env_here.junction_columns
    assert apart.max_steps == env_here.max_steps
    assert apart.places() == env_here.places()
    with pytest.raises(UsageError, match="cannot turn"):
        apart.action_of(0, "nowhere")


@pytest.mark.slow
@pytest.mark.parametrize(
    "again",
    [
        copy.deepcopy,
        pytest.param(copy.copy, marks=pytest.mark.long),
        pytest.param(lambda env: pickle.loads(pickle.dumps(env)), marks=pytest.mark.long),  # noqa: S301
    ],
)
def test_a_copy_makes_its_own_simulation(env_here, again):
    told = rolled(env_here)
    other = again(env_here)
    try:
        env_here.reset(seed=0)
        assert rolled(other) == told
        assert isinstance(other, ProcessEnv)
        assert rolled(env_here) == told
    finally:
        other.close()


@pytest.mark.slow
def test_a_copy_drives_the_trips_of_its_original(apart):
    scenario = draw_scenario(apart.network, ScenarioSettings(agents=5), 77)
    apart.use(scenario)
    other = copy.deepcopy(apart)
    assert other.scenario == scenario
    other.close()


@pytest.mark.long
def test_a_killed_process_is_one_sentence_and_leaves_nothing(apart):
    told = rolled(apart)
    apart.reset(seed=0)
    pid = apart.pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UnavailableError, match=rf"process {pid} was killed by signal 9; reset\(\) starts another"):
        apart.step(dict.fromkeys(apart.agents, 0))
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(UsageError, match=r"Call reset\(\)"):
        apart.step({})
    assert rolled(apart) == told
    assert apart.pid != pid


@pytest.mark.slow
def test_closed_is_closed(apart):
    apart.reset(seed=0)
    pid = apart.pid
    apart.close()
    apart.close()
    assert not Path(f"/proc/{pid}").exists()
    for use in (apart.reset, lambda: apart.step({}), lambda: apart.fleet):
        with pytest.raises(UsageError, match="closed; make a new RouteEnv"):
            use()


PARENT = """
import os, sys
from leed_agentic import make_env
env = make_env(agents=2, backend="process")
env.reset(seed=0)
print(env.pid, flush=True)
os.kill(os.getpid(), 9) if sys.argv[1] == "killed" else None
"""


@pytest.mark.long
@pytest.mark.parametrize("end", ["killed", "ended"])
def test_the_process_dies_with_its_parent_and_needs_no_main_guard(end, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PARENT)
    done = subprocess.run([sys.executable, script, end], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == (-9 if end == "killed" else 0)
    process = Path(f"/proc/{int(done.stdout)}")
    until = time.monotonic() + 60
    while process.exists() and process.joinpath("stat").read_text().split()[2] != "Z" and time.monotonic() < until:
        os.sched_yield()
    assert not process.exists() or process.joinpath("stat").read_text().split()[2] == "Z"


def refuses(seed):
    if seed:
        raise UsageError("No trips on Sundays; take Monday.")
    return draw_scenario(open_map("braunschweig", MapSettings()), ScenarioSettings(agents=2), 0)


@pytest.mark.slow
def test_errors_come_over_as_they_are():
    network = open_map("braunschweig", MapSettings())
    settings = EnvironmentSettings(backend="process")
    env = RouteEnv(network, refuses, settings)
    try:
        env.reset()
        with pytest.raises(UsageError, match="No trips on Sundays"):
            env.reset(seed=1)
        assert env.reset(seed=0)
    finally:
        env.close()
    with pytest.raises(UsageError, match="cannot be sent to another process"):
        RouteEnv(network, lambda seed: refuses(0), settings).reset()
    with pytest.raises(UsageError, match="Unknown reward"):
        make_env(backend="process", reward="nonsense")


# -- several at once ---------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_vector_gives_what_its_environments_give():
    vector = vector_env(2, agents=3, max_cycles=30)
    single = make_env(agents=3, max_cycles=30, arrived="keep")
    try:
        observations, infos = vector.reset(seed=5)
        assert observations.shape == (6, vector.single_observation_space.shape[0])
        assert vector.observation_space.contains(observations)
        alone, facts = single.reset(seed=6)
        assert np.array_equal(observations[3:], list(alone.values()))
        while single.agents:
            masks = vector.action_masks
            assert np.array_equal(masks[3:], [info["action_mask"] for info in facts.values()])
            actions = masks.argmax(axis=1)
            alone, gained, ended, cut, facts = single.step(dict(zip(single.agents, actions[3:].tolist(), strict=True)))
            observations, rewards, terminated, truncated, infos = vector.step(actions)
            seen = infos.get("final_obs", observations)
            assert np.array_equal(seen[3:], list(alone.values()))
            assert rewards[3:].tolist() == list(gained.values())
            assert terminated[3:].tolist() == list(ended.values())
            assert truncated[3:].tolist() == list(cut.values())
        assert infos["_final_obs"].all()
        assert not np.array_equal(infos["final_obs"], observations)
    finally:
        vector.close()
        single.close()
    assert all(env.pid is None for env in vector.environments)


def test_a_vector_of_nonsense_is_refused(caplog):
    with pytest.raises(UsageError, match="cannot be 0 environments"):
        vector_env(0)
    with pytest.raises(UsageError, match="needs arrived=keep"):
        vector_env(2, arrived="leave")
    vector = vector_env(64, agents=2)
    assert "64 environments on" in caplog.text
    with pytest.raises(UsageError, match="3 seeds for 64 environments"):
        vector.reset(seed=[1, 2, 3])
    vector.close()
