"""What a way of planning is: from what is asked to what the model gave. Your own is one function or class.

A planner by name stands in one file of this folder; one of yours is named by its dotted path
(`-s demonstration.planning=my_planner.plan`). It gets a `PlanRequest` and returns a `Planned`:

    def plan(request):
        routes = {}
        for agent in request.agents:
            question = [{"role": "user", "content": my_words(request, agent)}]
            reply = request.caller.ask(question, purpose=f"agent {agent}")
            routes[agent] = reply.text.split()
        return Planned(routes)

Routes are validated, driven and judged afterwards: a planner need not check them. It asks through `request.caller`,
which counts, caps and records every call, and may let its `CapReached` pass: the run then ends with what there is.
`check_planner` says what is wrong with one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from leed_agentic.demonstrations.coordination import FleetInTraffic
from leed_agentic.demonstrations.names import Names
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.errors import UsageError
from leed_agentic.models.caller import CapReached, Message, ModelCaller
from leed_agentic.registry import Registry
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import DemonstrationSettings
from leed_agentic.traffic.scenario import Scenario


@dataclass(frozen=True)
class PlanRequest:
    """What a planner works with."""

    caller: ModelCaller
    prompts: PromptSet
    network: RoadNetwork
    scenario: Scenario
    settings: DemonstrationSettings
    agents: Sequence[int]
    """Whom to plan for."""
    remarks: Mapping[int, str] = field(default_factory=dict)
    """What the model is told about each agent's last route; empty in the first round."""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the planner returned as its memory in the round before; empty at first."""
    progress: Callable[..., object] = lambda line, done=None, of=None: None
    """Takes a line about what happens now, and for the time left how many questions or agents are done of how many."""
    traffic: FleetInTraffic | None = None
    """The fleet and its drives, for ways of planning that begin with these (`COORDINATES`)."""

    @property
    def names(self) -> Names:
        """How streets and junctions are called in prompts."""
        return Names(self.network, self.settings.edge_names == "aliases")


@dataclass
class Planned:
    """What the model gave: routes as it wrote them, and what could not be read."""

    routes: dict[int, list[str]] = field(default_factory=dict)
    """Agent to edge ids, its start edge first."""
    problems: list[Finding] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    """What to remember in later rounds, and over a training run: anything that JSON holds, with text as keys."""
    stopped: str | None = None
    """Why planning ended before every agent was asked for."""
    news: bool = False
    """Whether the next question would be another one even where nobody moved, since it says what was wrong."""


class Planner(Protocol):
    """A way of planning."""

    def plan(self, request: PlanRequest) -> Planned:
        """Ask for routes of the agents of the request.

        Raises:
            CapReached, UnavailableError, UsageError: as `ModelCaller.ask`.
        """

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        """The prompts that planning for these agents begins with, by name, as far as they are known without a reply."""


planners: Registry[Any] = Registry("planning")
"""By name or dotted path: a `Planner`, a class that makes one without arguments, or its `plan` as a function."""


@dataclass(frozen=True)
class _Function:
    plan: Callable[[PlanRequest], Planned]

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        return {}


def planner_of(name: str) -> Planner:
    """The planner of this name or dotted path. Raises UsageError when there is none."""
    item = planners.get(name)
    made = item() if isinstance(item, type) else item
    if callable(getattr(made, "plan", None)):
        return made if hasattr(made, "first_questions") else _Function(made.plan)
    if callable(made):
        return _Function(made)
    raise UsageError(f"Planning {name!r} must be a function from a request to routes, or have a method plan.")


def planned_by(planner: Planner, request: PlanRequest) -> Planned:
    """What the planner gives, with the memory of the round before where a cap ended it.

    Raises:
        UsageError: it gives anything but a `Planned` with routes of edge ids and a memory that JSON holds.
    """
    try:
        planned = planner.plan(request)
    except CapReached as reached:
        return Planned(memory=dict(request.memory), stopped=str(reached))
    problem = _problem(planned)
    if problem:
        raise UsageError(f"Planning {request.settings.planning!r} {problem}.")
    return planned


def check_planner(name: str, request: PlanRequest) -> list[str]:
    """What is wrong with a planner, a sentence each: it plans twice, the second time after a remark about each agent.

    Args:
        name: a registered name or a dotted path.
        request: what to plan for; any caller will do, the stand-in included (`open_parts(settings).request(...)`).

    Raises:
        UsageError: there is no such planner.
    """
    planner, problems = planner_of(name), []
    before = copy.deepcopy(dict(request.memory))
    first = planner.plan(request)
    found = _problem(first)
    if found:
        return [f"It {found}."]
    if request.memory != before:
        problems.append("It changes request.memory; return the new memory in Planned instead.")
    if json.loads(json.dumps(first.memory)) != first.memory:
        problems.append("Its memory comes back from JSON changed; use text as keys, and lists, not tuples.")
    if strangers := set(first.routes) - set(request.agents):
        problems.append(f"It gives routes of agents that were not asked for: {sorted(strangers)}.")
    unexplained = set(request.agents) - set(first.routes) - {problem.agent for problem in first.problems}
    if unexplained and not first.stopped and None not in {problem.agent for problem in first.problems}:
        problems.append(f"It gives agents {sorted(unexplained)} neither a route nor a finding.")
    remarks = {agent: f"Agent {agent}: plan again." for agent in request.agents}
    again = PlanRequest(**{**vars(request), "memory": json.loads(json.dumps(first.memory)), "remarks": remarks})
    found = _problem(planner.plan(again))
    return [*problems, f"After remarks it {found}."] if found else problems


def _problem(planned: Any) -> str:
    if not isinstance(planned, Planned):
        return f"must return a Planned, not {type(planned).__name__}"
    routes = planned.routes
    if not isinstance(routes, Mapping) or not all(
        isinstance(agent, int) and isinstance(route, list) and all(isinstance(edge, str) for edge in route)
        for agent, route in routes.items()
    ):
        return "must give routes as a dictionary of agent number to a list of edge ids"
    try:
        json.dumps(planned.memory)
    except (TypeError, ValueError, RecursionError):
        return "must keep a memory that JSON holds"
    return ""
