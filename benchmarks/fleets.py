"""Small fleets: what a few cars gain from knowing the lights, and whether any drive ends worse than its baselines.

    python benchmarks/fleets.py few --map portland --agents 10,50 --seeds 5
    python benchmarks/fleets.py never-worse --maps braunschweig,berlin,portland --scenarios 20

few: in RouteEnv, as training and evaluation drive. `lights` are the paths that know the static programmes, `faster` has
each car keep the faster of its two drives, `loop` is argmin after five more drives in plain SUMO. Mean seconds from
planned departure to arrival; in noise (sigma 0.5, other SUMO seeds) the same routes. never-worse: scenarios of 10 to 80
agents by lot, planned by alternatives, instructions and tools with a stand-in that errs. Exit code 1 when one ends
worse. Both print a table and, as the last line, JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from leed_agentic.demonstrations.coordination import FleetInTraffic
from leed_agentic.demonstrations.execute import execute
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.roads.catalogue import open_map
from leed_agentic.settings import Settings
from leed_agentic.traffic.alternatives import argmin
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.paths import Costs
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.starts import shortest_paths
from leed_agentic.traffic.trajectory import Episode

SIGMA = 0.5
WAYS = ("alternatives", "instructions", "tools")
Edges = dict[int, list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["few", "never-worse"])
    parser.add_argument("--map", default="portland")
    parser.add_argument("--agents", default="10,50")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise-seeds", type=int, default=3)
    parser.add_argument("--maps", default="braunschweig,berlin,grid")
    parser.add_argument("--scenarios", type=int, default=20)
    options = parser.parse_args()
    if options.what == "few":
        rows = [row for n in options.agents.split(",") for row in few(options, int(n))]
        print(json.dumps({"benchmark": "few cars", "map": options.map, "rows": rows}))
    else:
        found = [random_fleet(options, number) for number in range(options.scenarios)]
        print(json.dumps({"benchmark": "never worse", "rows": found}))
        sys.exit(any(row["worse"] for row in found))


def few(options: argparse.Namespace, agents: int) -> list[dict[str, Any]]:
    rows = []
    print(f"{agents} cars on {options.map}{'':10} seconds, calm / noise, and ratios to the shortest paths")
    for seed in range(options.seeds):
        settings = settings_for_run(
            overrides={"map.name": options.map, "scenario.agents": agents, "seed": seed, "model.name": "stand-in"}
        )
        row = {"agents": agents, "seed": seed, **small_fleet(settings, options.noise_seeds)}
        rows.append(row)
        print(f"seed {seed}: " + said(row), flush=True)
    means = {
        kind: {name: mean(row[kind][name] / row[kind]["shortest"] for row in rows) for name in rows[0][kind]}
        for kind in ("calm", "noise")
    }
    print(
        "mean of ratios: " + ", ".join(f"{n} {means['calm'][n]:.2f} / {means['noise'][n]:.2f}" for n in means["calm"])
    )
    return rows


def said(row: dict[str, Any]) -> str:
    calm, noise = row["calm"], row["noise"]
    return ", ".join(
        f"{name} {calm[name]:.1f} / {noise[name]:.1f} "
        f"({calm[name] / calm['shortest']:.2f} / {noise[name] / noise['shortest']:.2f})"
        for name in calm
    )


def small_fleet(settings: Settings, noise_seeds: int) -> dict[str, dict[str, float]]:
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_for(network, settings)
    with closing(RouteEnv(network, scenario, settings.environment)) as env:
        fleet = FleetInTraffic(env, scenario, settings.demonstration, settings.seed)
        plans = {
            name: planned(fleet, Costs(fleet.loop.trips.graph, name == "lights")) for name in ("shortest", "lights")
        }
        drives = {name: seconds(execute(env, scenario, plan), scenario) for name, plan in plans.items()}
        faster = {agent: min(drives, key=lambda name: drives[name][agent]) for agent in plans["shortest"]}
        plans["faster"] = {agent: plans[name][agent] for agent, name in faster.items()}
        drives["faster"] = seconds(execute(env, scenario, plans["faster"]), scenario)
        plans["loop"] = looped(fleet)
        drives["loop"] = seconds(execute(env, scenario, plans["loop"]), scenario)
        fleet.close()
    noisy = settings.changed({"environment.driver_noise": SIGMA}).environment
    with closing(RouteEnv(network, scenario, noisy)) as env:
        noise = {
            name: mean(
                mean(seconds(execute(env, scenario, plan, seed), scenario).values())
                for seed in range(1, noise_seeds + 1)
            )
            for name, plan in plans.items()
        }
    return {"calm": {name: mean(drive.values()) for name, drive in drives.items()}, "noise": noise}


def planned(fleet: FleetInTraffic, costs: Costs) -> Edges:
    routes = shortest_paths(fleet.loop.trips, costs, fleet.numbers)
    return {agent: fleet.edges(routes[vehicle]) for vehicle, agent in fleet.numbers.items()}


def looped(fleet: FleetInTraffic) -> Edges:
    fleet.begin()
    for _ in range(fleet.settings.rounds):
        questions = fleet.loop.questions()
        if not questions:
            break
        fleet.loop.answer(argmin(questions, fleet.loop.generator))
    return fleet.routes()


def seconds(episode: Episode, scenario: Scenario) -> dict[int, float]:
    """From planned departure to arrival, by agent; who does not arrive counts to the end."""
    departures = {trip.agent: trip.departure for trip in scenario.agents}
    return {
        agent: episode.seconds - departures[agent] if t.travel_seconds is None else t.travel_seconds
        for agent, t in episode.trajectories.items()
    }


def random_fleet(options: argparse.Namespace, number: int) -> dict[str, Any]:
    generator = np.random.default_rng([number, 16])
    maps = options.maps.split(",")
    wanted = {
        "map.name": maps[number % len(maps)],
        "seed": number,
        "scenario.agents": int(generator.integers(10, 81)),
        "scenario.departure_window": float(generator.choice([10, 30, 120])),
        "demonstration.planning": WAYS[int(generator.integers(len(WAYS)))],
        "demonstration.objective": "fleet",
        "demonstration.rounds": 3,
        "model.name": "stand-in",
    }
    with tempfile.TemporaryDirectory() as folder:
        traffic = generate(settings_for_run(overrides=wanted), Path(folder) / "run").summary["traffic"]
    best = min(traffic["baselines"].values())
    row = {**wanted, **traffic["baselines"], "plan": traffic["fleet_time"], "worse": traffic["fleet_time"] > best}
    about = f"{row['map.name']}, {row['scenario.agents']} agents, {row['demonstration.planning']}"
    print(f"{number:3} {about:44} best baseline {best:7.1f}, plan {row['plan']:7.1f}", flush=True)
    return row


if __name__ == "__main__":
    main()
