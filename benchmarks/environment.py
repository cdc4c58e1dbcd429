"""Processor time of an episode of RouteEnv on given routes, beside the plain sumo program on the same routes.

python benchmarks/environment.py --map NET_OR_NAME --demand TRIPS [--fleet 100%] [--repeats 3]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.programs import sumo_home
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.run_files import write_sumo_run
from leed_agentic.traffic.sumo_run import read_driven
from leed_agentic.traffic.trajectory import drive, follow


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--map", required=True)
    parser.add_argument("--demand", required=True)
    parser.add_argument("--fleet")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    tree = {"map.name": given.map, "scenario.demand": given.demand, "scenario.fleet": given.fleet}
    settings = load_settings(overrides=tree, environment={})
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_for(network, settings)
    routes = {trip.agent: network.shortest_path(trip.start_edge, trip.goal) for trip in scenario.agents}
    env = RouteEnv(network, scenario, settings.environment)
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(given.repeats):
            began = time.process_time()
            episode = drive(env, follow(routes))
            ours.append(time.process_time() - began)
        write_sumo_run(Path(name), network, scenario, routes, settings.environment, episode.driven)
        for _ in range(given.repeats):
            began = children()
            words = [str(sumo_home() / "bin" / "sumo"), "-c", "run.sumocfg"]
            subprocess.run(words, cwd=name, check=True, stdout=subprocess.DEVNULL)
            plain.append(children() - began)
        driven = read_driven(Path(name), begin=scenario.begin, end=episode.driven.end, seed=0)
    env.close()
    arrivals = {scenario.agents[agent].id: t.arrival for agent, t in episode.trajectories.items() if t.arrival}
    other = sum(driven.vehicles[name].arrived != second for name, second in arrivals.items())
    size = f"{len(scenario.agents)} agents, {len(scenario.background)} others"
    print(f"{size}, {episode.seconds:g} s, {len(arrivals)} arrived")
    print(
        f"seconds of processor: environment {min(ours):.2f}, sumo {min(plain):.2f}, ratio {min(ours) / min(plain):.2f}"
    )
    print(
        f"mean travel time {driven.mean_travel_time:.1f} s, arrivals that differ: {other}, teleports {driven.teleports}"
    )


if __name__ == "__main__":
    main()
