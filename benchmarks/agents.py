"""Learning time per agent and update, and peak memory, for fleets of growing size; each size in a process of its own.

python benchmarks/agents.py [--map berlin] [--agents 10,30,100,300] [--updates 10]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time


def measure(place: str, agents: int, updates: int) -> dict[str, float]:
    """Median CPU seconds of an update on real episodes of that many agents, demonstrations included."""
    from leed_agentic.learning.session import begin
    from leed_agentic.settings import load_settings

    tree = {"map.name": place, "scenario.agents": agents, "scenario.departure_window": 300.0}
    tree |= {"learning.source": "shortest-path", "learning.episodes": updates + 1}
    session = begin(load_settings(overrides=tree, environment={}), None)
    algorithm, seconds = session.trainer.algorithm, []
    update = algorithm.update

    def timed(*given):
        began = time.process_time()
        result = update(*given)
        seconds.append(time.process_time() - began)
        return result

    algorithm.update = timed  # type: ignore[method-assign]
    rows = session.trainer.run()
    session.close()
    # The first update also pays for what PyTorch sets up once.
    median = statistics.median(seconds[1:])
    return {
        "agents": agents,
        "decisions_per_agent": sum(row["decisions"] for row in rows[1:]) / (agents * updates),
        "update_ms": 1000 * median,
        "update_ms_per_agent": 1000 * median / agents,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--map", default="berlin")
    parser.add_argument("--agents", default="10,30,100,300")
    parser.add_argument("--updates", type=int, default=10)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows = []
    for agents in map(int, options.agents.split(",")):
        with context.Pool(1) as pool:
            rows.append(pool.apply(measure, (options.map, agents, options.updates)))
    print(
        f"{'agents':>8}{'decisions each':>16}{'update ms':>12}{'ms per agent':>14}{'of the first':>14}{'peak MB':>10}"
    )
    for row in rows:
        share = row["update_ms_per_agent"] / rows[0]["update_ms_per_agent"]
        print(
            f"{row['agents']:>8}{row['decisions_per_agent']:>16.1f}{row['update_ms']:>12.1f}"
            f"{row['update_ms_per_agent']:>14.3f}{share:>14.2f}{row['peak_memory_mb']:>10.0f}"
        )
    print(json.dumps({"benchmark": "agents", "map": options.map, "python": sys.version.split()[0], "rows": rows}))


if __name__ == "__main__":
    main()
