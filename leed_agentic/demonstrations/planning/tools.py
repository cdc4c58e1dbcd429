"""A plan made by calling tools: the model looks at streets and ways, tries commands in SUMO, and decides.

A LangGraph of two nodes, `ask` and `use`, inside the node `plan`. It ends when the model submits, or after
`demonstration.tool_turns` replies: then the best of what it tried is the plan. Tools are in `toolbox`, commands the
same as those of `instructions`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from leed_agentic.demonstrations.commands import COMMANDS, Command, compile_commands
from leed_agentic.demonstrations.planning.alternatives import traffic_of
from leed_agentic.demonstrations.planning.instructions import Digest, digest_of, outcomes, told_of
from leed_agentic.demonstrations.planning.planner import Planned, PlanRequest, planners
from leed_agentic.demonstrations.toolbox import Toolbox, definitions, read_calls, signatures
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.models.caller import Message
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.models.usage import CHARACTERS_PER_TOKEN

AT_ONCE = 4
"""Calls of one reply that are answered."""
REMINDER = 'Call a tool, or answer {"tool": "submit", "arguments": {"commands": [...]}}.'


class Talk(TypedDict):
    """What passes between the two nodes: plain JSON."""

    messages: Annotated[list[Message], operator.add]
    turns: Annotated[int, operator.add]


@dataclass(frozen=True)
class Talking:
    """What does not change while they talk; never written anywhere."""

    request: PlanRequest
    toolbox: Toolbox


@planners.register("tools")
class ToolsPlanner:
    """Talks once a round. Its memory has `commands`, what was decided last, and of each its agents."""

    whole_fleet = True
    """A command may be about any agent."""

    def plan(self, request: PlanRequest) -> Planned:
        fleet = traffic_of(request)
        memory = dict(request.memory)
        if not fleet.begun:
            fleet.begin()
            return Planned(fleet.routes(), memory=memory)
        digest = digest_of(fleet)
        toolbox = Toolbox(fleet, digest.groups, request.settings.tool_drives)
        begin = question_of(request, digest, outcomes(fleet, memory.get("commands", [])))
        talk().invoke({"messages": begin, "turns": 0}, context=Talking(request, toolbox))
        problems = list(toolbox.problems)
        commands = toolbox.submitted
        if commands is None:
            commands = [Command(*row) for row in toolbox.best.commands] if toolbox.best else []
            instead = "the best of what it tried is driven" if commands else "the routes stay as they are"
            problems.append(Finding(None, "unreadable", f"The model submitted nothing; {instead}."))
        compiled = compile_commands(commands, digest.groups, fleet)
        routes = {fleet.numbers[vehicle]: fleet.edges(route) for vehicle, route in compiled.routes.items()}
        memory["commands"] = [
            {"command": command.to_json(), "agents": [fleet.numbers[vehicle] for vehicle in moved]}
            for command, moved in compiled.moved
        ]
        kept = {agent: route for agent, route in fleet.routes().items() if agent in request.agents}
        return Planned({**kept, **routes}, [*problems, *compiled.problems], memory)

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        """None: the digest is of drives."""
        return {}


def question_of(request: PlanRequest, digest: Digest, told: list[dict[str, Any]]) -> list[Message]:
    """The messages that open a round."""
    asked = request.prompts.render(
        "tools",
        digest=digest.text,
        last=told_of(told),
        tools=signatures(),
        commands=", ".join(COMMANDS),
        turns=request.settings.tool_turns,
        drives=request.settings.tool_drives,
    )
    return [{"role": "user", "content": asked}]


def ask(state: Talk, runtime: Runtime[Talking]) -> dict[str, Any]:
    """One reply of the model."""
    request = runtime.context.request
    request.progress(f"talking: turn {state['turns'] + 1} of at most {request.settings.tool_turns}")
    reply = request.caller.ask(state["messages"], purpose=f"tools, turn {state['turns'] + 1}", tools=definitions())
    said = reply.text[: CHARACTERS_PER_TOKEN * request.caller.longest_reply]
    return {"messages": [Message(role="assistant", content=said)], "turns": 1}


def use(state: Talk, runtime: Runtime[Talking]) -> dict[str, Any]:
    """The results of what the last reply called, in its order."""
    calls = read_calls(state["messages"][-1]["content"])
    if not calls:
        return {"messages": [Message(role="user", content=REMINDER)]}
    results = [runtime.context.toolbox.use(call) for call in calls[:AT_ONCE]]
    results += [f"Not answered: {AT_ONCE} calls a turn."] * (len(calls) - AT_ONCE)
    return {"messages": [Message(role="tool", content=result) for result in results]}


def after_use(state: Talk, runtime: Runtime[Talking]) -> Literal["ask", "__end__"]:
    """On until the model has decided, or has had its turns, or its next prompt would be too long."""
    settings = runtime.context.request.settings
    decided = runtime.context.toolbox.submitted is not None
    over = state["turns"] >= settings.tool_turns or prompt_tokens(state["messages"]) > settings.prompt_tokens
    return "__end__" if decided or over else "ask"


def talk() -> Any:
    """The graph of a round."""
    graph = StateGraph(Talk, context_schema=Talking)
    graph.add_node("ask", ask)
    graph.add_node("use", use)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "use")
    graph.add_conditional_edges("use", after_use)
    # A round is one step of the graph around it: what is in the toolbox cannot go on from a checkpoint.
    return graph.compile(checkpointer=False, name="leed-tools")
