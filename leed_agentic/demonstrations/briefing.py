"""What the model is told about the streets and the agents, as compact text. Only ids and numbers reach a prompt.

Names of streets and maps stay out: map data is anybody's text and could carry instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.traffic.scenario import Scenario

MAX_ID = 1000
_NOT_IN_IDS = frozenset(" ,;'\"`|\\<>")


def junctions_block(network: RoadNetwork, edges: Iterable[Edge] | None = None) -> str:
    """One line per junction: `id: x, y` in metres."""
    wanted = {j for e in edges for j in (e.from_junction, e.to_junction)} if edges is not None else None
    rows = [j for j in network.junctions if wanted is None or j.id in wanted]
    return "\n".join(f"{_word(j.id)}: {j.x:.0f}, {j.y:.0f}" for j in rows)


def adjacency_block(network: RoadNetwork, edges: Iterable[Edge] | None = None) -> str:
    """One line per edge: `edge (length m, to junction): legal next edges`."""
    rows = list(network.edges if edges is None else edges)
    kept = {_word(e.id) for e in rows}
    lines = []
    for edge in rows:
        following = ", ".join(s for s in edge.successors if s in kept)
        lines.append(f"{edge.id} ({edge.length:.0f} m, to {_word(edge.to_junction)}): {following}")
    return "\n".join(lines)


def agents_block(network: RoadNetwork, scenario: Scenario, agents: Sequence[int]) -> str:
    """One line per agent: start edge, destination junction with the edges that end there, departure."""
    ends: dict[str, list[str]] = {}
    for edge in network.edges:
        ends.setdefault(edge.to_junction, []).append(_word(edge.id))
    lines = []
    for agent in agents:
        trip = scenario.agents[agent]
        last = " or ".join(ends[trip.destination])
        lines.append(
            f"agent {agent}: start edge {trip.start_edge}, destination junction {_word(trip.destination)} "
            f"(last edge {last}), departs at {trip.departure:.0f} s"
        )
    return "\n".join(lines)


def _word(name: str) -> str:
    """The id itself when it is one word, as netconvert writes them; a forged network could hide sentences in one.

    Raises:
        UsageError: the id has spaces, commas, quotes or line breaks, or is very long.
    """
    if name and len(name) <= MAX_ID and name.isprintable() and not any(mark in _NOT_IN_IDS for mark in name):
        return name
    raise UsageError(f"The network has the id {name[:60]!r}, which is not one word; build it again with netconvert.")
