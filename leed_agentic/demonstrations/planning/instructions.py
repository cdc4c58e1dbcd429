"""The paper's own form of a plan: [command, parameter, agent], for a fleet of any size in one prompt.

The model reads a digest of bounded size, what the worst streets cost and who is on them, and answers in commands. They
are checked, turned into routes by the router and driven; a command that cost its agents more than it gave is taken
back, and the model hears what each one came to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leed_agentic.demonstrations.commands import MOST, Command, Compiled, compile_commands, read_commands
from leed_agentic.demonstrations.coordination import FleetInTraffic
from leed_agentic.demonstrations.planning.alternatives import traffic_of
from leed_agentic.demonstrations.planning.planner import Planned, PlanRequest, planners
from leed_agentic.demonstrations.planning.schema import commands_schema
from leed_agentic.models.caller import Message

STREETS = 12
"""Streets in the digest."""
NAMED = 5
"""Agents of a group that are named."""
REFUSED = 6
"""Commands of the last reply that could not be followed, as many as the model hears of."""


@dataclass(frozen=True)
class Digest:
    """The state of a fleet in a bounded number of lines."""

    text: str
    groups: Mapping[str, tuple[int, ...]]
    """Agents on each of the worst streets, by the names in the text."""
    streets: tuple[str, ...]


@planners.register("instructions")
class InstructionsPlanner:
    """Asks once a round. Its memory has `commands`, what was commanded last, and of each its agents and whether it was
    taken back."""

    whole_fleet = True
    """A command may be about any agent, so all are asked as long as one has something to gain."""

    def plan(self, request: PlanRequest) -> Planned:
        fleet = traffic_of(request)
        memory = dict(request.memory)
        if not fleet.begun:
            fleet.begin()
            return Planned(fleet.routes(), memory=memory)
        told = outcomes(fleet, memory.get("commands", []))
        digest = digest_of(fleet)
        good = [Command(*row["command"]) for row in told if row["gained"] > 0]
        if good and len(good) < len(told) and not memory.get("retried"):
            # The plan was no better than before: without those who lost by it, it may be.
            request.progress(f"{len(told) - len(good)} of {len(told)} commands are taken back")
            compiled, memory["retried"] = compile_commands(good, digest.groups, fleet), True
        else:
            compiled = compile_commands([], digest.groups, fleet)
        before = memory.pop("refused", [])
        if not compiled.moved:
            commands, problems = self.commands(request, digest, told)
            compiled, memory["retried"] = compile_commands(commands, digest.groups, fleet), False
            compiled = Compiled(compiled.moved, (*problems, *compiled.problems))
            memory["refused"] = [problem.message for problem in compiled.problems][:REFUSED]
        routes = {fleet.numbers[vehicle]: fleet.edges(route) for vehicle, route in compiled.routes.items()}
        memory["commands"] = [
            {"command": command.to_json(), "agents": [fleet.numbers[vehicle] for vehicle in moved]}
            for command, moved in compiled.moved
        ]
        kept = {agent: route for agent, route in fleet.routes().items() if agent in request.agents}
        news = memory.get("refused", before) != before
        return Planned({**kept, **routes}, list(compiled.problems), memory, news=news)

    def commands(
        self, request: PlanRequest, digest: Digest, told: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Command], tuple[Any, ...]]:
        """What the model commands, and what of its reply could not be read."""
        agents = sorted(digest.groups)
        schema = commands_schema(digest.streets, agents, MOST)
        reply = request.caller.ask(question_of(request, digest, told), purpose="instructions", schema=schema)
        found, problems = read_commands(reply.text)
        return found, tuple(problems)

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        """None: the digest is of drives."""
        return {}


def question_of(request: PlanRequest, digest: Digest, told: Sequence[Mapping[str, Any]] = ()) -> list[Message]:
    """The messages of a round. The example is a turn of its own: within the question small models copy it."""
    prompts, last = request.prompts, told_of(told, request.memory.get("refused", ()))
    messages: list[Message] = []
    shown, arrow, answer = prompts.texts["instructions_examples"].partition("\n=>\n")
    if arrow:
        messages.append({"role": "user", "content": prompts.render("instructions", digest=shown.strip(), last="none")})
        messages.append({"role": "assistant", "content": answer.strip()})
    return [*messages, {"role": "user", "content": prompts.render("instructions", digest=digest.text, last=last)}]


def told_of(told: Sequence[Mapping[str, Any]], refused: Sequence[str] = ()) -> str:
    """What each of the last commands came to, and which could not be followed, as the model hears it."""
    lines = [
        f"[{', '.join(row['command'])}]: its {row['agents']} agents "
        + (f"gained {row['gained']:.0f} s each" if row["gained"] > 0 else f"lost {-row['gained']:.0f} s each")
        for row in told[:MOST]
    ]
    return "\n".join([*lines, *refused]) or "none"


def digest_of(fleet: FleetInTraffic) -> Digest:
    """Fleet figures, the worst streets with who drove on them, and incidents. Ids and numbers only: names of streets
    are anybody's text."""
    loop = fleet.loop
    times, ids = loop.times(), loop.trips.graph.ids
    lost = np.bincount(times.street, times.loss * times.flow, len(ids))
    flow = np.bincount(times.street, times.flow, len(ids))
    worst = [int(street) for street in np.argsort(-lost, kind="stable")[:STREETS] if lost[street] >= 1]
    users: dict[int, list[int]] = {street: [] for street in worst}
    for vehicle, agent in fleet.numbers.items():
        for street in fleet.ids_of(vehicle) & users.keys():
            users[street].append(agent)
    best = fleet.best
    lines = [f"{len(fleet.numbers)} agents take {best.fleet:.0f} s on average; {best.unfinished:.0f} do not arrive."]
    groups: dict[str, tuple[int, ...]] = {}
    for number, street in enumerate(worst, 1):
        name = f"g{number}"
        groups[name] = tuple(users[street])
        rows = np.flatnonzero(times.street == street)
        peak = rows[np.argmax(times.loss[rows] * times.flow[rows])]
        some = ", ".join(map(str, users[street][:NAMED])) + (" ..." if len(users[street]) > NAMED else "")
        lines.append(
            f"{name}: {len(users[street])} agents on {ids[street]}: {lost[street]:.0f} s lost by {flow[street]:.0f} "
            f"cars, worst at {times.entered[peak]:.0f} s with {times.queue[peak]:.0f} standing; agents {some or 'none'}"
        )
    shut = [closure for closure in fleet.scenario.closures if closure.known][:STREETS]
    lines += [f"{c.edges[0]} is closed or slow from {c.begin:.0f} to {c.end:.0f} s" for c in shut]
    return Digest("\n".join(lines), groups, tuple(ids[street] for street in worst))


def outcomes(fleet: FleetInTraffic, commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each command of the last plan, where that was not better: how many seconds its agents gained on average."""
    last, best = fleet.loop.last, fleet.loop.best
    if last is None or best is None or last is best:
        return []
    before, after = best.driven[0], last.driven[0]
    found = []
    for row in commands:
        vehicles = [fleet.scenario.agents[agent].id for agent in row["agents"]]
        gains = [
            before.vehicles[v].travel_time(before.end) - after.vehicles[v].travel_time(after.end) for v in vehicles
        ]
        found.append({"command": row["command"], "agents": len(vehicles), "gained": float(np.mean(gains or [0.0]))})
    return found
