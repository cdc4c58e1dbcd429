"""What a round of the demonstration graph costs besides model and simulation, with every call on record.

python benchmarks/graph.py [--map braunschweig] [--agents 10] [--rounds 20] [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


class Clock:
    """CPU seconds spent inside the functions it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Any) -> Any:
        def timed(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*given, **named)
            finally:
                self.seconds += time.process_time() - began

        return timed


def measure(place: str, agents: int, planning: str, rounds: int, runs: int) -> dict[str, Any]:
    """Median over runs of the CPU milliseconds of a round, and how they divide."""
    from leed_agentic.demonstrations import graph
    from leed_agentic.demonstrations.parts import open_parts
    from leed_agentic.demonstrations.state import Context
    from leed_agentic.models.stand_in import StandIn
    from leed_agentic.settings import load_settings

    model, simulation = Clock(), Clock()
    originals = StandIn._generate, graph.drive_routes, graph.fastest_alone
    StandIn._generate = model.around(StandIn._generate)  # type: ignore[method-assign]
    graph.drive_routes, graph.fastest_alone = map(simulation.around, originals[1:])
    tree = {"map.name": place, "scenario.agents": agents, "model.name": "stand-in", "demonstration.planning": planning}
    # No drive is good enough, so that every round is used, and every agent is judged and told of in each.
    tree |= {"demonstration.rounds": rounds, "demonstration.accept_ratio": 1.0, "model.stand_in_error_rate": 0.1}
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):
            home = Path(folder) / str(run)
            home.mkdir()
            parts = open_parts(load_settings(overrides=tree, environment={}), folder=home)
            model.seconds = simulation.seconds = 0.0
            began = time.process_time()
            *_, state = graph.onward_steps(Context(parts=parts))
            whole = time.process_time() - began
            parts.close()
            played = len(state["history"])
            shares = whole - model.seconds - simulation.seconds, model.seconds, simulation.seconds
            made.append([1000 * seconds / played for seconds in shares])
    StandIn._generate, graph.drive_routes, graph.fastest_alone = originals  # type: ignore[method-assign]
    # The first run also pays for imports and for what the network keeps of its searches.
    own, asked, drove = (statistics.median(column) for column in zip(*made[1:], strict=True))
    return {
        "planning": planning,
        "rounds": played,
        "graph_ms": own,
        "model_ms": asked,
        "simulation_ms": drove,
        "graph_share": own / (own + asked + drove),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--map", default="braunschweig")
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rows = [
        measure(options.map, options.agents, planning, options.rounds, options.runs) for planning in ("fleet", "agent")
    ]
    print(f"{'planning':>10}{'rounds':>8}{'graph ms':>10}{'stand-in ms':>13}{'simulation ms':>15}{'graph share':>13}")
    for row in rows:
        print(
            f"{row['planning']:>10}{row['rounds']:>8}{row['graph_ms']:>10.1f}{row['model_ms']:>13.1f}"
            f"{row['simulation_ms']:>15.1f}{row['graph_share']:>13.2f}"
        )
    print(json.dumps({"benchmark": "graph", **vars(options), "python": sys.version.split()[0], "rows": rows}))


if __name__ == "__main__":
    main()
