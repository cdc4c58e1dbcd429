"""The tools a model may call while it plans a fleet in traffic: what streets cost, ways, who is where, a trial drive.

Arguments are somebody's text: checked before they are used, and what is wrong with them is the result. Results are a
few lines of ids and numbers; names of streets never reach a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leed_agentic.demonstrations.answer import Pairs, values, without_thoughts
from leed_agentic.demonstrations.commands import MOST, Command, Compiled, compile_commands, read_commands
from leed_agentic.demonstrations.coordination import FleetInTraffic
from leed_agentic.demonstrations.rules.compiled import entries
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.traffic.paths import Costs, Route, fastest_path, seconds_along

INTERVALS = 6
"""Of a street's times."""
USERS = 20
WAY = 40
"""Streets of a way that are named."""
SHOWN = 60
LONGEST = 2000
"""Characters of a result."""


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class StreetTimesTool(_Arguments):
    """What a street took in the best plan's drive, and who stood there, per 30 s."""

    name: ClassVar[str] = "street_times"
    street: str = Field(description="Id of a street.")


class RoutesTool(_Arguments):
    """The fastest way by what the last drives showed, for an agent, or between two streets or junctions."""

    name: ClassVar[str] = "routes"
    agent: int | None = Field(None, ge=0, description="Number of an agent, in place of from and to.")
    start: str | None = Field(None, alias="from", description="Id of a street.")
    goal: str | None = Field(None, alias="to", description="Id of a street or a junction.")
    avoid: Annotated[list[str], Field(max_length=20, description="Streets to keep off.")] = []


class UsersTool(_Arguments):
    """Which agents drive on a street in the best plan, and when they enter it."""

    name: ClassVar[str] = "users"
    street: str = Field(description="Id of a street.")


class TryTool(_Arguments):
    """Drive commands in SUMO without deciding for them."""

    name: ClassVar[str] = "try_commands"
    commands: Annotated[list[list[str]], Field(max_length=MOST)] = Field(description="[command, street, who] each.")


class SubmitTool(_Arguments):
    """Decide: these commands are the plan of this round. Without any the best plan so far stays."""

    name: ClassVar[str] = "submit"
    commands: Annotated[list[list[str]], Field(max_length=MOST)] = Field([], description="[command, street, who] each.")


TOOLS: tuple[type[_Arguments], ...] = (StreetTimesTool, RoutesTool, UsersTool, TryTool, SubmitTool)


def definitions() -> list[dict[str, Any]]:
    """Name, description and parameters of every tool, as chat servers take them."""
    found = []
    for tool in TOOLS:
        schema = tool.model_json_schema()
        parameters = {"type": "object", "properties": _untitled(schema["properties"])}
        if "required" in schema:
            parameters["required"] = schema["required"]
        words = " ".join((tool.__doc__ or "").split())
        found.append({"name": tool.name, "description": words, "parameters": parameters})  # type: ignore[attr-defined]
    return found


def signatures() -> str:
    """The same in a line each, for models whose server knows no tools."""
    lines = []
    for tool in definitions():
        needed = tool["parameters"].get("required", [])
        names = [name if name in needed else f"{name}?" for name in tool["parameters"]["properties"]]
        lines.append(f"{tool['name']}({', '.join(names)}): {tool['description']}")
    return "\n".join(lines)


@dataclass(frozen=True)
class ToolCall:
    """One call as a model made it."""

    tool: str
    arguments: Mapping[str, Any]


def read_calls(text: str) -> list[ToolCall]:
    """The calls in a reply, in its order: {"tool": name, "arguments": {...}}, or with `name` and `parameters`.

    A reply that holds commands and no call submits them.
    """
    found = []
    for value in values(without_thoughts(text)):
        rows = value[0] if not isinstance(value, Finding) else []
        for row in [rows] if isinstance(rows, Pairs) else rows:
            if isinstance(row, Pairs) and (call := _call(_plain(row))):
                found.append(call)
    if not found and (commands := read_commands(text)[0]):
        found.append(ToolCall("submit", {"commands": [command.to_json() for command in commands]}))
    return found


@dataclass
class Tried:
    """Commands that were driven."""

    commands: list[list[str]]
    broken: int
    """Wishes that the drive left unmet."""
    score: float
    """The objective: what is to fall."""


@dataclass
class Toolbox:
    """Answers calls about one fleet.

    Args:
        groups: agents by the names that the model was told.
        drives: trial drives at most.
    """

    fleet: FleetInTraffic
    groups: Mapping[str, Sequence[int]]
    drives: int
    driven: int = 0
    best: Tried | None = None
    """The best of what was tried, where it is better than the best plan."""
    submitted: list[Command] | None = None
    problems: list[Finding] = field(default_factory=list)

    def use(self, call: ToolCall) -> str:
        """The result of a call, or what is wrong with it."""
        tool = next((tool for tool in TOOLS if tool.name == call.tool), None)  # type: ignore[attr-defined]
        if tool is None:
            names = ", ".join(one["name"] for one in definitions())
            return self._wrong(f"there is no tool {call.tool[:SHOWN]!r}; use {names}.")
        try:
            given = tool.model_validate(call.arguments)
        except ValidationError as error:
            first = error.errors()[0]
            return self._wrong(f"{call.tool}: {'.'.join(map(str, first['loc']))}: {first['msg']}.")
        said = getattr(self, f"_{call.tool}")(given)
        return said if len(said) <= LONGEST else said[: LONGEST - 4] + " ..."

    # -- the tools -----------------------------------------------------------------------------------------------------
    def _street_times(self, given: StreetTimesTool) -> str:
        street = self._street(given.street)
        if street is None:
            return self._nowhere(given.street)
        times = self.fleet.loop.times()
        rows = np.flatnonzero(times.street == street)
        if not len(rows):
            return f"Nobody drove on {given.street}."
        worst = rows[np.argsort(-(times.loss[rows] * times.flow[rows]), kind="stable")][:INTERVALS]
        lines = [
            f"at {times.entered[row]:.0f} s: {times.seconds[row]:.0f} s a car, {times.loss[row]:.0f} of them lost, "
            f"{times.flow[row]:.0f} cars, {times.queue[row]:.0f} standing"
            for row in sorted(worst)
        ]
        return "\n".join([f"{given.street}, {len(rows)} intervals, the worst:", *lines])

    def _routes(self, given: RoutesTool) -> str:
        loop = self.fleet.loop
        avoided = [self._street(name) for name in given.avoid]
        if None in avoided:
            return self._nowhere(given.avoid[avoided.index(None)])
        costs, lines = loop.memory[loop.lights], []
        if given.agent is not None:
            if given.agent >= len(self.fleet.numbers):
                return self._wrong(f"there is no agent {given.agent}; agents are 0 to {len(self.fleet.numbers) - 1}.")
            vehicle = self.fleet.scenario.agents[given.agent].id
            trip, costs = loop.trips.vehicles[vehicle], loop.settings.limits.costs(costs, vehicle)
            begin, goal, departure = trip.start, trip.goal, trip.departure
            lines.append(self._way("now", self.fleet.route_of(vehicle), costs, departure))
        else:
            start, goal = self._street(given.start or ""), self._goal(given.goal or "")
            if start is None or not goal:
                return self._nowhere((given.start if start is None else given.goal) or "")
            begin = start
            departure = float(np.mean([trip.departure for trip in loop.trips.vehicles.values()]))
        closed = Costs(**{**vars(costs), "closed": costs.closed | frozenset(s for s in avoided if s is not None)})
        path = fastest_path(closed, begin, goal, departure)
        lines.append(self._way("fastest", path[0], costs, departure) if path else "There is no way without them.")
        return "\n".join(lines)

    def _users(self, given: UsersTool) -> str:
        if self._street(given.street) is None:
            return self._nowhere(given.street)
        driven, found = self.fleet.loop.best.driven[0], []  # type: ignore[union-attr]
        others = 0
        for vehicle, drive in driven.vehicles.items():
            entered = next((second for edge, second in entries(drive) if edge == given.street), None)
            if entered is None:
                continue
            if vehicle in self.fleet.numbers:
                found.append((entered, self.fleet.numbers[vehicle]))
            else:
                others += 1
        rows = [f"agent {agent} at {second:.0f} s" for second, agent in sorted(found)]
        more = f" and {len(rows) - USERS} agents more" if len(rows) > USERS else ""
        said = ", ".join(rows[:USERS]) + more if rows else "no agent"
        return f"{given.street}: {said}" + (f"; {others} other vehicles" if others else "")

    def _try_commands(self, given: TryTool) -> str:
        if self.driven >= self.drives:
            return self._wrong(f"all {self.drives} drives of this round are used; submit commands.")
        compiled = self._compiled(given.commands)
        said = [problem.message for problem in compiled.problems]
        if not compiled.moved:
            return "\n".join([*said, "Nothing was driven."])
        self.driven += 1
        loop, fleet = self.fleet.loop, self.fleet
        driven, broken, score = loop.try_out({**fleet.plan, **compiled.routes})
        best = fleet.best
        lines = [f"The fleet takes {score:.1f} s with them and {best.score:.1f} s in the best plan."]
        if broken or best.broken:
            lines.append(f"{broken} wishes are not met; {best.broken} in the best plan.")
        for command, gained, agents in gains(fleet, compiled, driven):
            lines.append(f"{command}: its {agents} agents {'gain' if gained > 0 else 'lose'} {abs(gained):.0f} s each")
        lines.append(f"{self.drives - self.driven} drives are left.")
        record = Tried([command.to_json() for command, _ in compiled.moved], broken, score)
        bar = (best.broken, best.score) if self.best is None else (self.best.broken, self.best.score)
        if (broken, score) < bar:
            self.best = record
        return "\n".join([*said, *lines])

    def _submit(self, given: SubmitTool) -> str:
        self.submitted, problems = (
            read_commands(json.dumps({"commands": given.commands})) if given.commands else ([], [])
        )
        self.problems += problems
        return "It is decided."

    # -- what they share -----------------------------------------------------------------------------------------------
    def _compiled(self, rows: Sequence[Sequence[str]]) -> Compiled:
        commands, problems = read_commands(json.dumps({"commands": rows}))
        compiled = compile_commands(commands, self.groups, self.fleet)
        return Compiled(compiled.moved, (*problems, *compiled.problems))

    def _street(self, name: str) -> int | None:
        return self.fleet.loop.trips.graph.index.get(name)

    def _goal(self, name: str) -> tuple[int, ...]:
        graph, network = self.fleet.loop.trips.graph, self.fleet.env.network
        if name in graph.index:
            return (graph.index[name],)
        if not network.has_junction(name):
            return ()
        return tuple(graph.index[e.id] for e in network.edges if e.to_junction == name and e.id in graph.index)

    def _way(self, kind: str, route: Route, costs: Costs, departure: float) -> str:
        edges = self.fleet.edges(route)
        more = f" and {len(edges) - WAY} streets more" if len(edges) > WAY else ""
        return f"{kind}: {seconds_along(costs, route, departure):.0f} s by {' '.join(edges[:WAY])}{more}"

    def _nowhere(self, name: str) -> str:
        return self._wrong(f"there is no street or junction {name[:SHOWN]!r}.")

    def _wrong(self, message: str) -> str:
        self.problems.append(Finding(None, "unreadable", message[0].upper() + message[1:]))
        return self.problems[-1].message


def gains(fleet: FleetInTraffic, compiled: Compiled, driven: Sequence[Any]) -> list[tuple[Command, float, int]]:
    """Of each command the mean seconds that its agents gain over the best plan, and how many they are."""
    best = fleet.loop.best
    if best is None:
        return []
    before, after, found = best.driven[0], driven[0], []
    for command, routes in compiled.moved:
        seconds = [
            before.vehicles[v].travel_time(before.end) - after.vehicles[v].travel_time(after.end) for v in routes
        ]
        found.append((command, float(np.mean(seconds)), len(seconds)))
    return found


def _call(row: Mapping[str, Any]) -> ToolCall | None:
    name = row.get("tool", row.get("name"))
    arguments = row.get("arguments", row.get("parameters", {}))
    if isinstance(name, Mapping):
        return None
    if isinstance(arguments, str):
        inner = [value[0] for value in values(arguments) if not isinstance(value, Finding)]
        arguments = _plain(inner[0]) if inner else {}
    return ToolCall(name, arguments) if isinstance(name, str) and isinstance(arguments, Mapping) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _untitled(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Without pydantic's titles and unions with null, which some servers refuse."""
    found = {}
    for name, schema in properties.items():
        plain = {key: value for key, value in schema.items() if key not in ("title", "default", "anyOf")}
        kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
        found[name] = {**(kinds[0] if kinds else {}), **plain}
    return found
