"""Three ways to ask a model for routes: the whole fleet at once, one agent at a time, or one junction at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from leed_agentic.demonstrations.briefing import adjacency_block, agents_block, junctions_block
from leed_agentic.demonstrations.junction import JunctionMemory, walk
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.reply import read_reply
from leed_agentic.demonstrations.schema import routes_schema
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.models.caller import CapReached, Message, ModelCaller
from leed_agentic.models.usage import CHARACTERS_PER_TOKEN
from leed_agentic.registry import Registry
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.settings import DemonstrationSettings
from leed_agentic.traffic.scenario import Scenario

EXCHANGES_KEPT = 2
"""Earlier replies and refinements that go along with the next question; all of them would fill any context."""


@dataclass
class Memory:
    """What planners remember from round to round, and over a training run from trigger to trigger."""

    conversations: dict[str, list[Message]] = field(default_factory=dict)
    junctions: dict[int, JunctionMemory] = field(default_factory=dict)


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
    """One prompt, one reply with every agent's route: the paper's way."""
    planned = Planned()
    try:
        _converse(desk, planned, "fleet", "fleet", list(desk.agents))
    except CapReached as reached:
        planned.stopped = str(reached)
    return planned


@planners.register("agent")
def plan_agents(desk: Desk) -> Planned:
    """One prompt per agent."""
    planned = Planned()
    try:
        for agent in desk.agents:
            desk.progress(f"asking for agent {agent}")
            _converse(desk, planned, "agent", f"agent {agent}", [agent])
    except CapReached as reached:
        planned.stopped = str(reached)
    return planned


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
    prompts: PromptSet, network: RoadNetwork, scenario: Scenario, template: str, agents: Sequence[int]
) -> list[Message]:
    """The messages that open a conversation about the given agents; `template` is fleet or agent."""
    asked = prompts.render(
        template,
        count=len(agents),
        agent=agents[0],
        junctions=junctions_block(network),
        adjacency=adjacency_block(network),
        agents=agents_block(network, scenario, agents),
    )
    return [{"role": "system", "content": prompts.render("system")}, {"role": "user", "content": asked}]


def _converse(desk: Desk, planned: Planned, template: str, topic: str, agents: list[int]) -> None:
    """Ask in the topic's conversation, or begin one, and read the reply into `planned`."""
    past = desk.memory.conversations.get(topic)
    if past is None:
        messages = first_question(desk.prompts, desk.network, desk.scenario, template, agents)
    else:
        remarks = "\n".join(f"- {desk.remarks[a]}" for a in agents if a in desk.remarks) or "- Plan again."
        briefing = agents_block(desk.network, desk.scenario, agents)
        question = desk.prompts.render("refine", remarks=remarks, agents=briefing, count=len(agents))
        messages = [*past[:2], *past[2:][-2 * EXCHANGES_KEPT + 1 :], {"role": "user", "content": question}]
    schema = routes_schema(agents, (e.id for e in desk.network.edges), desk.settings.max_route_edges)
    reply = desk.caller.ask(messages, purpose=topic, schema=schema)
    # A server that ignores the limit on tokens may send megabytes, which no later prompt has room for.
    kept = reply.text[: CHARACTERS_PER_TOKEN * desk.caller.longest_reply]
    desk.memory.conversations[topic] = [*messages, {"role": "assistant", "content": kept}]
    parsed = read_reply(reply.text, agents, desk.network, desk.scenario)
    planned.routes.update(parsed.routes)
    problems = parsed.problems
    if reply.finish_reason == "length":
        # That it cannot be read follows from it.
        problems = [p for p in problems if p.agent is not None or p.kind != "unreadable"]
        message = "The reply was cut at the token limit; raise model.max_output_tokens or ask for fewer agents."
        problems.append(Finding(None, "unreadable", message))
    planned.problems.extend(problems)
