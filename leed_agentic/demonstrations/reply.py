"""A model's text into routes, {agent: [edge ids]}: whatever the text is, routes or findings come out, never a crash.

Accepted anywhere in the text, fenced or not: an object with a list of edge ids per agent, rows
{"routes": [{"agent": 0, "edges": [...]}]}, the paper's instructions [command, parameter, agent id], and these wrapped
in objects, tool calls or texts of their own, under the names that models use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from leed_agentic.demonstrations.answer import Broken, Pairs, strict, values, without_thoughts
from leed_agentic.demonstrations.names import Names
from leed_agentic.demonstrations.validate import Finding, unexpected_agents
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.scenario import Scenario

MAX_CHARACTERS = 2_000_000
"""A longer reply is not read. 1000 agents with 50 edges each are about 800,000 characters."""
MAX_ID = 1000
MAX_WRAPPERS = 6
"""Objects and texts around an answer."""
MAX_ROWS = 100_000
MAX_NAME = 60

_AGENT = re.compile(r"(?:(?:agent|vehicle|car|veh)[\s_#:.-]{0,3})?#?([0-9]{1,9})", re.IGNORECASE)
_MOVE = re.compile(r"(?:move|go|drive|turn|take|enter|proceed|follow|head)\b", re.IGNORECASE)
_STEP = re.compile(r"(?:junction|node|edge|street)[\s_:#]+(.+)", re.IGNORECASE)
_NO_ID = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ARROWS = re.compile(r"->|=>|→|➔|⟶|,|;")
_AGENT_WORDS = {"agent", "agent_id", "agentid", "agent_number", "id", "vehicle", "vehicle_id", "car", "car_id", "name"}
_ROUTE_WORDS = {
    *(
        "edges",
        "route",
        "path",
        "edge_ids",
        "edgeids",
        "edge_list",
        "edge_sequence",
        "streets",
        "street_ids",
        "sequence",
    ),
    *("steps", "plan", "roads", "road_ids", "links", "segments", "itinerary", "waypoints"),
}
_EDGE_WORDS = {"edge", "edge_id", "edgeid", "id", "street", "street_id", "road", "link", "segment", "name"}
_ANSWER_WORDS = {"answer", "final", "final_answer", "routes", "result", "output", "arguments", "response", "solution"}
_THOUGHT_WORDS = {
    *("thought", "thoughts", "thinking", "reasoning", "analysis", "scratchpad", "draft", "drafts", "notes", "example"),
    *("explanation", "rationale", "reflection"),
}


@dataclass(frozen=True)
class ParsedReply:
    """What the text says. A route may be illegal (validate says so); `steps` await `resolve_steps`."""

    routes: dict[int, list[str]] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    steps: dict[int, list[str]] = field(default_factory=dict)
    """Per agent, the parameters of its instructions in order: junction or edge ids."""


def read_reply(
    text: str,
    agents: Sequence[int],
    network: RoadNetwork,
    scenario: Scenario,
    names: Names | None = None,
    trouble: str | None = None,
) -> ParsedReply:
    """`parse_reply` in the network's ids, whatever names the prompt used, with instructions resolved into edges."""
    read, names = parse_reply(text, agents, trouble), names or Names(network)
    written = {agent: names.ids(route) for agent, route in read.routes.items()}
    steps = {agent: names.ids(parameters) for agent, parameters in read.steps.items()}
    routes, problems = resolve_steps(steps, network, scenario)
    return ParsedReply({**written, **routes}, [*read.problems, *problems])


def parse_reply(text: str, agents: Sequence[int], trouble: str | None = None) -> ParsedReply:
    """Routes or instructions for the given agents, from the text alone.

    A reply may hold several blocks, such as a draft and a correction: agent by agent, the later block counts.

    Args:
        trouble: what the server says went wrong with the reply; the finding where the text cannot be read.
    """
    if len(text) > MAX_CHARACTERS:
        return _nothing(trouble or f"The reply has {len(text)} characters; answer with the routes alone.")
    answer = without_thoughts(text)
    if not answer.strip():
        held = "holds thoughts only and no answer" if text.strip() else "is empty"
        return _nothing(trouble or f"The reply {held}; answer with {{agent: [edge ids]}} as JSON.")
    wanted = set(agents)
    merged = ParsedReply()
    why = "there is no { or [ in it"
    read_any = False
    for block in values(answer):
        if isinstance(block, Finding):
            merged.problems.append(block)
            continue
        value, wrong = block
        reading = None if wrong else _read(value, wanted)
        if reading is None:
            why = wrong or "it holds no list of edge ids per agent"
            continue
        read_any = True
        _merge(merged, reading)
    if trouble:
        # That it cannot be read follows from it.
        merged.problems[:] = [p for p in merged.problems if p.agent is not None or p.kind != "unreadable"]
        merged.problems.append(Finding(None, "unreadable", trouble))
    elif not read_any and not merged.problems:
        return _nothing(
            f"The reply cannot be read ({why}); answer with {{agent: [edge ids]}} as JSON and nothing else."
        )
    return merged


def resolve_steps(
    steps: Mapping[int, Sequence[str]], network: RoadNetwork, scenario: Scenario
) -> tuple[dict[int, list[str]], list[Finding]]:
    """Instructions such as [move to, junction_5, agent_3] into edges: a junction means the legal edge that ends there.

    Of parallel edges the shortest is meant. The start edge may be left out. An agent with a junction that no legal
    edge leads to gets a finding in place of a route.
    """
    trips = {trip.agent: trip for trip in scenario.agents}
    routes: dict[int, list[str]] = {}
    problems: list[Finding] = []
    for agent, parameters in steps.items():
        if agent not in trips:
            continue
        route = [trips[agent].start_edge]
        for position, named in enumerate(parameters):
            parameter = _id_of(named, network)
            before = network.edge(route[-1]) if network.has_edge(route[-1]) else None
            if position == 0 and parameter == route[0]:
                continue
            if before is None or network.has_edge(parameter) or not network.has_junction(parameter):
                route.append(parameter)
            elif parameter != before.to_junction:
                there = [e for e in map(network.edge, before.successors) if e.to_junction == parameter]
                if not there:
                    onward = ", ".join(dict.fromkeys(network.edge(s).to_junction for s in before.successors))
                    message = (
                        f"Agent {agent}: no legal street leads from {before.id} to junction {parameter}; "
                        f"the next junction can be {onward}."
                    )
                    problems.append(Finding(agent, "not_a_successor", message, before.id, position))
                    break
                route.append(min(there, key=lambda edge: edge.length).id)
        else:
            routes[agent] = route
    return routes, problems


def _id_of(parameter: str, network: RoadNetwork) -> str:
    """The id in a parameter such as junction_5, unless the network knows it as it is."""
    named = _STEP.fullmatch(parameter.strip())
    known = network.has_edge(parameter) or network.has_junction(parameter)
    return named.group(1) if named and not known else parameter


def _nothing(message: str) -> ParsedReply:
    return ParsedReply(problems=[Finding(None, "unreadable", message)])


def _merge(into: ParsedReply, later: ParsedReply) -> None:
    told = {problem.agent for problem in later.problems if problem.agent is not None}
    renewed = {*later.routes, *later.steps, *told}
    for agent in renewed:
        into.routes.pop(agent, None)
        into.steps.pop(agent, None)
    into.problems[:] = [problem for problem in into.problems if problem.agent not in renewed]
    into.routes.update(later.routes)
    into.steps.update(later.steps)
    into.problems.extend(later.problems)


# -- from values to routes ---------------------------------------------------------------------------------------------
def _read(value: Any, wanted: set[int], depth: int = 0) -> ParsedReply | None:
    """What a block says, or None when it is not an answer (a remark in brackets, an example without edges)."""
    if depth > MAX_WRAPPERS:
        return None
    if isinstance(value, str):
        # Arguments of a tool call are JSON within JSON.
        inner, trouble = strict(value) if value.lstrip()[:1] in ("{", "[") else (None, "no data")
        return None if trouble else _read(inner, wanted, depth + 1)
    if isinstance(value, Pairs):
        return _read_object(value, wanted, depth)
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(item, Pairs) for item in value):
        if len(value) > MAX_ROWS:
            return None
        rows = list(takewhile(bool, map(_row, value)))
        if len(rows) == len(value):
            return _collect((row for row in rows if row), wanted)
        if len(wanted) == 1 and isinstance(ids := _ids(value), list) and ids:
            return _collect([(next(iter(wanted)), value)], wanted)
        inner_ones = [reading for item in value if (reading := _read(item, wanted, depth + 1)) is not None]
        return _joined(inner_ones, wanted)
    if all(isinstance(item, list) and len(item) == 3 and not isinstance(item, Pairs) for item in value):
        return _instructions(value, wanted)
    if all(_is_pair(item) for item in value):
        return _collect(((item[0], item[1]) for item in value), wanted)
    if len(value) == 3 and isinstance(value[0], str) and _MOVE.match(value[0].strip()) and _agent(value[2]) is not None:
        return _instructions([value], wanted)
    if len(wanted) == 1 and all(isinstance(item, str) for item in value):
        # Asked about one agent only, models leave its number out.
        return _collect([(next(iter(wanted)), value)], wanted)
    return None


def _read_object(value: Pairs, wanted: set[int], depth: int) -> ParsedReply | None:
    row = _row(value)
    if row:
        return _collect([row], wanted)
    if any(_agent(key) is not None for key, _ in value):
        return _collect((pair for pair in value if _agent(pair[0]) is not None or isinstance(pair[1], list)), wanted)
    inside = [(key.strip().lower(), item) for key, item in value if isinstance(item, list | str) and item]
    inside = [(key, item) for key, item in inside if not isinstance(item, str) or item.lstrip()[:1] in ("{", "[")]
    answers = [item for key, item in inside if key in _ANSWER_WORDS]
    for candidates in (answers, [item for key, item in inside if key not in _THOUGHT_WORDS]):
        found = [reading for item in candidates if (reading := _read(item, wanted, depth + 1)) is not None]
        # The last one counts, as it does among blocks.
        if found:
            return found[-1]
    routes = [item for key, item in value if key.strip().lower() in _ROUTE_WORDS and isinstance(item, list | str)]
    if len(wanted) == 1 and len(routes) == 1:
        return _collect([(next(iter(wanted)), routes[0])], wanted)
    lists = [pair for pair in value if isinstance(pair[1], list) and not isinstance(pair[1], Pairs)]
    return _collect(lists, wanted) if lists and depth == 0 else None


def _joined(readings: Sequence[ParsedReply], wanted: set[int]) -> ParsedReply | None:
    """Objects of one list, each about other agents; two different routes for one agent are none."""
    if not readings:
        return None
    pairs = [(agent, route) for reading in readings for agent, route in reading.routes.items()]
    joined = _collect(pairs, wanted)
    for reading in readings:
        joined.problems.extend(reading.problems)
        joined.steps.update(reading.steps)
    return joined


def _is_pair(item: Any) -> bool:
    """[0, ["a", "b"]]"""
    plain = isinstance(item, list) and not isinstance(item, Pairs) and len(item) == 2
    return plain and _agent(item[0]) is not None and isinstance(item[1], list)


def _row(item: Pairs) -> tuple[Any, Any] | None:
    """{"agent": 0, "edges": [...]}, or other words for the two, as (0, [...])."""
    agents, routes = [], []
    for key, value in item:
        word = key.strip().lower()
        if word in _AGENT_WORDS and isinstance(value, str) and _agent(value) is not None:
            agents.append(value)
        elif word in _ROUTE_WORDS or (word not in _THOUGHT_WORDS and isinstance(value, list)):
            routes.append((word in _ROUTE_WORDS, value))
    named = [value for known, value in routes if known] or [value for _, value in routes]
    return (agents[0], named[0]) if len(agents) == 1 and len(named) == 1 else None


def _agent(name: Any) -> int | None:
    if type(name) is int:
        return name
    match = _AGENT.fullmatch(name.strip()) if isinstance(name, str) and len(name) <= MAX_ID else None
    return int(match[1]) if match else None


def _collect(pairs: Iterable[tuple[Any, Any]], wanted: set[int]) -> ParsedReply:
    said: dict[int, Any] = {}
    differing: set[int] = set()
    strangers: dict[str, None] = {}
    for name, route in pairs:
        agent = _agent(name)
        if agent is None or agent not in wanted:
            strangers[str(agent) if agent is not None else ascii(str(name)[:MAX_ID])] = None
        elif agent not in said:
            said[agent] = route
        elif agent not in differing and said[agent] != route:
            differing.add(agent)
    reading = ParsedReply()
    for agent, answer in said.items():
        if agent in differing:
            message = f"Agent {agent}: the reply has several different routes; give exactly one."
            reading.problems.append(Finding(agent, "duplicate_agent", message))
            continue
        route = _ids(answer)
        if isinstance(route, str):
            reading.problems.append(_unreadable(agent, route))
        else:
            reading.routes[agent] = route
    if strangers:
        reading.problems.append(unexpected_agents(list(strangers)))
    return reading


def _ids(value: Any) -> list[str] | str:
    """Edge ids, or what is wrong with them. SUMO ids are often bare numbers, and models leave the quotes off."""
    for _ in range(MAX_WRAPPERS):
        # {"edges": [...]}, with or without remarks beside it.
        if isinstance(value, Pairs):
            lists = [v for k, v in value if k.strip().lower() in _ROUTE_WORDS]
            value = lists[0] if len(lists) == 1 and len(value) <= 20 else None
    if type(value) is str and _ARROWS.search(value):
        value = [part.strip(" \t'\"[]") for part in _ARROWS.split(value)]
    if not isinstance(value, list) or isinstance(value, Pairs):
        return "its route is not a list of edge ids"
    ids = []
    for item in value:
        text = _edge_in(item) if isinstance(item, Pairs) else item
        if not isinstance(text, str) or isinstance(text, Broken) or len(text) > MAX_ID or _NO_ID.search(text):
            return f"{ascii(item[:MAX_NAME])[:MAX_NAME] if isinstance(item, str) else _called(item)} is no edge id"
        ids.append(text.strip())
    return ids


def _edge_in(item: Pairs) -> Any:
    """{"edge": "a", "length": 20} as "a"."""
    named = [value for key, value in item if key.strip().lower() in _EDGE_WORDS and isinstance(value, str)]
    return named[0] if named else None


def _called(item: Any) -> str:
    return "null" if item is None else type(item).__name__ if not isinstance(item, Pairs) else "object"


def _instructions(rows: Sequence[Any], wanted: set[int]) -> ParsedReply | None:
    """[command, parameter, agent id], in order; commands that move, with a junction or an edge."""
    steps: dict[int, list[str]] = {}
    refused: dict[int, str] = {}
    strangers: dict[str, None] = {}
    for command, parameter, name in rows:
        agent = _agent(name)
        if agent is None or not isinstance(command, str):
            return None
        if agent not in wanted:
            strangers[str(agent)] = None
            continue
        ids = _ids([parameter])
        if not _MOVE.match(command[:MAX_ID].strip().replace("_", " ")):
            refused.setdefault(agent, f"{ascii(command[:MAX_NAME])[:MAX_NAME]} is no known command; use 'move to'")
        elif isinstance(ids, str):
            refused.setdefault(agent, ids)
        else:
            steps.setdefault(agent, []).append(ids[0])
    problems = [_unreadable(agent, why) for agent, why in refused.items()]
    if strangers:
        problems.append(unexpected_agents(list(strangers)))
    return ParsedReply({}, problems, {agent: steps[agent] for agent in steps if agent not in refused})


def _unreadable(agent: int, why: str) -> Finding:
    return Finding(agent, "unreadable", f"Agent {agent}: {why}; give a list of edge ids in double quotes.")
