"""Rules on a scenario: whom and which streets they mean, what routes must keep to, and what a drive shows of each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leed_agentic.demonstrations.rules.rule import (
    Avoid,
    LatestArrival,
    MaxDetour,
    Order,
    Priority,
    Require,
    Rule,
    Together,
    Who,
    named,
)
from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.closures import edges_of
from leed_agentic.traffic.limits import Limits
from leed_agentic.traffic.paths import Costs, Route, fastest_path
from leed_agentic.traffic.scenario import AgentTrip, Scenario
from leed_agentic.traffic.sumo_run import Drive, Driven
from leed_agentic.traffic.trips import Trips

CLASSES = {"car": "passenger", "lorry": "truck", "lorries": "truck", "bike": "bicycle"}
"""What people call SUMO's vehicle classes."""


@dataclass(frozen=True)
class Broken:
    """A rule that one agent's route or drive breaks."""

    rule: Rule
    agent: int
    message: str


@dataclass(frozen=True)
class Verdict:
    """Whether a rule is met, and by how much it is not."""

    rule: Rule
    broken: tuple[Broken, ...]

    @property
    def met(self) -> bool:
        """Whether the rule holds."""
        return not self.broken

    def to_json(self) -> dict[str, Any]:
        found = " ".join(one.message for one in self.broken[:3])
        return {"rule": str(self.rule), "met": self.met, "found": found}


@dataclass(frozen=True)
class Rules:
    """Rules as they hold on one scenario.

    Raises:
        UsageError: a rule names an agent, group or street that there is not, contradicts another, or asks for what
            cannot be, with the nearest that can.
    """

    rules: tuple[Rule, ...]
    network: RoadNetwork
    scenario: Scenario
    agents: Mapping[int, tuple[AgentTrip, ...]] = field(init=False)
    """Of each rule, by its place, whom it is about; of an order those who come first."""
    streets: Mapping[int, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        agents, streets = {}, {}
        for place, rule in enumerate(self.rules):
            agents[place] = self.of(rule.first if isinstance(rule, Order) else rule.who, rule)
            if isinstance(rule, Avoid | Require):
                streets[place] = self._streets(rule)
            if isinstance(rule, Together) and len(agents[place]) < 2:
                raise UsageError(f"{_about(rule)} names fewer than two agents; name those who arrive together.")
        object.__setattr__(self, "agents", agents)
        object.__setattr__(self, "streets", streets)
        self._contradictions()

    # -- whom and where ------------------------------------------------------------------------------------------------
    def of(self, who: Who, rule: Rule) -> tuple[AgentTrip, ...]:
        """The agents that a rule names."""
        trips = self.scenario.agents
        if not isinstance(who, str):
            if strangers := [agent for agent in who if agent >= len(trips)]:
                raise UsageError(f"{_about(rule)}: there is no agent {strangers[0]}; agents are 0 to {len(trips) - 1}.")
            return tuple(trips[agent] for agent in dict.fromkeys(who))
        name = who.strip().casefold()
        if name == "all":
            return trips
        classes = {kind.id: kind.attributes.get("vClass", "passenger") for kind in self.scenario.types}
        words = {name, name.removesuffix("s"), CLASSES.get(name, name), CLASSES.get(name.removesuffix("s"), name)}
        for known in (lambda t: t.id, lambda t: t.type, lambda t: classes.get(t.type, "passenger")):
            if found := tuple(trip for trip in trips if known(trip).casefold() in words):
                return found
        names = {t.id for t in trips} | {t.type for t in trips} | set(classes.values())
        raise UsageError(f"{_about(rule)}: no agent is or belongs to {who[:60]!r}; {nearest(who, names)}")

    def _streets(self, rule: Avoid | Require) -> frozenset[str]:
        edges = edges_of(rule.street, self.network, _about(rule))
        if not rule.around:
            return frozenset(edges)
        points = np.array([point[:2] for edge in edges for point in self.network.edge(edge).shape])
        near = set(edges)
        for edge in self.network.edges:
            gaps = np.array([point[:2] for point in edge.shape])[:, None] - points[None]
            if np.hypot(gaps[..., 0], gaps[..., 1]).min() <= rule.around:
                near.add(edge.id)
        return frozenset(near)

    # -- before a drive ------------------------------------------------------------------------------------------------
    def _contradictions(self) -> None:
        numbers = {place: {trip.agent for trip in trips} for place, trips in self.agents.items()}
        later = {k: {t.agent for t in self.of(r.then, r)} for k, r in enumerate(self.rules) if isinstance(r, Order)}
        for place, rule in enumerate(self.rules):
            if isinstance(rule, Order) and (twice := numbers[place] & later[place]):
                raise UsageError(f"{_about(rule)} has agent {min(twice)} before itself; name two.")
        for (a, one), (b, other) in itertools.permutations(enumerate(self.rules), 2):
            if isinstance(one, Avoid) and isinstance(other, Require) and numbers[a] & numbers[b]:
                covers = self.streets[b] <= self.streets[a]
                if covers and one.begin <= other.begin and other.end <= one.end:
                    raise _clash(one, other)
            both = isinstance(one, Order) and isinstance(other, Order)
            if both and numbers[a] & later[b] and numbers[b] & later[a]:
                raise _clash(one, other)

    def limits(self, trips: Trips) -> Limits:
        """What the fleet's routes must keep to: streets barred, routes held on a required street, longest detours.

        Raises:
            UsageError: a rule leaves an agent no way, or no time.
        """
        graph = trips.graph
        barred: dict[str, set[int]] = {}
        detours: dict[str, float] = {}
        for place, rule in enumerate(self.rules):
            for trip in self.agents[place]:
                if isinstance(rule, MaxDetour):
                    detours[trip.id] = min(rule.factor, detours.get(trip.id, math.inf))
                if isinstance(rule, Avoid) and rule.end > trip.departure:
                    streets = {graph.index[e] for e in self.streets[place] if e in graph.index}
                    own = streets | barred.get(trip.id, set())
                    if self._way(trips, trip, frozenset(own)) is not None:
                        barred[trip.id] = own
                        continue
                    at_once = rule.begin <= trip.departure and trip.start_edge in self.streets[place]
                    if rule.until is None or at_once:
                        raise UsageError(f"{_about(rule)} leaves agent {trip.agent} no way; {self._why(place, trip)}")
        bars = {vehicle: frozenset(streets) for vehicle, streets in barred.items()}
        held = self._held(trips, bars)
        self._in_time(trips, bars)
        return Limits(barred=bars, held=held, detours=detours)

    def _held(self, trips: Trips, bars: Mapping[str, frozenset[int]]) -> dict[str, Route]:
        held: dict[str, Route] = {}
        for place, rule in enumerate(self.rules):
            if not isinstance(rule, Require):
                continue
            for trip in self.agents[place]:
                if trip.id in held:
                    if self.streets[place].isdisjoint(trips.graph.ids[e] for e in held[trip.id]):
                        raise UsageError(
                            f"{_about(rule)}: agent {trip.agent} is held on another required street already; require "
                            "one street of an agent."
                        )
                    continue
                route = self._by(trips, trip, self.streets[place], bars.get(trip.id, frozenset()))
                if route is None:
                    raise UsageError(
                        f"{_about(rule)}: no way without a loop leads agent {trip.agent} over it; require a street "
                        "that lies between its start and its destination."
                    )
                held[trip.id] = route
        return held

    def _in_time(self, trips: Trips, bars: Mapping[str, frozenset[int]]) -> None:
        for place, rule in enumerate(self.rules):
            if isinstance(rule, LatestArrival):
                for trip in self.agents[place]:
                    path = self._way(trips, trip, bars.get(trip.id, frozenset()))
                    earliest = math.ceil(trip.departure + path[1]) if path else math.inf
                    if earliest > rule.by:
                        raise UsageError(
                            f"{_about(rule)} cannot be: agent {trip.agent} departs at {trip.departure:g} s and arrives "
                            f"at {earliest} s at the earliest, on empty streets; give it until then or later."
                        )

    def _way(self, trips: Trips, trip: AgentTrip, barred: frozenset[int]) -> tuple[Route, float] | None:
        own = trips.vehicles[trip.id]
        return fastest_path(Costs(trips.graph, closed=barred), own.start, own.goal, own.departure)

    def _why(self, place: int, trip: AgentTrip) -> str:
        if trip.start_edge in self.streets[place]:
            return "it starts there; exclude that agent."
        return "exclude that agent, or give the rule an end."

    def _by(self, trips: Trips, trip: AgentTrip, streets: frozenset[str], barred: frozenset[int]) -> Route | None:
        """The fastest free-flow route over one of the streets, no street twice."""
        graph, own, best = trips.graph, trips.vehicles[trip.id], (math.inf, Route())
        for edge in sorted(streets & graph.index.keys()):
            street = graph.index[edge]
            there = fastest_path(Costs(graph, closed=barred), own.start, (street,), own.departure)
            if there is None:
                continue
            done = barred | frozenset(there[0][:-1])
            rest = fastest_path(Costs(graph, closed=done), street, own.goal, own.departure + there[1])
            if rest is not None and there[1] + rest[1] < best[0]:
                best = there[1] + rest[1], there[0][:-1] + rest[0]
        return best[1] or None

    def findings(self, limits: Limits, trips: Trips, routes: Mapping[int, Sequence[str]]) -> list[Broken]:
        """Routes that break a limit, whoever planned them."""
        found = []
        index = trips.graph.index
        for place, rule in enumerate(self.rules):
            for trip in self.agents[place]:
                route = routes.get(trip.agent)
                if route is None or not all(edge in index for edge in route):
                    continue
                streets = {index[e] for e in self.streets.get(place, ()) if e in index}
                taken = [edge for edge in route if index[edge] in streets]
                if isinstance(rule, Avoid) and taken and streets <= limits.barred.get(trip.id, frozenset()):
                    found.append(
                        Broken(rule, trip.agent, f"Agent {trip.agent}: the route takes {taken[0]}, but {rule}.")
                    )
                if isinstance(rule, Require) and not taken:
                    found.append(Broken(rule, trip.agent, f"Agent {trip.agent}: the route misses the street; {rule}."))
                if isinstance(rule, MaxDetour):
                    only = Limits(detours={trip.id: rule.factor}, barred=limits.barred)
                    numbers = tuple(index[edge] for edge in route)
                    if trip.id not in limits.held and not only.allow(trips, trip.id, numbers):
                        found.append(Broken(rule, trip.agent, f"Agent {trip.agent}: the route is too long; {rule}."))
        return found

    # -- after a drive -------------------------------------------------------------------------------------------------
    def verdicts(self, driven: Driven) -> list[Verdict]:
        """Every rule as this drive shows it."""
        return [Verdict(rule, tuple(self._broken(place, rule, driven))) for place, rule in enumerate(self.rules)]

    def broken(self, runs: Sequence[Driven]) -> int:
        """Agents by rules that are broken, on average over the drives, rounded up."""
        return math.ceil(sum(len(v.broken) for run in runs for v in self.verdicts(run)) / len(runs))

    def _broken(self, place: int, rule: Rule, driven: Driven) -> Iterable[Broken]:
        drives = {t.agent: driven.vehicles[t.id] for t in self.agents[place] if t.id in driven.vehicles}
        if isinstance(rule, Avoid | Require):
            for agent, drive in drives.items():
                entered = [time for edge, time in entries(drive) if edge in self.streets[place]]
                within = [time for time in entered if rule.begin <= time < rule.end]
                if isinstance(rule, Avoid) and within:
                    yield Broken(rule, agent, f"Agent {agent} entered at {within[0]:.0f} s.")
                if isinstance(rule, Require) and not within:
                    said = f"was there at {entered[0]:.0f} s" if entered else "was never there"
                    yield Broken(rule, agent, f"Agent {agent} {said}.")
        elif isinstance(rule, LatestArrival):
            for agent, drive in drives.items():
                if drive.arrived is None or drive.arrived > rule.by:
                    yield Broken(rule, agent, f"Agent {agent} {_arrival(drive)}.")
        elif isinstance(rule, Order):
            after = {t.agent: driven.vehicles[t.id] for t in self.of(rule.then, rule) if t.id in driven.vehicles}
            first = min((_time_of(drive) for drive in after.values()), default=math.inf)
            for agent, drive in drives.items():
                if _time_of(drive) >= first:
                    said = f"Agent {agent} {_arrival(drive)}, the first of {named(rule.then)} at {first:.0f} s."
                    yield Broken(rule, agent, said)
        elif isinstance(rule, Together):
            times = {agent: _time_of(drive) for agent, drive in drives.items()}
            if times and max(times.values()) - min(times.values()) > rule.within:
                agent = max(times, key=times.__getitem__)
                early = min(times, key=times.__getitem__)
                said = f"Agent {agent} {_arrival(drives[agent])}, agent {early} {_arrival(drives[early])}."
                yield Broken(rule, agent, said)
        elif isinstance(rule, Priority):
            lost = {t.agent: _lost(driven.vehicles[t.id]) for t in self.scenario.agents if t.id in driven.vehicles}
            ours = [seconds for agent, seconds in lost.items() if agent in drives]
            theirs = [seconds for agent, seconds in lost.items() if agent not in drives]
            if ours and theirs and np.mean(ours) > np.mean(theirs):
                worst = max(drives, key=lost.__getitem__)
                said = f"They lose {np.mean(ours):.0f} s on average, the others {np.mean(theirs):.0f} s."
                yield Broken(rule, worst, said)


def entries(drive: Drive) -> list[tuple[str, float]]:
    """The streets a vehicle entered, and when."""
    if drive.departed is None:
        return []
    found, entered = [], drive.departed
    for position, edge in enumerate(drive.route):
        found.append((edge, entered))
        left = drive.exit_times[position] if position < len(drive.exit_times) else -1.0
        if left < 0:
            break
        entered = left
    return found


def _time_of(drive: Drive) -> float:
    return math.inf if drive.arrived is None else drive.arrived


def _lost(drive: Drive) -> float:
    return drive.insertion_delay + drive.time_loss


def _arrival(drive: Drive) -> str:
    return "does not arrive" if drive.arrived is None else f"arrives at {drive.arrived:.0f} s"


def _about(rule: Rule) -> str:
    return f"The rule that {rule}"


def _clash(one: Rule, other: Rule) -> UsageError:
    return UsageError(f"{_about(one)} contradicts the one that {other}; leave one of them out.")
