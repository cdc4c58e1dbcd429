"""Processor time of episodes with SUMO in a process of its own, beside the same episodes in this process.

python benchmarks/process.py [--map NAME] [--agents 10] [--episodes 20] [--repeats 3]

Both are driven by turns in one run, by random legal actions of the same seeds; what the other process spends counts.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from leed_agentic import make_env
from leed_agentic.traffic.environment import RouteEnv


def spent(env: RouteEnv) -> float:
    """Seconds of processor of this process and of the environment's."""
    pid = getattr(env, "pid", None)
    own = time.process_time()
    if not pid:
        return own
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(env: RouteEnv, episodes: int) -> int:
    """Steps of as many episodes."""
    steps = 0
    for seed in range(episodes):
        generator = np.random.default_rng(seed)
        _, infos = env.reset(seed=0)
        while env.agents:
            actions = {
                name: int(generator.choice(np.flatnonzero(info["action_mask"])))
                for name, info in infos.items()
                if info["decides"]
            }
            *_, infos = env.step(actions)
            steps += 1
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--map", default="braunschweig")
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    ratios = []
    envs = [make_env(given.map, agents=given.agents, backend=backend) for backend in ("libsumo", "process")]
    for env in envs:
        drive(env, 2)
    for _ in range(given.repeats):
        took = []
        for env in envs:
            began = spent(env)
            steps = drive(env, given.episodes)
            took.append((spent(env) - began) / steps)
        ratios.append(took[1] / took[0])
        print(f"{took[0] * 1e6:.0f} us a step here, {took[1] * 1e6:.0f} us apart, ratio {ratios[-1]:.2f}")
    for env in envs:
        env.close()
    print(f"median ratio {np.median(ratios):.2f}, {given.agents} agents on {given.map}")


if __name__ == "__main__":
    main()
