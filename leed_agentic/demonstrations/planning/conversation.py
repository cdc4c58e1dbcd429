"""Questions with many routes in the reply, and the conversations that go on from them: what fleet and agent share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from leed_agentic.demonstrations.planning.briefing import (
    adjacency_block,
    agents_block,
    example_block,
    junctions_block,
    links_block,
)
from leed_agentic.demonstrations.planning.corridor import union
from leed_agentic.demonstrations.planning.planner import Planned, PlanRequest
from leed_agentic.demonstrations.planning.schema import routes_schema
from leed_agentic.demonstrations.reply import parse_reply, read_reply
from leed_agentic.models.caller import CapReached, Message
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.models.usage import CHARACTERS_PER_TOKEN

EXCHANGES_KEPT = 2
"""Earlier replies and refinements that go along with the next question; all of them would fill any context."""


def first_question(request: PlanRequest, template: str, agents: Sequence[int]) -> list[Message]:
    """The messages that open a conversation about the given agents; `template` is fleet or agent."""
    network, prompts, names = request.network, request.prompts, request.names
    trips = [request.scenario.agents[agent] for agent in agents]
    edges = union(network, trips, request.settings)
    asked = prompts.render(
        template,
        count=len(agents),
        agent=agents[0],
        junctions=junctions_block(network, edges, names),
        adjacency=adjacency_block(network, edges, names),
        links=_links(request, agents),
        example=example_block(network, trips, edges, names),
        agents=_briefing(request, agents),
    )
    return [{"role": "system", "content": prompts.render("system")}, {"role": "user", "content": asked}]


def converse(request: PlanRequest, template: str, topics: Mapping[str, list[int]], afresh: bool = False) -> Planned:
    """Ask in every topic's conversation, or begin one, several at a time, and read the replies in the topics' order.

    Args:
        topics: name of a conversation to the agents it is about now.
        afresh: whether a refinement sends no earlier turns but the last routes.
    """
    conversations = dict(request.memory.get("conversations", {}))
    planned = Planned(memory={"conversations": conversations})
    questions = {topic: _question(request, template, topic, agents, afresh) for topic, agents in topics.items()}
    schemas = {topic: _schema(request, agents) for topic, agents in topics.items() if request.caller.structured}
    # A server that ignores the limit on tokens may send megabytes, which no later prompt has room for.
    longest = CHARACTERS_PER_TOKEN * request.caller.longest_reply
    try:
        asked = [(messages, topic, schemas.get(topic)) for topic, messages in questions.items()]
        replies = zip(questions.items(), request.caller.ask_all(asked), strict=False)
        for done, ((topic, messages), reply) in enumerate(replies, 1):
            request.progress(f"answered: {topic},", done, len(asked))
            conversations[topic] = [*messages, {"role": "assistant", "content": reply.text[:longest]}]
            trips = (request.network, request.scenario, request.names)
            parsed = read_reply(reply.text, topics[topic], *trips, trouble=reply.trouble)
            planned.routes.update(parsed.routes)
            planned.problems.extend(parsed.problems)
    except CapReached as reached:
        planned.stopped = str(reached)
    return planned


def _links(request: PlanRequest, agents: Sequence[int]) -> str:
    """Every agent's own corridor, one behind the other: a model finds its way in none but a short one."""
    trips, names = [request.scenario.agents[agent] for agent in agents], request.names
    blocks = [
        links_block(request.network, trip, union(request.network, [trip], request.settings), names) for trip in trips
    ]
    labelled = (f"For agent {agent}:\n{links}" for agent, links in zip(agents, blocks, strict=True))
    return "\n\n".join(labelled) if len(trips) > 1 else blocks[0]


def _briefing(request: PlanRequest, agents: Sequence[int]) -> str:
    """The agents' lines; an agent's own corridor alone decides what its line says, so it is the same in any company."""
    network, scenario, names = request.network, request.scenario, request.names
    return "\n".join(
        agents_block(network, scenario, [a], union(network, [scenario.agents[a]], request.settings), names)
        for a in agents
    )


def _schema(request: PlanRequest, agents: list[int]) -> dict[str, Any]:
    """Of a reply about these agents: streets of their corridors, as the prompt calls them."""
    edges = union(request.network, [request.scenario.agents[agent] for agent in agents], request.settings)
    return routes_schema(agents, (request.names.edge(edge.id) for edge in edges), request.settings.max_route_edges)


def _question(request: PlanRequest, template: str, topic: str, agents: list[int], afresh: bool) -> list[Message]:
    """What is asked next, with as much of the conversation so far as the token budget takes."""
    opening = first_question(request, template, agents)
    past: list[Message] | None = request.memory.get("conversations", {}).get(topic)
    if past is None:
        return opening
    remarks = [f"- {request.names.told(request.remarks[a])}" for a in agents if a in request.remarks]
    lines = _briefing(request, agents)
    asked = request.prompts.render(
        "refine", remarks="\n".join(remarks) or "- Plan again.", agents=lines, count=len(agents)
    )
    question: Message = {"role": "user", "content": asked}
    candidates: list[list[Message]] = []
    if not afresh and all(line in past[1]["content"] for line in lines.splitlines()):
        candidates += [[*past[:2], *past[2:][-2 * kept + 1 :], question] for kept in range(EXCHANGES_KEPT, 0, -1)]
    last = parse_reply(past[-1]["content"], agents).routes
    answer: Message = {"role": "assistant", "content": json.dumps({str(agent): last[agent] for agent in last})}
    candidates.append([*opening, answer, question])
    candidates.append([opening[0], {"role": "user", "content": f"{opening[1]['content']}\n\n{asked}"}])
    fitting = (c for c in candidates if prompt_tokens(c) <= request.settings.prompt_tokens)
    return next(fitting, opening)
