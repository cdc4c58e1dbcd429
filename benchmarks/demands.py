"""Demands to measure on, as SUMO trips: one file a seed, the same file whenever it is made.

    python benchmarks/demands.py --map portland --vehicles 500 --seeds 6-10
    python benchmarks/demands.py --map kowloon --pattern cross --seeds 4-8

uniform: from any street of 10 m or more to a junction at least 30 % of the map's longest fastest trip away. cross: such
trips from a street that ends among the westernmost 30 % of the junctions to one of the easternmost 30 %. Several may
start on one street. Departures are whole seconds within 300. Prints the files that it wrote.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.settings import load_settings
from leed_agentic.traffic.scenario import MIN_START_LENGTH

FAR, SIDE, WINDOW = 0.3, 0.3, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="portland")
    parser.add_argument("--pattern", choices=["uniform", "cross"], default="uniform")
    parser.add_argument("--vehicles", type=int, default=500)
    parser.add_argument("--seeds", default="6-10", help="first and last")
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args()
    first, last = map(int, options.seeds.split("-"))
    network = open_map(options.map, load_settings().map)
    starts, goals = ends_of(network, options.pattern)
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(first, last + 1):
        generator = np.random.default_rng([seed, options.vehicles])
        routes = Element("routes")
        for number, second in enumerate(sorted(generator.integers(0, WINDOW, options.vehicles).tolist())):
            start, goal = trip(network, starts, goals, generator)
            words = {"id": str(number), "depart": str(second), "departLane": "best", "from": start, "toJunction": goal}
            SubElement(routes, "trip", words)
        indent(routes)
        file = options.out / f"{options.map}_{options.pattern}_{options.vehicles}_seed{seed}.trips.xml.gz"
        # No time in the header: the same bytes every time.
        file.write_bytes(gzip.compress(tostring(routes), mtime=0))
        print(file)


def ends_of(network: RoadNetwork, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the edges that trips may start on, and of which junctions they may lead to: bool, (junctions,)."""
    places = np.array([junction.x for junction in network.junctions])
    ends = network.end_points[:, 0]
    starts = np.array([edge.length >= MIN_START_LENGTH for edge in network.edges])
    if pattern == "uniform":
        return np.flatnonzero(starts), np.ones(len(places), dtype=bool)
    west, east = np.quantile(places, (SIDE, 1 - SIDE))
    return np.flatnonzero(starts & (ends <= west)), places >= east


def trip(
    network: RoadNetwork, starts: np.ndarray, goals: np.ndarray, generator: np.random.Generator
) -> tuple[str, str]:
    """A start edge and a junction, drawn again until the junction is far enough."""
    while True:
        start = network.edges[int(generator.choice(starts))].id
        times = network.trip_times(start)
        far = np.flatnonzero(goals & np.isfinite(times) & (times >= FAR * network.diameter))
        if len(far):
            return start, network.junctions[int(generator.choice(far))].id


if __name__ == "__main__":
    main()
