"""Which agents share a prompt: those whose corridors overlap, as many as token budget and reply limit take."""

from __future__ import annotations

import json

import numpy as np

from leed_agentic.demonstrations.briefing import adjacency_block, agents_block, junctions_block
from leed_agentic.demonstrations.corridor import corridor
from leed_agentic.demonstrations.names import Names
from leed_agentic.models.tokens import estimated_tokens
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.settings import DemonstrationSettings
from leed_agentic.traffic.scenario import Scenario


def groups(
    network: RoadNetwork,
    scenario: Scenario,
    settings: DemonstrationSettings,
    around: int,
    reply_limit: int,
) -> list[list[int]]:
    """All agents, each in one group, in rising order within a group.

    The first agent without a group begins one; the agent that adds the fewest tokens to it, because most of its streets
    are there already, comes next, as long as both limits hold. An agent too large for any prompt is alone in its group.

    Args:
        around: tokens of a prompt without streets and agents.
        reply_limit: most tokens of a reply.
    """
    names = Names(network, settings.edge_names == "aliases")
    parts, cost = _parts(network, scenario, settings, names)
    own = np.array([_own_tokens(network, scenario, agent, names) for agent in range(len(scenario.agents))])
    spoken = np.array([_reply_tokens(network, scenario, agent, names) for agent in range(len(scenario.agents))])
    waiting = np.ones(len(scenario.agents), dtype=bool)
    found: list[list[int]] = []
    while waiting.any():
        group: list[int] = []
        shown = np.zeros(len(cost), dtype=bool)
        added = parts @ cost + own
        read, answer = float(around), 0.0
        while waiting.any():
            candidates = np.flatnonzero(waiting)
            agent = int(candidates[np.argmin(added[candidates])] if group else candidates[0])
            fits = read + added[agent] <= settings.prompt_tokens and answer + spoken[agent] <= reply_limit
            if group and not fits:
                break
            group.append(agent)
            waiting[agent] = False
            read, answer = read + added[agent], answer + spoken[agent]
            new = np.flatnonzero(parts[agent] & ~shown)
            shown[new] = True
            added -= parts[:, new] @ cost[new]
        found.append(sorted(group))
    return found


def _parts(
    network: RoadNetwork, scenario: Scenario, settings: DemonstrationSettings, names: Names
) -> tuple[np.ndarray, np.ndarray]:
    """Which lines every agent's corridor needs, shape (agents, edges + junctions), and what each costs in tokens."""
    parts = np.zeros((len(scenario.agents), len(network.edges) + len(network.junctions)), dtype=bool)
    for agent, trip in enumerate(scenario.agents):
        for index in corridor(network, trip, settings):
            edge = network.edges[index]
            ends = (network.junction(j).index for j in (edge.from_junction, edge.to_junction))
            parts[agent, [index, *(len(network.edges) + end for end in ends)]] = True
    lines = [*adjacency_block(network, names=names).splitlines(), *junctions_block(network, names=names).splitlines()]
    # A line break each; the lines of a part of the network name fewer next edges, so this is an upper bound.
    return parts, np.array([estimated_tokens(line) + 1 for line in lines], dtype=np.float64)


def _own_tokens(network: RoadNetwork, scenario: Scenario, agent: int, names: Names) -> int:
    return estimated_tokens(agents_block(network, scenario, [agent], names=names)) + 1


def _reply_tokens(network: RoadNetwork, scenario: Scenario, agent: int, names: Names) -> int:
    trip = scenario.agents[agent]
    route = [names.edge(e) for e in network.shortest_path(trip.start_edge, trip.destination)]
    return estimated_tokens(json.dumps({str(agent): route}))
