"""Routes read from a file of any of the forms in use, and checked against a map."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.validate import Finding, path_findings, route_findings
from leed_agentic.errors import UsageError
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.scenario import AgentTrip, Scenario

LARGEST_FILE = 50_000_000


@dataclass(frozen=True)
class RouteFile:
    """Routes by agent, and their trips where the file tells them."""

    routes: dict[int, list[str]]
    trips: dict[int, AgentTrip]


def read_route_file(file: Path) -> RouteFile:
    """Read demonstrations.json, a SUMO .rou.xml, or JSON of the form {agent: [edge ids]}.

    Raises:
        UsageError: the file is missing, too large, or none of these.
    """
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{file} is larger than {LARGEST_FILE // 1_000_000} MB; split it.")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the route file {file}: {error}.") from error
    if text.lstrip().startswith("<"):
        return RouteFile(_from_sumo(file, text), {})
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is neither JSON nor a SUMO route file ({error}).") from error
    return _from_json(file, data)


def check_routes(network: RoadNetwork, file: RouteFile) -> list[Finding]:
    """Findings for every route that cannot be driven; start and destination are checked where the file tells them."""
    findings = []
    for agent, route in sorted(file.routes.items()):
        trip = file.trips.get(agent)
        if trip is not None:
            findings += route_findings(network, trip, route, max_route_edges=max(len(route), 1))
        elif route:
            findings += path_findings(network, agent, route)
        else:
            findings.append(Finding(agent, "missing_agent", f"Agent {agent} has an empty route."))
    for agent, trip in sorted(file.trips.items()):
        if agent not in file.routes:
            findings.append(Finding(agent, "missing_agent", f"Agent {agent} ({trip.start_edge}) has no route."))
    return findings


def _from_json(file: Path, data: Any) -> RouteFile:
    trips: dict[int, AgentTrip] = {}
    if isinstance(data, dict) and "routes" in data and "scenario" in data:
        trips = {trip.agent: trip for trip in Scenario.from_json(data["scenario"]).agents}
        data = data["routes"]
    try:
        routes = {int(str(agent).removeprefix("agent_")): _edges(route) for agent, route in data.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f'{file} is not of the form {{"0": ["edge", ...]}} ({error}).') from error
    return RouteFile(routes, trips)


def _edges(route: Any) -> list[str]:
    if not isinstance(route, list) or not all(isinstance(edge, str) for edge in route):
        raise TypeError("a route must be a list of edge ids")
    return route


def _from_sumo(file: Path, text: str) -> dict[int, list[str]]:
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(text)
    except (ParseError, DefusedXmlException) as error:
        raise UsageError(f"{file} is not a readable SUMO route file ({error}).") from error
    named = {r.get("id"): (r.get("edges") or "").split() for r in root.iter("route") if r.get("id")}
    routes: dict[int, list[str]] = {}
    for vehicle in root.iter("vehicle"):
        inner = vehicle.find("route")
        edges = (inner.get("edges") or "").split() if inner is not None else named.get(vehicle.get("route") or "", [])
        number = (vehicle.get("id") or "").rpartition("_")[2]
        agent = int(number) if number.isdecimal() and int(number) not in routes else len(routes)
        routes[agent] = edges
    return routes
