"""Learning time per agent and update, seconds per episode and peak memory, for fleets of growing size; each size in a
process of its own. With both kinds of networks, both learn from the same episodes, which the first kind drives.

python benchmarks/agents.py [--map berlin] [--agents 10,30,100,300] [--networks each] [--updates 10]
python benchmarks/agents.py --agents 100 --networks each,shared
python benchmarks/agents.py --agents 1000 --networks shared --updates 3
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from functools import partial
from typing import Any

KINDS = ("each", "shared")


def measure(place: str, agents: int, updates: int, kinds: list[str]) -> list[dict[str, Any]]:
    """Median CPU seconds of an update on real episodes of that many agents, demonstrations included."""
    from leed_agentic.learning.algorithms import algorithm_class
    from leed_agentic.learning.session import begin
    from leed_agentic.settings import load_settings

    tree = {"map.name": place, "scenario.agents": agents, "scenario.departure_window": 300.0}
    tree |= {"learning.source": "shortest-path", "learning.episodes": updates + 1}
    settings = {
        kind: load_settings(overrides={**tree, "learning.leed.share_policy": kind == "shared"}, environment={})
        for kind in kinds
    }
    session = begin(settings[kinds[0]], None)
    world, algorithm = session.world, session.trainer.algorithm
    learners = {kinds[0]: algorithm.update}
    for kind in kinds[1:]:
        learning = settings[kind].learning
        other = algorithm_class("leed")(world.agents, world.actions, world.encoding(learning), learning, 0)
        learners[kind] = other.update
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}

    def timed(kind: str, *given: Any) -> dict[str, Any]:
        began = time.process_time()
        result = learners[kind](*given)
        seconds[kind].append(time.process_time() - began)
        return result

    def update(*given: Any) -> dict[str, Any]:
        first, *_ = [timed(kind, *given) for kind in kinds]
        return first

    algorithm.update = update  # type: ignore[method-assign]
    starts: list[float] = []
    session.trainer.watch = lambda row: starts.append(time.process_time())
    rows = session.trainer.run()
    session.close()
    # The first update also pays for what PyTorch sets up once; what others learn is no part of an episode.
    others = sum(sum(seconds[kind][1:]) for kind in kinds[1:])
    episode = (starts[-1] - starts[0] - others) / updates
    decisions = sum(row["decisions"] for row in rows[1:]) / (agents * updates)
    return [
        {
            "agents": agents,
            "networks": kind,
            "decisions_per_agent": decisions,
            "update_ms": 1000 * statistics.median(seconds[kind][1:]),
            "update_ms_per_agent": 1000 * statistics.median(seconds[kind][1:]) / agents,
            "episode_seconds": episode if kind == kinds[0] else None,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        for kind in kinds
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="berlin")
    parser.add_argument("--agents", default="10,30,100,300")
    parser.add_argument("--networks", default="each", help="each (one per agent), shared, or both with a comma between")
    parser.add_argument("--updates", type=int, default=10)
    options = parser.parse_args()
    kinds = options.networks.split(",")
    if not kinds or set(kinds) - set(KINDS):
        parser.error("--networks is each, shared, or each,shared")
    context = multiprocessing.get_context("spawn")
    rows: list[dict[str, Any]] = []
    one = partial(measure, options.map, updates=options.updates, kinds=kinds)
    for agents in map(int, options.agents.split(",")):
        with context.Pool(1) as pool:
            rows += pool.apply(one, (agents,))
    print(
        f"{'agents':>8}{'networks':>10}{'decisions each':>16}{'update ms':>12}{'ms per agent':>14}{'of the first':>14}"
        f"{'episode s':>11}{'peak MB':>10}"
    )
    for row in rows:
        share = row["update_ms_per_agent"] / rows[0]["update_ms_per_agent"]
        episode = "" if row["episode_seconds"] is None else f"{row['episode_seconds']:.2f}"
        print(
            f"{row['agents']:>8}{row['networks']:>10}{row['decisions_per_agent']:>16.1f}{row['update_ms']:>12.1f}"
            f"{row['update_ms_per_agent']:>14.3f}{share:>14.2f}{episode:>11}{row['peak_memory_mb']:>10.0f}"
        )
    print(json.dumps({"benchmark": "agents", "map": options.map, "python": sys.version.split()[0], "rows": rows}))


if __name__ == "__main__":
    main()
