"""How far an algorithm gets on mpe2's simple_spread (3 agents, 25 steps) in a given time, beside published figures.

    nice -n 10 python benchmarks/simple_spread.py ippo --minutes 8
    nice -n 10 python benchmarks/simple_spread.py mappo --minutes 8

Papoudakis et al. 2021 (EPyMARL, arXiv 2006.07869) give one return per episode: what all agents are paid, divided by
their number (uoe-agents/epymarl issue 29). Every agent is paid the sum of what the three earn, so that is this sum. In
the original particle world an agent earns minus the sum over landmarks of the nearest agent's distance and -1 per
collision, and every agent collides with itself at every step (openai/multiagent-particle-envs issue 67): -75 per
episode. mpe2 has no such collisions and pays half of each part (local_ratio 0.5). So `return` below is twice the sum of
the agents' rewards, and `as in the original world` that minus 75. The random driver of that issue, about -700 for three
agents, is -233 by this reading, and ours is -238.

Three drivers that learn nothing say what a return means: random, each agent to the landmark nearest to it at the start,
and each to its own by the assignment with the least distance in all, which is about the best there is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from mpe2 import simple_spread_v3
from scipy.optimize import linear_sum_assignment

from leed_agentic.learning.algorithms import algorithm_class
from leed_agentic.learning.rollout import SEED_STRIDE, ParallelWorld
from leed_agentic.learning.trainer import Trainer
from leed_agentic.setting_groups import LearningSettings

AGENTS, STEPS, TESTED = 3, 25, 100
ACCELERATION, DAMPING, STEP_SECONDS = 5.0, 0.25, 0.1
"""Of mpe2's agents."""
PUSHES = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
"""Actions 0 to 4 as directions."""
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


def planned_return(seed: int, assigned: bool) -> float:
    """Drivers that know the world: every agent steers to one landmark, the nearest or that of the best assignment."""
    env = simple_spread_v3.parallel_env(N=AGENTS, max_cycles=STEPS, local_ratio=0.5)
    env.reset(seed=seed)
    world, earned = env.unwrapped.world, 0.0
    places = np.array([mark.state.p_pos for mark in world.landmarks])
    distances = np.linalg.norm(np.array([a.state.p_pos for a in world.agents])[:, None] - places, axis=2)
    goals = places[linear_sum_assignment(distances)[1] if assigned else distances.argmin(1)]
    while env.agents:
        actions = {name: _towards(a, goal) for name, a, goal in zip(env.agents, world.agents, goals, strict=True)}
        earned += sum(env.step(actions)[1].values())
    return 2.0 * earned


def _towards(agent: Any, goal: np.ndarray) -> int:
    """The action after which the agent, left to roll for two more steps, is nearest to the goal."""
    pushed = agent.state.p_vel * (1 - DAMPING) + PUSHES * ACCELERATION * STEP_SECONDS
    after = agent.state.p_pos + pushed * STEP_SECONDS * (2 + (1 - DAMPING))
    return int(np.linalg.norm(after - goal, axis=1).argmin())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm", choices=["ippo", "mappo", "qmix"])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    s = LearningSettings(**SETTINGS, algorithm=options.algorithm)
    world = ParallelWorld(simple_spread_v3.parallel_env(N=AGENTS, max_cycles=STEPS, local_ratio=0.5))
    agents = algorithm_class(options.algorithm)(world.agents, world.actions, world.encoding(s), s, options.seed)
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
        driven = [episode_return(world, agents.act, seed) for seed in seeds]
        finals["likeliest" if deterministic else "sampled"] = [float(np.mean(driven)), float(np.std(driven, ddof=1))]
    chance = np.random.default_rng(options.seed)
    idle = [episode_return(world, lambda *_: int(chance.integers(5)), seed) for seed in range(TESTED)]
    references = {"uniform random": idle}
    for name, assigned in (("nearest landmark", False), ("best assignment", True)):
        references[name] = [planned_return(seed, assigned) for seed in range(TESTED)]
    finals |= {name: [float(np.mean(x)), float(np.std(x, ddof=1))] for name, x in references.items()}
    for name, (mean, deviation) in finals.items():
        print(f"{name:16} {TESTED} episodes: {mean:8.1f} +- {deviation:.1f}; as in the original world {mean - 75:.1f}")
    facts = {"benchmark": "simple_spread", **vars(options), "curve": curve, "final": finals}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
