"""Files inside the page: the vehicles as CSV, their routes as GeoJSON and as a SUMO route file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.experiments.table import csv_text
from leed_agentic.report.folder import RunFolder
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.export import edge_lines

MAX_TEXT = 3_000_000
"""Characters of one file; a longer one is left to `leed export`."""
ROUTES = "routes.rou.xml"
COLUMNS = ("agent", "from", "to", "departs", "driven", "seconds", "arrived", "reward", "route")


def downloads(folder: RunFolder, streets: Mapping[str, Any] | None, network: RoadNetwork | None) -> dict[str, str]:
    """File name to text."""
    if streets is None or network is None or not streets["drives"]:
        return {}
    found = {"vehicles.csv": _vehicles(streets)}
    if geojson := _geojson(streets, network):
        found["routes.geojson"] = geojson
    if (folder.path / ROUTES).is_file():
        found[ROUTES] = (folder.path / ROUTES).read_text(encoding="utf-8", errors="replace")
    left_out = sorted(name for name, text in found.items() if len(text) > MAX_TEXT)
    if left_out:
        folder.note(f"Not inside the page, as it is too long: {', '.join(left_out)}; leed export writes it.")
    return {name: text for name, text in found.items() if name not in left_out}


def _vehicles(streets: Mapping[str, Any]) -> str:
    edges = streets["map"]["edges"]
    agents = {str(agent["agent"]): agent for agent in streets["agents"]}
    lines: list[list[str]] = [list(COLUMNS)]
    for drive in streets["drives"]:
        for agent, leg in drive["legs"].items():
            trip = agents[agent]
            route = " ".join(edges[k][0] for k in streets["routes"][leg["route"]] if k >= 0)
            start = edges[trip["start"]][1] or edges[trip["start"]][0]
            figures = [trip["departure"], drive["name"], leg["seconds"], leg["arrived"], leg["reward"]]
            lines.append([agent, start, trip["goal_name"], *("" if f is None else str(f) for f in figures), route])
    return csv_text(lines)


def _geojson(streets: Mapping[str, Any], network: RoadNetwork) -> str:
    """Driven routes as lines in degrees; empty where the map has no place on the globe."""
    try:
        line = edge_lines(network.net_file)
    except UsageError:
        return ""
    edges = streets["map"]["edges"]
    features = [
        {
            "type": "Feature",
            "properties": {"agent": int(agent), "drive": drive["name"], "seconds": leg["seconds"]},
            "geometry": {
                "type": "LineString",
                "coordinates": [
                    place for k in streets["routes"][leg["route"]] if k >= 0 for place in line(edges[k][0])
                ],
            },
        }
        for drive in streets["drives"]
        for agent, leg in drive["legs"].items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
