"""One prompt, one reply with every agent's route: the paper's way.

A fleet too large for one prompt has several, each for agents whose corridors overlap, as many as token budget and reply
limit take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from leed_agentic.demonstrations.planning.briefing import adjacency_block, agents_block, junctions_block
from leed_agentic.demonstrations.planning.conversation import converse, first_question
from leed_agentic.demonstrations.planning.corridor import corridor
from leed_agentic.demonstrations.planning.planner import Planned, PlanRequest, planners
from leed_agentic.demonstrations.prompts import BLOCKS
from leed_agentic.models.caller import Message
from leed_agentic.models.tokens import estimated_tokens, prompt_tokens


@planners.register("fleet")
class FleetPlanner:
    """Asks for the fleet at once. Its memory has `groups`, the agents that share a prompt, beside the conversations."""

    def plan(self, request: PlanRequest) -> Planned:
        everyone = replace(request, agents=[trip.agent for trip in request.scenario.agents])
        groups = request.memory.get("groups") or fleet_groups(everyone)
        wanted = set(request.agents)
        topics = {}
        for number, group in enumerate(groups, 1):
            name = "fleet" if len(groups) == 1 else f"fleet, prompt {number} of {len(groups)}"
            topics[name] = [agent for agent in group if agent in wanted]
        # In a fleet of several prompts a refinement holds only the agents it is about: hardly any prompt has all of its
        # agents asked for again, and the whole of it would be paid for in every round.
        topics = {name: agents for name, agents in topics.items() if agents}
        planned = converse(request, "fleet", topics, afresh=len(groups) > 1)
        planned.memory["groups"] = groups
        return planned

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        groups = fleet_groups(request)
        return {
            "fleet" if len(groups) == 1 else f"fleet_{number}": first_question(request, "fleet", agents)
            for number, agents in enumerate(groups, 1)
        }


def fleet_groups(request: PlanRequest) -> list[list[int]]:
    """The agents of each prompt; no first question is above the token budget, unless of one agent alone."""
    if len(request.agents) == 1:
        return [list(request.agents)]
    prompts = request.prompts
    bare = prompts.render("fleet", count=len(request.agents), agent=0, agents="", **dict.fromkeys(BLOCKS, ""))
    around = prompt_tokens([{"role": "system", "content": prompts.render("system")}, {"role": "user", "content": bare}])
    found, waiting = [], _groups(request, around)
    while waiting:
        group = waiting.pop(0)
        tokens = prompt_tokens(first_question(request, "fleet", group))
        if tokens <= request.settings.prompt_tokens or len(group) == 1:
            found.append(group)
        else:
            # A template of the user's own may hold the streets more than once.
            middle = len(group) // 2
            waiting[:0] = [group[:middle], group[middle:]]
    return found


def _groups(request: PlanRequest, around: int) -> list[list[int]]:
    """All agents, each in one group, in rising order within a group.

    The first agent without a group begins one; the agent that adds the fewest tokens to it, because most of its streets
    are there already, comes next, as long as both limits hold. An agent too large for any prompt is alone in its group.

    Args:
        around: tokens of a prompt without streets and agents.
    """
    lines, cost = _lines(request)
    alone = np.array([_agent_tokens(request, agent) for agent in request.agents])
    spoken = np.array([_reply_tokens(request, agent) for agent in request.agents])
    waiting = np.ones(len(request.agents), dtype=bool)
    found: list[list[int]] = []
    while waiting.any():
        group: list[int] = []
        included = np.zeros(len(cost), dtype=bool)
        added = lines @ cost + alone
        read, answer = float(around), 0.0
        while waiting.any():
            candidates = np.flatnonzero(waiting)
            position = int(candidates[np.argmin(added[candidates])] if group else candidates[0])
            fits = (
                read + added[position] <= request.settings.prompt_tokens
                and answer + spoken[position] <= request.caller.longest_reply
            )
            if group and not fits:
                break
            group.append(position)
            waiting[position] = False
            read, answer = read + added[position], answer + spoken[position]
            new = np.flatnonzero(lines[position] & ~included)
            included[new] = True
            added -= lines[:, new] @ cost[new]
        found.append(sorted(request.agents[position] for position in group))
    return found


def _lines(request: PlanRequest) -> tuple[np.ndarray, np.ndarray]:
    """Which lines every agent's corridor needs, shape (agents, edges + junctions), and what each costs in tokens."""
    network, trips = request.network, [request.scenario.agents[agent] for agent in request.agents]
    lines = np.zeros((len(trips), len(network.edges) + len(network.junctions)), dtype=bool)
    for row, trip in enumerate(trips):
        for index in corridor(network, trip, request.settings):
            edge = network.edges[index]
            ends = (network.junction(j).index for j in (edge.from_junction, edge.to_junction))
            lines[row, [index, *(len(network.edges) + end for end in ends)]] = True
    texts = adjacency_block(network, names=request.names), junctions_block(network, names=request.names)
    # A line break each; the lines of a part of the network name fewer next edges, so this is an upper bound.
    cost = [estimated_tokens(line) + 1 for text in texts for line in text.splitlines()]
    return lines, np.array(cost, dtype=np.float64)


def _agent_tokens(request: PlanRequest, agent: int) -> int:
    return estimated_tokens(agents_block(request.network, request.scenario, [agent], names=request.names)) + 1


def _reply_tokens(request: PlanRequest, agent: int) -> int:
    trip, names = request.scenario.agents[agent], request.names
    route = [names.edge(e) for e in request.network.shortest_path(trip.start_edge, trip.goal)]
    return estimated_tokens(json.dumps({str(agent): route}))
