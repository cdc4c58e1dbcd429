"""A route found one junction at a time: the model picks the next street by its number among the legal ones."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.models.caller import Message, ModelCaller
from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.settings import DemonstrationSettings
from leed_agentic.traffic.scenario import AgentTrip

ANSWER_TOKENS = 8
TRIES = 2
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?")


@dataclass
class JunctionMemory:
    """What an agent's earlier walks taught: the last one, and streets not to be offered again."""

    last: list[str] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Option:
    """One street that may be taken next."""

    edge: Edge
    direction: str
    left: str
    """Kilometres from here to the destination by this street, two decimals: the number that names the option."""

    def __str__(self) -> str:
        return f"{self.left} ({self.direction}, {self.edge.length:.0f} m)"


def walk(
    caller: ModelCaller,
    prompts: PromptSet,
    network: RoadNetwork,
    trip: AgentTrip,
    settings: DemonstrationSettings,
    memory: JunctionMemory,
    remark: str | None = None,
) -> tuple[list[str], Finding | None]:
    """Edges from the trip's start to its destination, or as far as the model got and what stopped it.

    Streets already used are left out, a single street is taken without asking, and a walk ends after
    `max_route_edges`. After a remark the street where the last walk failed or strayed furthest is not offered again.

    Raises:
        CapReached, UnavailableError, UsageError: as `ModelCaller.ask`.
    """
    if remark is not None and memory.last:
        memory.blocked.add(_culprit(network, trip, memory.last, settings))
    edge = network.edge(trip.start_edge)
    route = [edge.id]
    memory.last = route
    problem = None
    while edge.to_junction != trip.destination and problem is None:
        if len(route) >= settings.max_route_edges:
            problem = Finding(
                trip.agent, "too_long", f"Agent {trip.agent}: no arrival within {settings.max_route_edges} edges."
            )
            break
        choices = options(network, trip, edge, settings, {*route, *memory.blocked})
        if not choices:
            problem = Finding(
                trip.agent,
                "does_not_reach_goal",
                f"Agent {trip.agent}: every street after {edge.id} is already used; leave it out.",
                edge.id,
                len(route) - 1,
            )
            break
        chosen = choices[0] if len(choices) == 1 else _ask(caller, prompts, trip, choices)
        if chosen is None:
            problem = Finding(
                trip.agent,
                "unreadable",
                f"Agent {trip.agent}: no number of a street in the reply after {edge.id}.",
                edge.id,
                len(route) - 1,
            )
            break
        edge = chosen.edge
        route.append(edge.id)
    return route, problem


def options(
    network: RoadNetwork, trip: AgentTrip, edge: Edge, settings: DemonstrationSettings, left_out: set[str]
) -> list[Option]:
    """The legal next streets that are not left out, with the distance left that the settings choose."""
    found = []
    for successor_id in edge.successors:
        if successor_id not in left_out:
            successor = network.edge(successor_id)
            metres = successor.length + _distance(network, successor, trip.destination, settings)
            found.append(Option(successor, direction(edge, successor), f"{metres / 1000:.2f}"))
    return found


def question(prompts: PromptSet, trip: AgentTrip, choices: Sequence[Option]) -> list[Message]:
    """The messages that ask for one of the choices. The examples come first and never change, so that a server which
    caches prompts reads them once; as chat turns, because small models copy examples that stand in the question."""
    messages: list[Message] = []
    for line in prompts.texts["junction_examples"].splitlines():
        shown, arrow, answer = line.partition("=>")
        if arrow:
            messages.append({"role": "user", "content": prompts.render("junction", choices=shown.strip(), agent="")})
            messages.append({"role": "assistant", "content": answer.strip()})
    asked = prompts.render("junction", choices=", ".join(map(str, choices)), agent=trip.agent)
    return [*messages, {"role": "user", "content": asked}]


def direction(before: Edge, after: Edge) -> str:
    """left, straight, right or back, from the end of one edge into the next."""
    if after.to_junction == before.from_junction and after.from_junction == before.to_junction:
        return "back"
    (x0, y0), (x1, y1) = before.shape[-2:]
    (x2, y2), (x3, y3) = after.shape[:2]
    angle = math.degrees(math.atan2(y3 - y2, x3 - x2) - math.atan2(y1 - y0, x1 - x0))
    angle = (angle + 180.0) % 360.0 - 180.0
    if abs(angle) <= 35.0:
        return "straight"
    return "left" if angle > 0 else "right"


def _ask(caller: ModelCaller, prompts: PromptSet, trip: AgentTrip, choices: Sequence[Option]) -> Option | None:
    messages = question(prompts, trip, choices)
    for _ in range(TRIES):
        reply = caller.ask(messages, purpose=f"junction, agent {trip.agent}", max_output_tokens=ANSWER_TOKENS)
        for number in _NUMBER.findall(reply.text):
            for choice in choices:
                if float(number) == float(choice.left):
                    return choice
        wanted = ", ".join(choice.left for choice in choices)
        messages = [
            *messages,
            {"role": "assistant", "content": reply.text},
            {"role": "user", "content": f"Answer with one of these numbers only: {wanted}"},
        ]
    return None


def _distance(network: RoadNetwork, edge: Edge, destination: str, settings: DemonstrationSettings) -> float:
    if settings.junction_distance == "straight":
        return network.straight_distance(edge.to_junction, destination)
    return float(network.distances_to(destination)[edge.index])


def _culprit(network: RoadNetwork, trip: AgentTrip, route: Sequence[str], settings: DemonstrationSettings) -> str:
    """The street of a failed or slow walk that is not to be offered again: the last one of a walk that did not arrive,
    else the one that led furthest away from the destination."""
    edges = [network.edge(e) for e in route]
    if edges[-1].to_junction != trip.destination or len(edges) < 2:
        return edges[-1].id
    left = [_distance(network, e, trip.destination, settings) + e.length for e in edges]
    after = [_distance(network, e, trip.destination, settings) for e in edges]
    strayed = [left[i] - after[i - 1] for i in range(1, len(edges))]
    return edges[1 + max(range(len(strayed)), key=strayed.__getitem__)].id
