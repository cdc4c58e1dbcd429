"""The trainer on environments that have nothing to do with streets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv

from leed_agentic.errors import UsageError
from leed_agentic.learning.algorithms import algorithms
from leed_agentic.learning.rollout import ParallelWorld, batch_of
from leed_agentic.learning.trainer import Trainer
from leed_agentic.runs.log import read_csv
from leed_agentic.setting_groups import LearningSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "any-environment.md"


def spread():
    from mpe2 import simple_spread_v3

    return ParallelWorld(simple_spread_v3.parallel_env(N=3, max_cycles=25))


def trainer(world, algorithm="ippo", folder=None, **changes):
    settings = LearningSettings(**{"hidden": 8, "algorithm": algorithm, "checkpoint_every": 4, **changes})
    learner = algorithms.get(algorithm)(world.agents, world.actions, world.encoding(settings), settings, 0)
    return Trainer(world, learner, settings, 0, folder=folder)


@pytest.mark.long
def test_the_page_s_script_learns(tmp_path):
    script = tmp_path / "simple_spread.py"
    script.write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
    gains = []
    for seed in ("0", "1"):
        command = [sys.executable, str(script), "ippo", seed, "1000"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        first, last = re.fullmatch(r"first 100: (\S+), last 200: (\S+)\n", said).groups()
        gains.append(float(last) - float(first))
    # Ten seeds gained 2.4 to 6.1, 3.9 on average.
    assert np.mean(gains) > 1.5


@pytest.mark.slow
def test_leed_without_demonstrations_is_ippo():
    rows = [trainer(spread(), algorithm, episodes=12).run() for algorithm in ("ippo", "leed")]
    # Only leed measures an alpha and a distance to demonstrations.
    assert rows[0] == [{name: row[name] for name in rows[0][0]} for row in rows[1]]
    assert rows[0][0]["decisions"] == 75


def test_the_time_limit_of_mpe_bootstraps():
    world = spread()
    driven = world.episode(lambda env, agent, seen, mask: 1, 0)
    batch = batch_of(driven.experiences, 3, world.actions, world.encoding(LearningSettings()))
    assert batch.terminated.tolist() == [0, 0, 0]
    assert [e.arrived for e in driven.experiences.values()] == [False, False, False]
    for e in driven.experiences.values():
        assert e.observations.shape == (25, 18)
        assert not np.array_equal(e.last_observation, e.observations[-1])


@pytest.mark.slow
def test_a_run_folder_can_be_resumed(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    trainer(spread(), folder=whole, episodes=12).run()
    trainer(spread(), folder=parts, episodes=8).run()
    going_on = trainer(spread(), folder=parts, episodes=12)
    going_on.resume()
    assert going_on.episode == 8
    going_on.run()
    assert (parts / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert len(read_csv(parts / "timing.csv")) == 12
    assert not (parts / "triggers.csv").exists()


class Corridor(ParallelEnv):
    """Two agents walk right; the first is there after two steps, the second after three. Standing still is masked."""

    metadata = {"name": "corridor"}  # noqa: RUF012 - PettingZoo's own form
    possible_agents = ["fast", "slow"]  # noqa: RUF012

    def __init__(self, seen=None, does=None):
        self._seen = seen or spaces.Box(0, 9, (1,))
        self._does = does or spaces.Discrete(2)

    def observation_space(self, agent):
        return self._seen

    def action_space(self, agent):
        return self._does

    def reset(self, seed=None, options=None):
        self.agents, self.now = list(self.possible_agents), 0
        return self._told()

    def step(self, actions):
        assert all(action == 1 for action in actions.values())
        self.now += 1
        ended = {a: self.now == (2 if a == "fast" else 3) for a in self.agents}
        observations, infos = self._told()
        rewards = dict.fromkeys(self.agents, 1.0)
        self.agents = [a for a in self.agents if not ended[a]]
        return observations, rewards, ended, dict.fromkeys(ended, False), infos

    def _told(self):
        mask = np.array([0, 1], dtype=np.int8)
        return {a: np.array([self.now], np.float32) for a in self.agents}, {
            a: {"action_mask": mask} for a in self.agents
        }


def test_masks_are_respected_and_agents_may_end_apart():
    row = trainer(ParallelWorld(Corridor()), episodes=1).run()[0]
    assert (row["decisions"], row["arrival_rate"], row["reward_0"], row["reward_1"]) == (5, 1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("seen", "does"),
    [
        (None, spaces.Box(-1, 1, (2,))),
        (None, spaces.Discrete(2, start=1)),
        (spaces.Dict({"a": spaces.Discrete(2)}), None),
    ],
)
def test_spaces_the_trainer_cannot_use(seen, does):
    with pytest.raises(UsageError, match="one observation shape and one Discrete action space from 0"):
        ParallelWorld(Corridor(seen, does))
