"""A model's text into routes, {agent: [edge ids]}: whatever the text is, routes or findings come out, never a crash.

Nothing is evaluated. Accepted anywhere in the text, fenced or not: an object as JSON or as a Python dictionary with a
list of edge ids per agent, rows {"routes": [{"agent": 0, "edges": [...]}]}, and the paper's instructions
[command, parameter, agent id].
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leed_agentic.demonstrations.names import Names
from leed_agentic.demonstrations.validate import Finding, unexpected_agents
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.scenario import Scenario

MAX_CHARACTERS = 2_000_000
"""A longer reply is not read. 1000 agents with 50 edges each are about 800,000 characters."""
MAX_LITERAL_CHARACTERS = 200_000
"""Python's parser takes far more memory per character than the JSON one."""
MAX_DEPTH = 20
MAX_BLOCKS = 2000
MAX_RESTARTS = 8
MAX_ID = 1000

_TOKENS = re.compile(r"""["'\[\]{}\n]|\\.""", re.DOTALL)
_AGENT = re.compile(r"\s*(?:agent|vehicle|car)?[\s_#:-]*(\d{1,9})\s*", re.IGNORECASE)
_MOVE = re.compile(r"\s*(?:move|go|drive|turn|take|enter|proceed|follow|head)\b", re.IGNORECASE)
_STEP = re.compile(r"\s*(?:junction|node|edge|street)[\s_:#]+(.+?)\s*", re.IGNORECASE)
_OPEN = {"{": "}", "[": "]"}


@dataclass(frozen=True)
class ParsedReply:
    """What the text says. A route may be illegal (validate says so); `steps` await `resolve_steps`."""

    routes: dict[int, list[str]] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    steps: dict[int, list[str]] = field(default_factory=dict)
    """Per agent, the parameters of its instructions in order: junction or edge ids."""


class _Object(list[tuple[Any, Any]]):
    """A parsed object as its pairs: a dictionary would silently keep the last of two equal keys."""


def read_reply(
    text: str, agents: Sequence[int], network: RoadNetwork, scenario: Scenario, names: Names | None = None
) -> ParsedReply:
    """`parse_reply` in the network's ids, whatever names the prompt used, with instructions resolved into edges."""
    parsed, names = parse_reply(text, agents), names or Names(network)
    written = {agent: names.ids(route) for agent, route in parsed.routes.items()}
    steps = {agent: names.ids(parameters) for agent, parameters in parsed.steps.items()}
    routes, problems = resolve_steps(steps, network, scenario)
    return ParsedReply({**written, **routes}, [*parsed.problems, *problems])


def parse_reply(text: str, agents: Sequence[int]) -> ParsedReply:
    """Routes or instructions for the given agents, from the text alone.

    A reply may hold several blocks, such as a draft and a correction: agent by agent, the later block counts.
    """
    if len(text) > MAX_CHARACTERS:
        return _nothing(f"The reply has {len(text)} characters; answer with the routes alone.")
    answer = text.rpartition("</think>")[2].partition("<think>")[0]
    if not answer.strip():
        return _nothing("The reply holds no answer; answer with {agent: [edge ids]} as JSON.")
    wanted = set(agents)
    merged = ParsedReply()
    why = "there is no { or [ in it"
    read_any = False
    for block in itertools.islice(_blocks(answer), MAX_BLOCKS):
        if isinstance(block, Finding):
            merged.problems.append(block)
            continue
        value, trouble = _parse(block)
        if trouble:
            why = trouble
            continue
        reading = _read(value, wanted)
        if reading is None:
            why = "it holds no list of edge ids per agent"
            continue
        read_any = True
        _merge(merged, reading)
    if not read_any and not merged.problems:
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
    named = _STEP.fullmatch(parameter)
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


# -- from text to values -----------------------------------------------------------------------------------------------
def _blocks(text: str) -> Iterator[str | Finding]:
    """Every outermost balanced {...} or [...]; one pass, and at most MAX_RESTARTS more after a bracket never closed.

    What a reply that was cut off says before the cut is closed and counts.
    """
    position, restarts = 0, 0
    while restarts <= MAX_RESTARTS:
        stack: list[str] = []
        quote, kept = "", ""
        start = deepest = until = 0
        for token in _TOKENS.finditer(text, position):
            character = token.group()
            if quote:
                # Neither JSON nor Python lets a string run over the end of a line; an apostrophe in prose ends there.
                if character in (quote, "\n"):
                    if character == quote and stack[-1] == "]" and len(stack) <= MAX_DEPTH:
                        until, kept = token.end(), "".join(reversed(stack))
                    quote = ""
            elif character in _OPEN:
                if not stack:
                    start, deepest = token.start(), 0
                stack.append(_OPEN[character])
                deepest = max(deepest, len(stack))
            elif stack and character in "\"'":
                quote = character
            elif stack and character == stack[-1]:
                stack.pop()
                if len(stack) <= MAX_DEPTH:
                    until, kept = token.end(), "".join(reversed(stack))
                if not stack:
                    if deepest > MAX_DEPTH:
                        yield Finding(None, "unreadable", f"The reply nests brackets {deepest} levels deep; use two.")
                    else:
                        yield text[start : token.end()]
            elif stack and character in "]}":
                break
        else:
            if kept:
                yield text[start:until] + kept
        if not stack:
            return
        restarts += 1
        further = re.compile(r"[\[{]").search(text, start + 1)
        if len(stack) > MAX_DEPTH or further is None or restarts > MAX_RESTARTS:
            yield Finding(None, "unreadable", "The reply ends before its brackets are closed; give shorter routes.")
            return
        position = further.start()


def _parse(block: str) -> tuple[Any, str]:
    """The block's value with objects as pairs, or why it has none."""
    try:
        return json.loads(block, object_pairs_hook=_Object), ""
    except (ValueError, RecursionError) as error:
        trouble = f"not valid JSON: {str(error)[:80]}"
    if len(block) > MAX_LITERAL_CHARACTERS:
        return None, trouble
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return _literal(ast.parse(block, mode="eval").body), ""
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None, trouble


def _literal(node: ast.expr) -> Any:
    """Constants, lists, tuples and dictionaries only: what `ast.literal_eval` takes, with a dictionary's pairs kept."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_literal(key) if key is not None else None for key in node.keys]
        return _Object(zip(keys, map(_literal, node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if type(value) is int:
            return -value
    raise ValueError(f"a {type(node).__name__} is not data")


# -- from values to routes ---------------------------------------------------------------------------------------------
def _read(value: Any, wanted: set[int]) -> ParsedReply | None:
    """What a block says, or None when it is not an answer (a remark in brackets, an example without edges)."""
    if isinstance(value, _Object):
        inner = [v for key, v in value if key == "routes" and isinstance(v, list)]
        if inner:
            return _read(inner[-1], wanted)
        row = _row(value)
        if row:
            return _collect([row], wanted)
        pairs = [(key, v) for key, v in value if _agent(key) is not None or isinstance(v, list)]
        return _collect(pairs, wanted) if pairs else None
    if not isinstance(value, list) or not value:
        return None
    rows = [_row(item) for item in value if isinstance(item, _Object)]
    if rows and len(rows) == len(value):
        if all(rows):
            return _collect([row for row in rows if row], wanted)
        return _collect([pair for item in value for pair in item], wanted)
    if all(isinstance(item, list) and len(item) == 3 and not isinstance(item, _Object) for item in value):
        return _instructions(value, wanted)
    if len(value) == 3 and isinstance(value[0], str) and _MOVE.match(value[0]) and _agent(value[2]) is not None:
        return _instructions([value], wanted)
    if len(wanted) == 1 and all(isinstance(item, str) for item in value):
        # Asked about one agent only, models leave its number out.
        return _collect([(next(iter(wanted)), value)], wanted)
    return None


def _row(item: _Object) -> tuple[Any, Any] | None:
    """{"agent": 0, "edges": [...]} as (0, [...])."""
    agents = [v for key, v in item if key == "agent"]
    edges = [v for key, v in item if key in ("edges", "route")]
    return (agents[0], edges[0]) if len(agents) == 1 and len(edges) == 1 else None


def _agent(name: Any) -> int | None:
    if type(name) is int:
        return name if 0 <= name < 10**9 else None
    match = _AGENT.fullmatch(name[:MAX_ID]) if isinstance(name, str) else None
    return int(match.group(1)) if match else None


def _collect(pairs: Sequence[tuple[Any, Any]], wanted: set[int]) -> ParsedReply:
    said: dict[int, list[Any]] = {}
    strangers: dict[str, None] = {}
    for name, route in pairs:
        agent = _agent(name)
        if agent is None or agent not in wanted:
            strangers[str(agent) if agent is not None else ascii(str(name)[:MAX_ID])] = None
        elif route not in said.setdefault(agent, []):
            said[agent].append(route)
    reading = ParsedReply()
    for agent, answers in said.items():
        if len(answers) > 1:
            message = f"Agent {agent}: the reply has {len(answers)} different routes; give exactly one."
            reading.problems.append(Finding(agent, "duplicate_agent", message))
            continue
        route = _ids(answers[0])
        if isinstance(route, str):
            reading.problems.append(_unreadable(agent, route))
        else:
            reading.routes[agent] = route
    if strangers:
        reading.problems.append(unexpected_agents(list(strangers)))
    return reading


def _ids(value: Any) -> list[str] | str:
    """Edge ids, or what is wrong with them. SUMO ids are often bare numbers, and models leave the quotes off."""
    if not isinstance(value, list) or isinstance(value, _Object):
        return "its route is not a list of edge ids"
    ids = []
    for item in value:
        text = str(item) if type(item) is int and abs(item) < 10**30 else item
        if not isinstance(text, str) or len(text) > MAX_ID or not text.isprintable():
            return f"{ascii(item)[:60] if isinstance(item, str | int | float) else type(item).__name__} is no edge id"
        ids.append(text.strip())
    return ids


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
        if not _MOVE.match(command.replace("_", " ")):
            refused.setdefault(agent, f"{ascii(command)[:60]} is no known command; use 'move to'")
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
