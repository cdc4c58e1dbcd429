"""Demands to measure on, as SUMO trips: one file a seed, the same file whenever it is made.

    python benchmarks/demands.py --map portland --vehicles 500 --seeds 6-10 -s scenario.min_trip_share=0.3
    python benchmarks/demands.py --map kowloon --vehicles 500 --seeds 4-8 -s scenario.pattern=cross

Trips are drawn as the settings say, departures within 300 s. Prints the files that it wrote.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from leed_agentic.roads.catalogue import open_map
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demand import scenario_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="portland")
    parser.add_argument("--vehicles", type=int, default=500)
    parser.add_argument("--seeds", default="6-10", help="first and last")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("-s", "--set", action="append", default=[], help="any setting")
    options = parser.parse_args()
    first, last = map(int, options.seeds.split("-"))
    drawn = {"map.name": options.map, "scenario.agents": options.vehicles, "scenario.departure_window": 300}
    settings = load_settings(None, options.set, drawn)
    network = open_map(options.map, settings.map)
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(first, last + 1):
        routes = Element("routes")
        trips = scenario_for(network, settings, seed).agents
        for number, trip in enumerate(sorted(trips, key=lambda trip: trip.departure)):
            words = {"id": str(number), "depart": f"{trip.departure:g}", "departLane": "best"}
            SubElement(routes, "trip", words | {"from": trip.start_edge, "toJunction": trip.destination})
        indent(routes)
        name = f"{options.map}_{settings.scenario.pattern}_{options.vehicles}_seed{seed}.trips.xml.gz"
        # No time in the header: the same bytes every time.
        (options.out / name).write_bytes(gzip.compress(tostring(routes), mtime=0))
        print(options.out / name)


if __name__ == "__main__":
    main()
