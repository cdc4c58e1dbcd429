"""How far an algorithm gets on mpe2's simple_spread (3 agents, 25 steps) in a given time, beside published figures.

    nice -n 10 python benchmarks/simple_spread.py ippo --minutes 8
    nice -n 10 python benchmarks/simple_spread.py mappo --minutes 8

Papoudakis et al. 2021 (EPyMARL, arXiv 2006.07869) give one return per episode, which we read as what all three agents
earn, summed. In the original particle world an agent earns minus the sum over landmarks of the nearest agent's distance
and -1 per collision, and every agent collides with itself at every step (openai/multiagent-particle-envs issue 67): -75
per episode. mpe2 has no such collisions and pays half of each part (local_ratio 0.5). So `return` below is twice the
sum of the agents' rewards, and `as in the original world` that minus 75. That the figures of EPyMARL's paper were made
with both conventions is our reading; we have not been able to run their code beside ours.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from mpe2 import simple_spread_v3

from leed_agentic.learning.algorithms import algorithms
from leed_agentic.learning.rollout import ParallelWorld
from leed_agentic.learning.trainer import SEED_STRIDE, Trainer
from leed_agentic.settings import LearningSettings

AGENTS, STEPS, TESTED = 3, 25, 100
SETTINGS: Mapping[str, Any] = {
    "episodes": 10_000_000,
    "learning_rate": 5e-4,
    "gamma": 0.99,
    "reward_scale": 1.0,
    "beta": 0.01,
    "mappo": {"batch_episodes": 10},
}
"""Step size, discount, entropy weight and 10 episodes per update as in EPyMARL's settings of MAPPO."""


class TimeUpError(Exception):
    """The minutes are over."""


def episode_return(world: ParallelWorld, choose: Any, seed: int) -> float:
    return 2.0 * sum(float(e.rewards.sum()) for e in world.episode(choose, seed).experiences.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm", choices=[name for name in algorithms.names() if name != "leed"])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    s = LearningSettings(**SETTINGS, algorithm=options.algorithm)
    world = ParallelWorld(simple_spread_v3.parallel_env(N=AGENTS, max_cycles=STEPS, local_ratio=0.5))
    agents = algorithms.get(options.algorithm)(world.agents, world.actions, world.encoding(s), s, options.seed)
    started, returns, curve = time.monotonic(), [], []

    def report() -> None:
        row = [round(time.monotonic() - started), len(returns), len(returns) * STEPS, float(np.mean(returns[-500:]))]
        curve.append(row)
        print(f"{row[0]:6} s {row[1]:7} episodes {row[2]:9} steps   return of the last 500: {row[3]:8.1f}", flush=True)

    def watch(row: Mapping[str, Any]) -> None:
        returns.append(2.0 * AGENTS * row["reward_mean"])
        passed = time.monotonic() - started
        if passed > (len(curve) + 1) * 6.0 * options.minutes:
            report()
        if passed > 60.0 * options.minutes:
            raise TimeUpError

    try:
        Trainer(world, agents, s, options.seed, watch=watch).run()
    except TimeUpError:
        pass
    finals = {}
    for deterministic in (False, True):
        agents.deterministic = deterministic
        seeds = [SEED_STRIDE * (options.seed + 1) - 1 - k for k in range(TESTED)]
        driven = [episode_return(world, agents.choose, seed) for seed in seeds]
        finals["likeliest" if deterministic else "sampled"] = [float(np.mean(driven)), float(np.std(driven, ddof=1))]
    chance = np.random.default_rng(options.seed)
    idle = [episode_return(world, lambda *_: int(chance.integers(5)), seed) for seed in range(TESTED)]
    for name, (mean, deviation) in {**finals, "uniform random": [np.mean(idle), np.std(idle, ddof=1)]}.items():
        print(f"{name:15} {TESTED} episodes: {mean:8.1f} +- {deviation:.1f}; as in the original world {mean - 75:.1f}")
    facts = {"benchmark": "simple_spread", **vars(options), "curve": curve, "final": finals, "random": np.mean(idle)}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
