"""What a reset costs after a driven episode: the fast one, a fresh SUMO load, and starting SUMO anew.

    python benchmarks/reset.py --map braunschweig --repeats 20

Every reset follows a real episode of 10 agents: by turns random choices, cut off after 1000 simulated seconds, and
fastest paths, which end when all have arrived. A fast reset's time holds all of it: removing the vehicles, and SUMO
running on to the next common cycle of the lights. Medians of wall-clock time, in one process.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median

from leed_agentic.roads.catalogue import open_map
from leed_agentic.setting_groups import EnvironmentSettings, MapSettings, ScenarioSettings
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import draw_scenario
from leed_agentic.traffic.simulation import Simulation
from leed_agentic.traffic.trajectory import drive, fastest_path, random_policy


def make(name: str, reset: str) -> RouteEnv:
    network = open_map(name, MapSettings())
    return RouteEnv(network, draw_scenario(network, ScenarioSettings(agents=10), 0), EnvironmentSettings(reset=reset))


def resets(env: RouteEnv, repeats: int) -> list[float]:
    """Seconds of every reset; an episode is driven before each."""
    seconds = []
    for repeat in range(repeats):
        drive(env, random_policy(repeat) if repeat % 2 else fastest_path)
        started = time.perf_counter()
        env.reset(seed=repeat)
        seconds.append(time.perf_counter() - started)
    return seconds


def starts(env: RouteEnv, repeats: int) -> list[float]:
    """Seconds of starting SUMO on the environment's network; what was there before is closed first, untimed."""
    seconds = []
    for _ in range(repeats):
        env.close()
        started = time.perf_counter()
        env.simulation = Simulation(env.network, env.settings)
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="braunschweig")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    found = {}
    for kind in ("fast", "load"):
        env = make(options.map, kind)
        try:
            found[kind] = resets(env, options.repeats)
            if kind == "fast":
                cycle = env.simulation.cycle
            else:
                found["start"] = starts(env, options.repeats)
        finally:
            env.close()
    middle = {kind: median(times) for kind, times in found.items()}
    print(f"{options.map}: common cycle of the lights {cycle} s, {options.repeats} resets of each kind")
    print("  reset     median ms   slowest ms   x fast")
    for kind, times in found.items():
        print(f"  {kind:8} {1e3 * middle[kind]:10.3f} {1e3 * max(times):12.3f} {middle[kind] / middle['fast']:8.0f}")
    seconds = {kind: round(value, 6) for kind, value in middle.items()}
    ratios = {f"{kind}_over_fast": middle[kind] / middle["fast"] for kind in ("load", "start")}
    print(json.dumps({"benchmark": "reset", **vars(options), "cycle": cycle, "seconds": seconds, **ratios}))


if __name__ == "__main__":
    main()
