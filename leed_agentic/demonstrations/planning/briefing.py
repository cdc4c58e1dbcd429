"""What the model is told about the streets and the agents, as compact text. Only ids and numbers reach a prompt.

Names of streets and maps stay out: map data is anybody's text and could carry instructions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from leed_agentic.demonstrations.names import Names
from leed_agentic.roads.edges import Edge
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.scenario import AgentTrip, Scenario


def junctions_block(network: RoadNetwork, edges: Iterable[Edge] | None = None, names: Names | None = None) -> str:
    """One line per junction of the edges, of the whole network when None: `id: x, y` in metres."""
    names = names or Names(network)
    wanted = {j for e in edges for j in (e.from_junction, e.to_junction)} if edges is not None else None
    rows = [j for j in network.junctions if wanted is None or j.id in wanted]
    return "\n".join(f"{names.junction(j.id)}: {j.x:.0f}, {j.y:.0f}" for j in rows)


def adjacency_block(network: RoadNetwork, edges: Iterable[Edge] | None = None, names: Names | None = None) -> str:
    """One line per edge: `edge (length m, to junction): legal next edges`; edges left out are mentioned nowhere."""
    names = names or Names(network)
    rows = list(network.edges if edges is None else edges)
    kept = {e.id: names.edge(e.id) for e in rows}
    lines = []
    for edge in rows:
        following = ", ".join(kept[s] for s in edge.successors if s in kept)
        lines.append(f"{kept[edge.id]} ({edge.length:.0f} m, to {names.junction(edge.to_junction)}): {following}")
    return "\n".join(lines)


def links_block(network: RoadNetwork, trip: AgentTrip, edges: Iterable[Edge], names: Names | None = None) -> str:
    """One line per edge, in driving order: `edge -> next or next`, or `nothing` where none follows.

    The edges that the trip's start leads to, depth first, what is nearest to its destination in free-flow time going
    first. A small model follows a line to the one below it, and loses it in a long table.
    """
    names = names or Names(network)
    kept = {edge.id: names.edge(edge.id) for edge in edges}
    left = network.times_to(trip.destination)
    lines: dict[str, str] = {}
    waiting = [trip.start_edge]
    while waiting:
        edge = waiting.pop()
        if edge in lines:
            continue
        following = [network.edge(s) for s in network.edge(edge).successors if s in kept]
        lines[edge] = f"{kept[edge]} -> {' or '.join(kept[e.id] for e in following) or 'nothing'}"
        following.sort(key=lambda e: e.travel_time + float(left[e.index]), reverse=True)
        waiting += [e.id for e in following]
    return "\n".join(lines.values())


def example_block(
    network: RoadNetwork, trips: Sequence[AgentTrip], edges: Iterable[Edge], names: Names | None = None
) -> str:
    """The shape of the answer, as JSON, with the agents' own numbers and the first and last edges of their routes."""
    names = names or Names(network)
    ends = {edge.to_junction: names.edge(edge.id) for edge in edges}

    def last_of(trip: AgentTrip) -> str:
        return names.edge(trip.destination_edge) if trip.destination_edge else ends[trip.destination]

    routes = {str(trip.agent): [names.edge(trip.start_edge), "next edge", "next edge", last_of(trip)] for trip in trips}
    return json.dumps(routes)


def agents_block(
    network: RoadNetwork,
    scenario: Scenario,
    agents: Sequence[int],
    edges: Iterable[Edge] | None = None,
    names: Names | None = None,
) -> str:
    """One line per agent: start edge, destination junction with those of the edges that end there, departure."""
    names = names or Names(network)
    ends: dict[str, list[str]] = {}
    for edge in network.edges if edges is None else edges:
        ends.setdefault(edge.to_junction, []).append(names.edge(edge.id))
    lines = []
    for agent in agents:
        trip = scenario.agents[agent]
        only = trip.destination_edge
        last = names.edge(only) if only else " or ".join(ends[trip.destination])
        lines.append(
            f"agent {agent}: start edge {names.edge(trip.start_edge)}, destination junction "
            f"{names.junction(trip.destination)} (last edge {last}), departs at {trip.departure:.0f} s"
        )
    return "\n".join(lines)
