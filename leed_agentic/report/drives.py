"""Driven episodes for the animation: when each vehicle was on which street, and where expert and agent part."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.report.folder import RunFolder
from leed_agentic.report.routes import RouteTable
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.similarity import dtw_distance
from leed_agentic.traffic.trajectory import Trajectory, load_trajectories


def trajectories_in(folder: RunFolder, file: Path | None) -> dict[int, Trajectory]:
    """Trajectories by agent; none when the file is missing or damaged."""
    if file is None or not file.is_file():
        return {}
    try:
        return load_trajectories(file)[0]
    except UsageError as error:
        folder.note(f"{file.name} is left out: {error}")
        return {}


def latest_experts(folder: RunFolder) -> Path | None:
    """The demonstrations that a training run's latest checkpoint learns from."""
    files = sorted((folder.path / "checkpoints").glob("[0-9]*/experts.json"))
    return files[-1] if files else None


def entry_times(
    decided: Sequence[float], travel_times: Sequence[float], departure: float, end: float, arrived: bool
) -> list[float]:
    """Seconds at which a vehicle enters each edge of its route, and at last the second it leaves the last one.

    A decision is taken once per environment step, on entering an edge or somewhat ahead; the times between follow from
    the fact that nobody drives faster than the speed limit. Exact to about two steps.

    Args:
        decided: seconds of the decisions; decision k is taken for the edge behind edge k.
        travel_times: free-flow seconds of every edge of the route.
        end: arrival, or the episode's end for a vehicle that did not arrive.
    """
    entries = [departure]
    for k in range(1, len(travel_times)):
        earliest = entries[-1] + travel_times[k - 1]
        entries.append(max(decided[k], earliest) if k < len(decided) else earliest)
    left, latest = 0.0, [end]
    if arrived:
        for seconds in reversed(travel_times):
            left += seconds
            latest.append(end - left)
        latest.reverse()
        entries = [min(entry, bound) for entry, bound in zip(entries, latest, strict=False)]
    else:
        end = min(end, entries[-1] + (travel_times[-1] if travel_times else 0.0))
    times: list[float] = []
    for entry in (*entries, end):
        times.append(min(max(entry, times[-1] if times else departure), max(end, departure)))
    return times


def drive_data(
    name: str,
    trajectories: Mapping[int, Trajectory],
    scenario: Scenario,
    seconds: float | None,
    table: RouteTable,
) -> dict[str, Any] | None:
    """One driven episode: per agent its route's number, entry times, arrival, seconds and reward; traffic per edge.

    Args:
        seconds: when an episode is cut off; None when unknown.
    """
    network = table.network
    legs: dict[str, Any] = {}
    for agent, t in sorted(trajectories.items()):
        if agent >= len(scenario.agents) or not t.route or not all(map(network.has_edge, t.route)):
            continue
        departure = scenario.agents[agent].departure
        last_seen = max([departure, *map(float, t.times)])
        end = departure + t.travel_seconds if t.travel_seconds is not None else max(seconds or 0.0, last_seen)
        free = [network.edge(e).travel_time for e in t.route]
        times = entry_times([float(s) for s in t.times], free, departure, end, t.arrived)
        legs[str(agent)] = {
            "route": table.number(t.route),
            "times": [round(s, 1) for s in times],
            "arrived": t.arrived,
            "seconds": t.travel_seconds,
            "reward": round(t.total_reward, 2) if math.isfinite(t.total_reward) else None,
        }
    if not legs:
        return None
    return {"name": name, "legs": legs, "traffic": traffic(legs, table)}


def traffic(legs: Mapping[str, Any], table: RouteTable) -> list[tuple[int, int, float]]:
    """Per used edge: its number, how many of the agents' vehicles drove on it, and for how many seconds together."""
    vehicles: dict[int, set[str]] = defaultdict(set)
    seconds: dict[int, float] = defaultdict(float)
    for agent, leg in legs.items():
        for k, edge in enumerate(table.routes[leg["route"]]):
            vehicles[edge].add(agent)
            seconds[edge] += leg["times"][k + 1] - leg["times"][k]
    return [(edge, len(agents), round(seconds[edge], 1)) for edge, agents in sorted(vehicles.items())]


def comparison(
    network: RoadNetwork, experts: Mapping[int, Trajectory], own: Mapping[int, Trajectory]
) -> dict[str, Any]:
    """Per agent with both: how many edges expert and agent share before they part (None: they never do), and DTW in
    metres between the junctions they pass."""
    pairs = {}
    for agent in sorted(set(experts) & set(own)):
        shared = parting(experts[agent].route, own[agent].route)
        try:
            distance = round(dtw_distance(experts[agent].positions, own[agent].positions), 1)
        except UsageError:
            distance = None
        pairs[str(agent)] = {"shared": shared, "dtw": distance}
    return pairs


def parting(expert: Sequence[str], own: Sequence[str]) -> int | None:
    """Number of edges shared from the start; None when the shorter route is the beginning of the longer one."""
    for shared, (theirs, ours) in enumerate(zip(expert, own, strict=False)):
        if theirs != ours:
            return shared
    return None
