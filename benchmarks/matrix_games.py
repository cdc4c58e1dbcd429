"""Games whose best return is known: climbing and penalty (25 repetitions), and the two-step game of QMIX's paper.

    nice -n 10 python benchmarks/matrix_games.py mappo --game climbing --seeds 5
    nice -n 10 python benchmarks/matrix_games.py qmix --game two-step --seeds 5

Climbing and penalty are those of Claus and Boutilier 1998, repeated 25 times as in Papoudakis et al. 2021
(arXiv 2006.07869): an episode's best return is 275 and 250. Agents see nothing but that the game goes on. Two-step is
that of Rashid et al. 2018 (arXiv 1803.11485): best 8, and 7 for those who take the safe way.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from leed_agentic.learning.algorithms import algorithm_class
from leed_agentic.learning.rollout import ParallelWorld
from leed_agentic.learning.trainer import Trainer
from leed_agentic.setting_groups import LearningSettings

CLIMBING = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]
PENALTY = [[-100, 0, 10], [0, 2, 0], [10, 0, -100]]
REPEATED = 25
BEST = {"climbing": 11 * REPEATED, "penalty": 10 * REPEATED, "two-step": 8}
SECOND = {"A": [[7, 7], [7, 7]], "B": [[0, 1], [1, 8]]}
"""What is earned after agent 1 chose 2A or 2B."""


class Game(ParallelEnv):
    """Two agents that earn the same; what they observe is a one-hot of the state."""

    metadata = {"name": "matrix"}  # noqa: RUF012 - PettingZoo's own form
    possible_agents = ["1", "2"]  # noqa: RUF012
    states, choices = ("on",), 3

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 1, (len(self.states),))

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Discrete(self.choices)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.at, self.steps = list(self.possible_agents), self.states[0], 0
        return self._observed(), {a: {} for a in self.agents}

    def step(self, actions: Any) -> Any:
        earned, over = self.play(actions["1"], actions["2"])
        if over:
            self.agents = []
        of_all = [dict.fromkeys(self.possible_agents, value) for value in (float(earned), over, False)]
        return self._observed(), *of_all, {a: {} for a in self.possible_agents}

    def play(self, first: int, second: int) -> tuple[float, bool]:
        raise NotImplementedError

    def _observed(self) -> dict[str, np.ndarray]:
        return dict.fromkeys(self.possible_agents, np.array([self.at == s for s in self.states], np.float32))


class Matrix(Game):
    """A matrix game, again and again."""

    def __init__(self, table: list[list[int]]) -> None:
        self.table = table

    def play(self, first: int, second: int) -> tuple[float, bool]:
        self.steps += 1
        return self.table[first][second], self.steps == REPEATED


class TwoStep(Game):
    """Agent 1's first action chooses which game comes second."""

    states, choices = ("1", "A", "B"), 2

    def play(self, first: int, second: int) -> tuple[float, bool]:
        if self.at != "1":
            return SECOND[self.at][first][second], True
        self.at = "B" if first else "A"
        return 0.0, False


GAMES = {"climbing": lambda: Matrix(CLIMBING), "penalty": lambda: Matrix(PENALTY), "two-step": TwoStep}


def greedy_return(algorithm: str, game: str, seed: int, episodes: int, group: dict[str, Any]) -> float:
    """What the likeliest actions earn after training."""
    own = {algorithm.replace("-", "_"): group} if group else {}
    s = LearningSettings(
        algorithm=algorithm, episodes=episodes, hidden=64, learning_rate=1e-3, reward_scale=0.1, source="none", **own
    )
    world = ParallelWorld(GAMES[game]())
    learner = algorithm_class(algorithm)(world.agents, world.actions, world.encoding(s), s, seed)
    Trainer(world, learner, s, seed).run()
    learner.deterministic = True
    return float(np.mean([e.rewards.sum() for e in world.episode(learner.act, 0).experiences.values()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm")
    parser.add_argument("--game", choices=sorted(GAMES), default="climbing")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--settings", type=json.loads, default={}, help="the algorithm's own group, as JSON")
    given = parser.parse_args()
    found = [
        greedy_return(given.algorithm, given.game, seed, given.episodes, given.settings) for seed in range(given.seeds)
    ]
    print(json.dumps({**vars(given), "best": BEST[given.game], "returns": found, "mean": float(np.mean(found))}))


if __name__ == "__main__":
    main()
