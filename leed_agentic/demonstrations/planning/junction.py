"""A route found one junction at a time: the model picks the next street by its number among the legal ones."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from leed_agentic.demonstrations.answer import without_thoughts
from leed_agentic.demonstrations.planning.planner import Planned, PlanRequest, planners
from leed_agentic.demonstrations.planning.schema import choice_schema
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.validate import Finding, Kind
from leed_agentic.models.caller import CapReached, Message
from leed_agentic.roads.edges import Edge
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import DemonstrationSettings
from leed_agentic.traffic.scenario import AgentTrip

ANSWER_TOKENS = 8
STRUCTURED_TOKENS = 24
"""{"number": "0.64"} and some room."""
LONGEST_ANSWER = 200
"""Characters of a reply that the second try is shown; a server may ignore the limit on tokens."""
TRIES = 2
BACK = "back"
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?")


@dataclass
class JunctionMemory:
    """What an agent's earlier walks taught: the last one, and streets not to be offered again."""

    last: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Option:
    """One street that may be taken next."""

    edge: Edge
    direction: str
    left: str
    """Kilometres from here to the destination by this street, two decimals: the number that names the option."""

    def __str__(self) -> str:
        return f"{self.left} ({self.direction}, {self.edge.length:.0f} m)"


@planners.register("junction")
class JunctionPlanner:
    """Walks with one agent after the other. Its memory has a `JunctionMemory` by agent under `junctions`."""

    def plan(self, request: PlanRequest) -> Planned:
        walked = {agent: dict(kept) for agent, kept in request.memory.get("junctions", {}).items()}
        planned = Planned(memory={"junctions": walked})
        try:
            for done, agent in enumerate(request.agents):
                request.progress(f"walking with agent {agent}, done", done, len(request.agents))
                memory = JunctionMemory(**walked.get(str(agent), {}))
                route, problem = walk(request, request.scenario.agents[agent], memory)
                walked[str(agent)] = asdict(memory)
                if problem is None:
                    planned.routes[agent] = route
                else:
                    planned.problems.append(problem)
        except CapReached as reached:
            planned.stopped = str(reached)
        return planned

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        """The first of each agent; the later ones depend on the replies."""
        found = {}
        for trip in (request.scenario.agents[agent] for agent in request.agents):
            start = request.network.edge(trip.start_edge)
            choices = options(request.network, trip, start, request.settings, {trip.start_edge})
            found[f"junction_agent_{trip.agent}"] = question(request.prompts, trip, choices)
        return found


def walk(request: PlanRequest, trip: AgentTrip, memory: JunctionMemory) -> tuple[list[str], Finding | None]:
    """Edges from the trip's start to its destination, or as far as the model got and what stopped it.

    Streets already used are left out, a U-turn is offered only where nothing else is, and a single street is taken
    without asking. In a dead end the walk steps back to the last junction with a street left. It ends after
    `max_route_edges` choices. After a remark the street where the last walk strayed furthest is not offered again,
    unless there is no way without it.

    Args:
        memory: of the agent; it is brought up to date.

    Raises:
        CapReached, UnavailableError, UsageError: as `ModelCaller.ask`.
    """
    network, settings = request.network, request.settings
    if trip.agent in request.remarks and memory.last:
        culprit = _culprit(network, trip, memory.last, settings)
        memory.blocked = sorted({*memory.blocked, culprit})
    route = [network.edge(trip.start_edge)]
    used = {trip.start_edge}
    for _ in range(settings.max_route_edges):
        choices = options(network, trip, route[-1], settings, used.union(memory.blocked))
        while not choices and len(route) > 1:
            route.pop()
            choices = options(network, trip, route[-1], settings, used.union(memory.blocked))
        if not choices and memory.blocked:
            # What was left out after a remark was the only way.
            memory.blocked = []
            used = {trip.start_edge}
            choices = options(network, trip, route[-1], settings, used)
        if not choices:
            return _ended(memory, trip, route, "does_not_reach_goal", "no street is left to try")
        chosen = choices[0] if len(choices) == 1 else _ask(request, trip, choices)
        if isinstance(chosen, str):
            return _ended(memory, trip, route, "unreadable", f"the reply holds no number of a street{chosen}")
        route.append(chosen.edge)
        used.add(chosen.edge.id)
        if trip.ends_at(chosen.edge):
            memory.last = [edge.id for edge in route]
            return memory.last, None
    return _ended(memory, trip, route, "too_long", f"no arrival within {settings.max_route_edges} choices")


def _ended(
    memory: JunctionMemory, trip: AgentTrip, route: list[Edge], kind: Kind, why: str
) -> tuple[list[str], Finding | None]:
    memory.last = [edge.id for edge in route]
    message = f"Agent {trip.agent}: after {route[-1].id} {why}."
    return memory.last, Finding(trip.agent, kind, message, route[-1].id, len(route) - 1)


def options(
    network: RoadNetwork, trip: AgentTrip, edge: Edge, settings: DemonstrationSettings, left_out: set[str]
) -> list[Option]:
    """The legal next streets that are not left out, with the distance left that the settings choose."""
    found: list[Option] = []
    back: list[Option] = []
    for successor_id in edge.successors:
        if successor_id not in left_out:
            successor = network.edge(successor_id)
            metres = successor.length + _distance(network, successor, trip.destination, settings)
            option = Option(successor, direction(edge, successor), f"{metres / 1000:.2f}")
            (back if option.direction == BACK else found).append(option)
    return found or back


def question(prompts: PromptSet, trip: AgentTrip, choices: Sequence[Option]) -> list[Message]:
    """The messages that ask for one of the choices. The examples come first and never change, so that a server which
    caches prompts reads them once; as chat turns, because small models copy examples that stand in the question."""
    messages: list[Message] = []
    for line in prompts.texts["junction_examples"].splitlines():
        offered, arrow, answer = line.partition("=>")
        if arrow:
            messages.append({"role": "user", "content": prompts.render("junction", choices=offered.strip(), agent="")})
            messages.append({"role": "assistant", "content": answer.strip()})
    asked = prompts.render("junction", choices=", ".join(map(str, choices)), agent=trip.agent)
    return [*messages, {"role": "user", "content": asked}]


def direction(before: Edge, after: Edge) -> str:
    """left, straight, right or back, from the end of one edge into the next."""
    if after.to_junction == before.from_junction and after.from_junction == before.to_junction:
        return BACK
    (x0, y0), (x1, y1) = before.shape[-2:]
    (x2, y2), (x3, y3) = after.shape[:2]
    angle = math.degrees(math.atan2(y3 - y2, x3 - x2) - math.atan2(y1 - y0, x1 - x0))
    angle = (angle + 180.0) % 360.0 - 180.0
    if abs(angle) <= 35.0:
        return "straight"
    return "left" if angle > 0 else "right"


def _ask(request: PlanRequest, trip: AgentTrip, choices: Sequence[Option]) -> Option | str:
    """The choice, or what the server says of a reply that made none."""
    caller, messages = request.caller, question(request.prompts, trip, choices)
    schema = choice_schema(choice.left for choice in choices)
    room = STRUCTURED_TOKENS if caller.structured else ANSWER_TOKENS
    for _ in range(TRIES):
        purpose = f"junction, agent {trip.agent}"
        reply = caller.ask(messages, purpose=purpose, max_output_tokens=room, schema=schema)
        for number in _NUMBER.findall(without_thoughts(reply.text)[:LONGEST_ANSWER]):
            for choice in choices:
                if float(number) == float(choice.left):
                    return choice
        wanted = ", ".join(choice.left for choice in choices)
        messages = [
            *messages,
            {"role": "assistant", "content": reply.text[:LONGEST_ANSWER]},
            {"role": "user", "content": f"Answer with one of these numbers only: {wanted}"},
        ]
    # A reply of a few tokens is nearly always cut.
    return f" ({reply.trouble.rstrip('.')})" if reply.trouble and reply.finish_reason != "length" else ""


def _distance(network: RoadNetwork, edge: Edge, destination: str, settings: DemonstrationSettings) -> float:
    if settings.junction_distance == "straight":
        return network.straight_distance(edge.to_junction, destination)
    return float(network.distances_to(destination)[edge.index])


def _culprit(network: RoadNetwork, trip: AgentTrip, route: Sequence[str], settings: DemonstrationSettings) -> str:
    """The street that led furthest away from the destination, as the settings measure the distance."""
    edges = [network.edge(e) for e in route]
    after = [_distance(network, edge, trip.destination, settings) for edge in edges]
    strayed = [edges[i].length + after[i] - after[i - 1] for i in range(1, len(edges))]
    return edges[1 + max(range(len(strayed)), key=strayed.__getitem__)].id if strayed else edges[0].id
