"""Three ways to ask a model for routes: the whole fleet at once, one agent at a time, or one junction at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leed_agentic.demonstrations.briefing import (
    adjacency_block,
    agents_block,
    example_block,
    junctions_block,
    links_block,
)
from leed_agentic.demonstrations.corridor import union
from leed_agentic.demonstrations.grouping import groups
from leed_agentic.demonstrations.junction import JunctionMemory, walk
from leed_agentic.demonstrations.names import Names
from leed_agentic.demonstrations.prompts import BLOCKS, PromptSet
from leed_agentic.demonstrations.reply import parse_reply, read_reply
from leed_agentic.demonstrations.schema import routes_schema
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.errors import UsageError
from leed_agentic.models.caller import CapReached, Message, ModelCaller
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.models.usage import CHARACTERS_PER_TOKEN
from leed_agentic.registry import Registry
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.settings import DemonstrationSettings
from leed_agentic.traffic.scenario import AgentTrip, Scenario

EXCHANGES_KEPT = 2
"""Earlier replies and refinements that go along with the next question; all of them would fill any context."""


@dataclass
class Memory:
    """What planners remember from round to round, and over a training run from trigger to trigger."""

    conversations: dict[str, list[Message]] = field(default_factory=dict)
    junctions: dict[int, JunctionMemory] = field(default_factory=dict)
    groups: list[list[int]] = field(default_factory=list)
    """Which agents share a prompt; made again from the scenario when empty."""


@dataclass(frozen=True)
class Desk:
    """What a planner works with."""

    caller: ModelCaller
    prompts: PromptSet
    network: RoadNetwork
    scenario: Scenario
    settings: DemonstrationSettings
    memory: Memory
    agents: Sequence[int]
    """Whom to plan for."""
    remarks: Mapping[int, str]
    """What is wrong with each agent's last route; empty in the first round."""
    progress: Callable[[str], object] = lambda line: None


@dataclass
class Planned:
    """What the model gave: routes as it wrote them, and what could not be read."""

    routes: dict[int, list[str]] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    stopped: str | None = None
    """Why planning ended before every agent was asked for."""


Planner = Callable[[Desk], Planned]
planners: Registry[Planner] = Registry("planning")


@planners.register("fleet")
def plan_fleet(desk: Desk) -> Planned:
    """One prompt, one reply with every agent's route: the paper's way. A fleet too large for one prompt has several,
    each for agents whose corridors overlap."""
    if not desk.memory.groups:
        limit = desk.caller.longest_reply
        desk.memory.groups = fleet_groups(desk.prompts, desk.network, desk.scenario, desk.settings, limit)
    shared, wanted = desk.memory.groups, set(desk.agents)
    topics = {}
    for number, group in enumerate(shared, 1):
        name = "fleet" if len(shared) == 1 else f"fleet, prompt {number} of {len(shared)}"
        topics[name] = [agent for agent in group if agent in wanted]
    return _converse(desk, "fleet", {name: agents for name, agents in topics.items() if agents})


@planners.register("agent")
def plan_agents(desk: Desk) -> Planned:
    """One prompt per agent."""
    return _converse(desk, "agent", {f"agent {agent}": [agent] for agent in desk.agents})


@planners.register("junction")
def plan_junctions(desk: Desk) -> Planned:
    """One question per junction: which of the numbered streets next."""
    planned = Planned()
    try:
        for agent in desk.agents:
            desk.progress(f"walking with agent {agent}")
            memory = desk.memory.junctions.setdefault(agent, JunctionMemory())
            route, problem = walk(
                desk.caller,
                desk.prompts,
                desk.network,
                desk.scenario.agents[agent],
                desk.settings,
                memory,
                desk.remarks.get(agent),
            )
            if problem is None:
                planned.routes[agent] = route
            else:
                planned.problems.append(problem)
    except CapReached as reached:
        planned.stopped = str(reached)
    return planned


def first_question(
    prompts: PromptSet,
    network: RoadNetwork,
    scenario: Scenario,
    template: str,
    agents: Sequence[int],
    settings: DemonstrationSettings,
) -> list[Message]:
    """The messages that open a conversation about the given agents; `template` is fleet or agent."""
    names = Names(network, settings.edge_names == "aliases")
    trips = [scenario.agents[agent] for agent in agents]
    edges = union(network, trips, settings)
    asked = prompts.render(
        template,
        count=len(agents),
        agent=agents[0],
        junctions=junctions_block(network, edges, names),
        adjacency=adjacency_block(network, edges, names),
        links=_links(network, trips, settings, names),
        example=example_block(network, trips, edges, names),
        agents=briefing(network, scenario, agents, settings),
    )
    return [{"role": "system", "content": prompts.render("system")}, {"role": "user", "content": asked}]


def _links(network: RoadNetwork, trips: Sequence[AgentTrip], settings: DemonstrationSettings, names: Names) -> str:
    """Every agent's own corridor, one behind the other: a model finds its way in none but a short one."""
    blocks = [(trip.agent, links_block(network, trip, union(network, [trip], settings), names)) for trip in trips]
    return "\n\n".join(f"For agent {agent}:\n{links}" for agent, links in blocks) if len(trips) > 1 else blocks[0][1]


def briefing(network: RoadNetwork, scenario: Scenario, agents: Sequence[int], settings: DemonstrationSettings) -> str:
    """The agents' lines; an agent's own corridor alone decides what its line says, so it is the same in any company."""
    names = Names(network, settings.edge_names == "aliases")
    return "\n".join(
        agents_block(network, scenario, [agent], union(network, [scenario.agents[agent]], settings), names)
        for agent in agents
    )


def fleet_groups(
    prompts: PromptSet, network: RoadNetwork, scenario: Scenario, settings: DemonstrationSettings, reply_limit: int
) -> list[list[int]]:
    """The agents of each prompt of the whole fleet; no first question is above the token budget.

    Args:
        reply_limit: most tokens of a reply.
    """
    bare = prompts.render("fleet", count=len(scenario.agents), agent=0, agents="", **dict.fromkeys(BLOCKS, ""))
    around = prompt_tokens([{"role": "system", "content": prompts.render("system")}, {"role": "user", "content": bare}])
    found, waiting = [], groups(network, scenario, settings, around, reply_limit)
    while waiting:
        group = waiting.pop(0)
        tokens = prompt_tokens(first_question(prompts, network, scenario, "fleet", group, settings))
        if tokens <= settings.prompt_tokens or len(group) == 1:
            found.append(group)
        else:
            # A template of the user's own may hold the streets more than once.
            middle = len(group) // 2
            waiting[:0] = [group[:middle], group[middle:]]
    return found


def check_budget(prompts: PromptSet, network: RoadNetwork, scenario: Scenario, settings: DemonstrationSettings) -> None:
    """Raises UsageError when an agent's prompt alone is above the token budget; junction planning asks little."""
    if settings.planning == "junction":
        return
    template = "agent" if settings.planning == "agent" else "fleet"
    needed = [
        (prompt_tokens(first_question(prompts, network, scenario, template, [trip.agent], settings)), trip.agent)
        for trip in scenario.agents
    ]
    tokens, agent = max(needed)
    if tokens > settings.prompt_tokens:
        raise UsageError(
            f"The prompt for agent {agent} alone needs about {tokens} tokens, more than demonstration.prompt_tokens="
            f"{settings.prompt_tokens}; raise that, or lower demonstration.corridor_paths or corridor_slack."
        )


def _converse(desk: Desk, template: str, topics: Mapping[str, list[int]]) -> Planned:
    """Ask in every topic's conversation, or begin one, several at a time, and read the replies in the topics' order."""
    planned = Planned()
    names = Names(desk.network, desk.settings.edge_names == "aliases")
    questions = {topic: _question(desk, names, template, topic, agents) for topic, agents in topics.items()}
    schemas = {topic: _schema(desk, names, agents) for topic, agents in topics.items() if desk.caller.structured}
    # A server that ignores the limit on tokens may send megabytes, which no later prompt has room for.
    longest = CHARACTERS_PER_TOKEN * desk.caller.longest_reply
    try:
        replies = desk.caller.ask_all([(messages, topic, schemas.get(topic)) for topic, messages in questions.items()])
        for (topic, messages), reply in zip(questions.items(), replies, strict=False):
            desk.progress(f"answered: {topic}")
            desk.memory.conversations[topic] = [*messages, {"role": "assistant", "content": reply.text[:longest]}]
            trips = (desk.network, desk.scenario, names)
            parsed = read_reply(reply.text, topics[topic], *trips, trouble=reply.trouble)
            planned.routes.update(parsed.routes)
            planned.problems.extend(parsed.problems)
    except CapReached as reached:
        planned.stopped = str(reached)
    return planned


def _schema(desk: Desk, names: Names, agents: list[int]) -> dict[str, Any]:
    """Of a reply about these agents: streets of their corridors, as the prompt calls them."""
    edges = union(desk.network, [desk.scenario.agents[agent] for agent in agents], desk.settings)
    return routes_schema(agents, (names.edge(edge.id) for edge in edges), desk.settings.max_route_edges)


def _question(desk: Desk, names: Names, template: str, topic: str, agents: list[int]) -> list[Message]:
    """What is asked next, with as much of the conversation so far as the token budget takes.

    In a fleet of several prompts a refinement holds only the streets and last routes of the agents it is about: hardly
    any prompt has all of its agents asked for again, and the whole of it would be paid for in every round.
    """
    opening = first_question(desk.prompts, desk.network, desk.scenario, template, agents, desk.settings)
    past = desk.memory.conversations.get(topic)
    if past is None:
        return opening
    remarks = "\n".join(f"- {names.told(desk.remarks[a])}" for a in agents if a in desk.remarks) or "- Plan again."
    lines = briefing(desk.network, desk.scenario, agents, desk.settings)
    question: Message = {
        "role": "user",
        "content": desk.prompts.render("refine", remarks=remarks, agents=lines, count=len(agents)),
    }
    candidates: list[list[Message]] = []
    in_parts = template == "fleet" and len(desk.memory.groups) > 1
    if not in_parts and all(line in past[1]["content"] for line in lines.splitlines()):
        candidates += [[*past[:2], *past[2:][-2 * kept + 1 :], question] for kept in range(EXCHANGES_KEPT, 0, -1)]
    last = parse_reply(past[-1]["content"], agents).routes
    answer: Message = {"role": "assistant", "content": json.dumps({str(agent): last[agent] for agent in last})}
    candidates.append([*opening, answer, question])
    candidates.append([opening[0], {"role": "user", "content": f"{opening[1]['content']}\n\n{question['content']}"}])
    fitting = (c for c in candidates if prompt_tokens(c) <= desk.settings.prompt_tokens)
    return next(fitting, opening)
