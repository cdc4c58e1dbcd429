"""Every element of a route file judged against a map, as SUMO would, or named with the reason why it is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from leed_agentic.demonstrations.route_file import Demand
from leed_agentic.demonstrations.validate import MAX_FINDINGS, path_findings, route_findings
from leed_agentic.roads.network import RoadNetwork

MAX_CHOICES = 8
Note = tuple[str, str, str | None, int | None]
"""Kind and sentence of what is wrong, with the edge and its place in the route where there is one."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one element of a file."""

    element: str
    id: str
    kind: str
    message: str
    edge: str | None = None
    position: int | None = None

    @property
    def agent(self) -> int | None:
        """The number of an agent of a plan; None for SUMO's elements, whose ids are words."""
        return int(self.id) if self.element == "agent" else None


@dataclass(frozen=True)
class Verdict:
    """What a file holds: how many elements were judged, what is wrong with which, and what was not judged and why."""

    judged: int
    invalid: int
    faults: list[Fault] = field(default_factory=list)
    unjudged: list[Demand] = field(default_factory=list)
    strange: int = 0
    """How many of the judged have an edge that the map does not have at all."""


def check_demands(network: RoadNetwork, demands: Sequence[Demand]) -> Verdict:
    """Judge agents by the rules of a plan: no loops, and to the destination. Everything else by SUMO's: edges known and
    open to the class, turns there are, stops along the route, references and departures in order. Lanes, positions,
    speeds and colours are not looked at."""
    faults: list[Fault] = []
    unjudged: list[Demand] = []
    judged = invalid = strange = 0
    judge = _Judge(network)
    for demand in demands:
        found = judge.faults(demand)
        if demand.unjudged and not found:
            unjudged.append(demand)
            continue
        judged += 1
        invalid += bool(found)
        strange += any(fault.kind == "unknown_edge" for fault in found)
        faults += found
    return Verdict(judged, invalid, faults, unjudged, strange)


class _Judge:
    """Remembers what was said about a route of a class: thousands of vehicles share a few."""

    def __init__(self, network: RoadNetwork) -> None:
        self._network = network
        self._known: dict[tuple[object, ...], list[Note]] = {}

    def faults(self, demand: Demand) -> list[Fault]:
        if demand.kind == "agent":
            return self._agent(demand)
        name = f"{demand.kind} {demand.id}"
        found = [
            Fault(demand.kind, demand.id, kind, f"{name}: {message}.") for kind, message in demand.faults[:MAX_FINDINGS]
        ]
        if demand.unjudged or found:
            return found
        for vehicle_class in demand.classes:
            notes = [self._of_route(route, vehicle_class, demand) for route in demand.routes]
            if demand.via:
                notes.append(self._of_way(demand.via, vehicle_class))
            found += [Fault(demand.kind, demand.id, k, f"{name}: {m}.", e, p) for note in notes for k, m, e, p in note]
        return list(dict.fromkeys(found))[:MAX_FINDINGS]

    def _of_route(self, route: tuple[str, ...], kind: str, demand: Demand) -> list[Note]:
        key = (kind, route, demand.stops, demand.repeats)
        if key not in self._known:
            self._known[key] = self._route(route, kind, demand.stops, demand.repeats)
        return self._known[key]

    def _of_way(self, via: tuple[str, ...], kind: str) -> list[Note]:
        key = (kind, via)
        if key not in self._known:
            self._known[key] = self._way(via, kind)
        return self._known[key]

    def _agent(self, demand: Demand) -> list[Fault]:
        number = int(demand.id)
        found = [Fault("agent", demand.id, kind, message) for kind, message in demand.faults]
        for route in demand.routes:
            if demand.trip is not None:
                findings = route_findings(self._network, demand.trip, route, max_route_edges=max(len(route), 1))
            else:
                findings = path_findings(self._network, number, route)
                if not route:
                    found.append(Fault("agent", demand.id, "missing_agent", f"Agent {number} has an empty route."))
            found += [Fault("agent", demand.id, f.kind, f.message, f.edge, f.position) for f in findings]
        return found

    def _edges(self, edges: Sequence[str], kind: str) -> list[Note]:
        """Unknown and closed ones among them."""
        found: list[Note] = []
        for position, edge in enumerate(edges):
            allowed = self._network.allows(edge, kind)
            if allowed is None:
                found.append(("unknown_edge", f"there is no edge {edge[:60]!r}", edge, position))
            elif not allowed:
                found.append(("closed_edge", f"edge {edge} is closed to {kind} vehicles", edge, position))
        return found

    def _route(self, route: tuple[str, ...], kind: str, stops: tuple[str, ...], repeats: bool) -> list[Note]:
        if not route:
            return [("no_route", "its route has no edges", None, None)]
        found = self._edges(route, kind)
        if found:
            return found[:MAX_FINDINGS]
        steps = [*route, route[0]] if repeats else route
        for position, (before, after) in enumerate(pairwise(steps), start=1):
            choices = self._network.next_edges(before, kind)
            if after not in choices:
                shown = ", ".join(choices[:MAX_CHOICES]) or "none"
                message = f"no {kind} vehicle can turn from {before} to {after}; the legal next edges are: {shown}"
                found.append(("not_a_successor", message, after, position))
        reached = 0
        for stop in stops:
            if stop not in route[reached:]:
                message = f"it stops on {stop[:60]}, which does not lie on the rest of its route"
                found.append(("stop_off_route", message, stop, None))
                break
            reached = route.index(stop, reached)
        return found[:MAX_FINDINGS]

    def _way(self, via: tuple[str, ...], kind: str) -> list[Note]:
        found = self._edges(via, kind)
        if found:
            return found[:MAX_FINDINGS]
        for position, (before, after) in enumerate(pairwise(via), start=1):
            if not self._leads(before, after, kind):
                return [("no_path", f"no way for {kind} vehicles leads from {before} to {after}", after, position)]
        return []

    def _leads(self, start: str, goal: str, kind: str) -> bool:
        reached, todo = {start}, deque([start])
        while todo:
            edge = todo.popleft()
            if edge == goal:
                return True
            for after in self._network.next_edges(edge, kind):
                if after not in reached:
                    reached.add(after)
                    todo.append(after)
        return False
