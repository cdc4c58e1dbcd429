"""Milliseconds of an update for fleets of growing size, on a processor or a GPU, without SUMO.

Episodes and demonstrations are drawn by seed: what an update costs depends on how many decisions there are, not on what
they say. Lengths are those of 1,000 untrained agents in Berlin (mean 29 decisions, the longest 120; demonstrations 23
and 57), which `python benchmarks/agents.py --agents 1000` drives.

python benchmarks/updates.py [--device cuda] [--agents 100,1000,4000] [--networks each] [--updates 20]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch

from leed_agentic.learning.algorithms import algorithm_class
from leed_agentic.learning.encoding import Encoding
from leed_agentic.settings import load_settings
from leed_agentic.traffic.trajectory import Trajectory

COLUMNS, NUMBERS, JUNCTIONS, ACTIONS = 10, (0, 1, 2, 3, 4, 5), 1000, 4
OWN, DEMONSTRATED = (29, 120), (23, 57)


def drawn(chance: np.random.Generator, agent: int, mean: int, most: int) -> Trajectory:
    """An agent's episode, as long as a geometric draw says."""
    count = min(int(chance.geometric(1 / mean)), most)
    observations = chance.normal(size=(count + 1, COLUMNS)).astype(np.float32)
    observations[:, list(NUMBERS)] = chance.integers(JUNCTIONS, size=(count + 1, len(NUMBERS)))
    return Trajectory(
        agent=agent,
        observations=observations[:-1],
        masks=np.ones((count, ACTIONS), dtype=np.int8),
        actions=chance.integers(ACTIONS, size=count),
        rewards=chance.normal(size=count),
        times=np.arange(count),
        route=(),
        positions=100 * np.cumsum(chance.normal(size=(count + 1, 2)), axis=0),
        arrived=bool(chance.integers(2)),
        travel_seconds=None,
        last_observation=observations[-1],
    )


def measure(agents: int, networks: str, device: str, updates: int) -> dict[str, float | int | str]:
    """Median seconds by the clock of an update; the first two, which set PyTorch up, are not counted."""
    chance = np.random.default_rng(0)
    own = {agent: drawn(chance, agent, *OWN) for agent in range(agents)}
    demonstrated = {agent: drawn(chance, agent, *DEMONSTRATED) for agent in range(agents)}
    tree = {"learning.device": device, "learning.leed.share_policy": networks == "shared"}
    settings = load_settings(overrides=tree, environment={}).learning
    encoding = Encoding(COLUMNS, NUMBERS, JUNCTIONS)
    algorithm = algorithm_class("leed")(agents, ACTIONS, encoding, settings, 0)
    seconds = []
    for episode in range(updates + 2):
        began = time.perf_counter()
        algorithm.update(own, demonstrated, episode)
        seconds.append(time.perf_counter() - began)
    taken = statistics.median(seconds[2:])
    decisions = sum(len(tau.actions) for tau in own.values())
    return {
        "agents": agents,
        "networks": networks,
        "decisions_per_agent": decisions / agents,
        "update_ms": 1e3 * taken,
        "us_per_agent": 1e6 * taken / agents,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--agents", default="100,1000,4000")
    parser.add_argument("--networks", default="each", help="each (one per agent), shared, or both with a comma between")
    parser.add_argument("--updates", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'agents':>8}{'networks':>10}{'decisions each':>16}{'update ms':>12}{'us per agent':>14}")
    rows = []
    for networks in options.networks.split(","):
        for agents in map(int, options.agents.split(",")):
            row = measure(agents, networks, options.device, options.updates)
            rows.append(row)
            print(
                f"{agents:>8}{networks:>10}{row['decisions_per_agent']:>16.1f}{row['update_ms']:>12.1f}"
                f"{row['us_per_agent']:>14.1f}",
                flush=True,
            )
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else "processor"
    print(json.dumps({"benchmark": "updates", "device": name, "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
