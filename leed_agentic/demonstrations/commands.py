"""The paper's instructions, [command, parameter, agent]: read, checked and turned into routes by the router."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leed_agentic.demonstrations.answer import Pairs, values, without_thoughts
from leed_agentic.demonstrations.coordination import FleetInTraffic
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.traffic.paths import Costs, Route, fastest_path, seconds_along
from leed_agentic.traffic.starts import Routes

COMMANDS = ("avoid", "prefer", "move to", "give way")
MOST = 12
"""Commands of a plan; further ones are left out, and counted."""
PREFERRED = 1.3
"""A preferred street is taken where the way over it takes at most this many times the seconds of the present way."""
SHOWN = 60
_SHARE = re.compile(r"(\d{1,3})\s*%\s*(?:of\s+)?(.+)")
_AGENT = re.compile(r"(?:agents?[\s_#]*)?(\d{1,7})")


@dataclass(frozen=True)
class Command:
    """One instruction: what to do, with which street (an edge's or a junction's id), and who."""

    command: str
    parameter: str
    who: str

    def __str__(self) -> str:
        return f"[{self.command}, {self.parameter}, {self.who}]"

    def to_json(self) -> list[str]:
        return [self.command, self.parameter, self.who]


def read_commands(text: str) -> tuple[list[Command], list[Finding]]:
    """The commands of a reply: lists of three, or objects with these keys, wherever they stand in its JSON."""
    found: list[Command] = []
    problems: list[Finding] = []
    for value in values(without_thoughts(text)):
        if isinstance(value, Finding):
            problems.append(value)
        else:
            _collect(value[0], found)
    known = [one for one in found if one.command in COMMANDS]
    problems += [
        _finding(f"there is no command {one.command[:SHOWN]!r}; use {', '.join(COMMANDS)}.")
        for one in found
        if one.command not in COMMANDS
    ]
    if not found and not problems:
        problems.append(_finding('the reply holds no commands; answer {"commands": [["avoid", street, who]]}.'))
    if len(known) > MOST:
        problems.append(_finding(f"the reply has {len(known)} commands; only the first {MOST} are followed."))
    return list(dict.fromkeys(known))[:MOST], problems


def _collect(value: Any, found: list[Command]) -> None:
    if isinstance(value, Pairs):
        row = {key.casefold(): inner for key, inner in value}
        named = [row.get("command"), row.get("parameter", row.get("street", "")), row.get("who", row.get("agent"))]
        if isinstance(named[0], str) and named[2] is not None:
            value = named
        else:
            for inner in row.values():
                _collect(inner, found)
            return
    if isinstance(value, list):
        if len(value) == 3 and all(isinstance(word, str) for word in value):
            command = " ".join(value[0].casefold().replace("_", " ").split())
            found.append(Command(command, value[1].strip(), " ".join(value[2].split())))
        else:
            for inner in value:
                _collect(inner, found)


@dataclass(frozen=True)
class Compiled:
    """What commands come to: routes of the vehicles that change theirs, by command, and what could not be followed."""

    moved: tuple[tuple[Command, Routes], ...]
    problems: tuple[Finding, ...]

    @property
    def routes(self) -> Routes:
        return {vehicle: route for _, routes in self.moved for vehicle, route in routes.items()}


def compile_commands(
    commands: Sequence[Command], groups: Mapping[str, Sequence[int]], fleet: FleetInTraffic
) -> Compiled:
    """Routes by the experienced times of the streets. The first command about an agent holds; a later one that says
    otherwise is a contradiction, and is said.

    Args:
        groups: agents by the names that the model was told.
    """
    moved: list[tuple[Command, Routes]] = []
    problems: list[Finding] = []
    taken: dict[str, Command] = {}
    for command in commands:
        agents, trouble = _agents(command.who, groups, fleet)
        streets, more = _streets(command, fleet)
        if trouble or more:
            problems.append(_finding(f"{command}: {trouble or more}"))
            continue
        routes: dict[str, tuple[float, Route]] = {}
        for agent in agents:
            vehicle = fleet.scenario.agents[agent].id
            opposed = vehicle in taken and taken[vehicle].parameter == command.parameter
            if opposed and taken[vehicle].command != command.command:
                problems.append(_finding(f"{command} contradicts {taken[vehicle]} for agent {agent}."))
            elif vehicle not in taken and (way := _way(fleet, vehicle, command.command, streets)):
                routes[vehicle] = way
        # Of a share those who lose least by it.
        chosen = sorted(routes, key=lambda vehicle: routes[vehicle][0])[: _most(command.who, len(agents))]
        taken |= dict.fromkeys(chosen, command)
        if chosen:
            moved.append((command, {vehicle: routes[vehicle][1] for vehicle in chosen}))
        else:
            problems.append(_finding(f"{command} changes nobody's route: none can follow it, or all do already."))
    return Compiled(tuple(moved), tuple(problems))


def _most(who: str, count: int) -> int:
    share = _SHARE.fullmatch(who)
    return math.ceil(count * min(int(share[1]), 100) / 100) if share else count


def _agents(who: str, groups: Mapping[str, Sequence[int]], fleet: FleetInTraffic) -> tuple[list[int], str]:
    share = _SHARE.fullmatch(who)
    name = (share[2] if share else who).casefold().removeprefix("group ").strip()
    if name in groups:
        return list(groups[name]), ""
    if name in ("all", "everybody"):
        return list(fleet.numbers.values()), ""
    number = _AGENT.fullmatch(name)
    if number and int(number[1]) < len(fleet.numbers):
        return [int(number[1])], ""
    return [], f"there is no agent or group {who[:SHOWN]!r}."


def _streets(command: Command, fleet: FleetInTraffic) -> tuple[frozenset[int], str]:
    graph, network = fleet.loop.trips.graph, fleet.env.network
    if command.command == "give way":
        return frozenset(), ""
    if command.parameter in graph.index:
        return frozenset({graph.index[command.parameter]}), ""
    if network.has_junction(command.parameter):
        ends = {e.id for e in network.edges if e.to_junction == command.parameter}
        return frozenset(graph.index[edge] for edge in ends if edge in graph.index), ""
    return frozenset(), f"there is no street or junction {command.parameter[:SHOWN]!r}."


def _way(fleet: FleetInTraffic, vehicle: str, command: str, streets: frozenset[int]) -> tuple[float, Route] | None:
    """Seconds lost against the present route and the route; None where it is the present one, or none is allowed."""
    loop, limits = fleet.loop, fleet.loop.settings.limits
    best = loop.best
    if best is None or vehicle in limits.held:
        return None
    trip, current = loop.trips.vehicles[vehicle], best.routes[vehicle]
    departed = best.driven[0].vehicles[vehicle].departed
    departure = trip.departure if departed is None else departed
    costs = limits.costs(loop.memory[loop.lights], vehicle)
    if command == "give way":
        worst = loop.delays().worst_row(vehicle)
        if worst is None:
            return None
        streets, command = frozenset({int(best.visits[0].street[worst])}), "avoid"
    on_it = not streets.isdisjoint(current)
    if command == "avoid":
        if not on_it:
            return None
        closed = Costs(**{**vars(costs), "closed": costs.closed | streets})
        path = fastest_path(closed, trip.start, trip.goal, departure)
        route = path[0] if path else ()
    else:
        if on_it:
            return None
        route = _over(costs, trip.start, trip.goal, streets, departure)
    if not route or route == current or not limits.allow(loop.trips, vehicle, route):
        return None
    now, then = seconds_along(costs, current, departure), seconds_along(costs, route, departure)
    if command == "prefer" and then > PREFERRED * now:
        return None
    return then - now, route


def _over(costs: Costs, start: int, goal: tuple[int, ...], streets: frozenset[int], departure: float) -> Route:
    """The fastest way over one of the streets without a loop; empty where there is none."""
    there = fastest_path(costs, start, tuple(sorted(streets)), departure)
    if there is None:
        return ()
    done = Costs(**{**vars(costs), "closed": costs.closed | frozenset(there[0][:-1])})
    rest = fastest_path(done, there[0][-1], goal, departure + there[1])
    return there[0][:-1] + rest[0] if rest else ()


def _finding(message: str) -> Finding:
    return Finding(None, "unreadable", message[0].upper() + message[1:])
