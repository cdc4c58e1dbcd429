"""What the model is told about the streets and the agents, as compact text. Only ids and numbers reach a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.traffic.scenario import Scenario


def junctions_block(network: RoadNetwork, edges: Iterable[Edge] | None = None) -> str:
    """One line per junction: `id: x, y` in metres."""
    wanted = {j for e in edges for j in (e.from_junction, e.to_junction)} if edges is not None else None
    rows = [j for j in network.junctions if wanted is None or j.id in wanted]
    return "\n".join(f"{j.id}: {j.x:.0f}, {j.y:.0f}" for j in rows)


def adjacency_block(network: RoadNetwork, edges: Iterable[Edge] | None = None) -> str:
    """One line per edge: `edge (length m, to junction): legal next edges`."""
    rows = list(network.edges if edges is None else edges)
    kept = {e.id for e in rows}
    lines = []
    for edge in rows:
        following = ", ".join(s for s in edge.successors if s in kept)
        lines.append(f"{edge.id} ({edge.length:.0f} m, to {edge.to_junction}): {following}")
    return "\n".join(lines)


def agents_block(network: RoadNetwork, scenario: Scenario, agents: Sequence[int]) -> str:
    """One line per agent: start edge, destination junction with the edges that end there, departure."""
    ends: dict[str, list[str]] = {}
    for edge in network.edges:
        ends.setdefault(edge.to_junction, []).append(edge.id)
    lines = []
    for agent in agents:
        trip = scenario.agents[agent]
        last = " or ".join(ends[trip.destination])
        lines.append(
            f"agent {agent}: start edge {trip.start_edge}, destination junction {trip.destination} "
            f"(last edge {last}), departs at {trip.departure:.0f} s"
        )
    return "\n".join(lines)
