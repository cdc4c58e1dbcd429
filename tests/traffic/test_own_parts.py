"""Rewards, scores and observations of one's own take the place of the registered ones, by dotted path."""

from __future__ import annotations

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.traffic.observation import table1
from leed_agentic.traffic.trajectory import drive, fastest_path, random_policy
from tests.traffic.test_environment import fingerprint, make


@pytest.mark.parametrize("kind", ["reward", "score", "distance", "observation"])
def test_unknown_part_suggests_the_nearest(kind):
    with pytest.raises(UsageError, match=f"Unknown {kind}"):
        make(**{kind: "nonsense"})


def double_arrival(env, agent, change):
    return 2.0 * change.arrived


def others_nearby(env, agent, change):
    """Looks at traffic: minus the agents that have arrived neither."""
    return -float(len(env.under_way)) * change.seconds


def as_it_was(change, settings):
    return 0.0


same_table = table1
NUMBERS = (1, 2)


def test_reward_by_dotted_path(monkeypatch):
    monkeypatch.syspath_prepend(str(__file__).rsplit("/", 1)[0])
    env = make(reward="test_own_parts.double_arrival")
    try:
        assert drive(env, fastest_path).mean_reward == 2.0
    finally:
        env.close()


def test_a_reward_sees_the_traffic(monkeypatch):
    monkeypatch.syspath_prepend(str(__file__).rsplit("/", 1)[0])
    env = make(reward="test_own_parts.others_nearby", step_seconds=1, max_steps=1000)
    try:
        episode = drive(env, fastest_path)
        seconds = sum(t.travel_seconds for t in episode.trajectories.values())
        assert episode.mean_reward * 5 < -2 * seconds
    finally:
        env.close()


def test_a_function_of_other_arguments_is_refused_before_sumo_starts(monkeypatch):
    monkeypatch.syspath_prepend(str(__file__).rsplit("/", 1)[0])
    with pytest.raises(UsageError, match=r"takes \(change, settings\), and is called with \(env, agent, change\)"):
        make(reward="test_own_parts.as_it_was")
    with pytest.raises(UsageError, match="not a function"):
        make(score="test_own_parts.NUMBERS")


@pytest.mark.slow
def test_an_observation_by_dotted_path_is_the_registered_one_to_the_bit(monkeypatch):
    monkeypatch.syspath_prepend(str(__file__).rsplit("/", 1)[0])
    found = []
    for name in ("table1", "test_own_parts.same_table"):
        env = make(observation=name)
        try:
            found.append((env.junction_columns, fingerprint(drive(env, random_policy(3)))))
        finally:
            env.close()
    assert found[0] == found[1]
    assert found[0][0][:4] == (0, 1, 3, 5)
