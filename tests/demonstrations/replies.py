"""Replies as models might write them: routes, right or wrong, in any form and dress, whole or damaged."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.scenario import AgentTrip, Scenario

Routes = dict[int, list[str]]


def _curly(text: str) -> str:
    return "".join(("“", "”")[k % 2] + part for k, part in enumerate(text.split('"')))[1:]


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


FORMS: dict[str, Callable[[Routes], str]] = {
    "json": _dump,
    "indented": lambda r: json.dumps(r, indent=2),
    "python": repr,
    "rows": lambda r: _dump({"routes": [{"agent": a, "edges": e} for a, e in r.items()]}),
    "other words": lambda r: _dump([{"vehicle_id": f"agent_{a}", "path": e, "cost": 3} for a, e in r.items()]),
    "edges inside": lambda r: _dump({str(a): {"edges": e, "why": "short"} for a, e in r.items()}),
    "objects": lambda r: _dump({f"Agent {a}": [{"edge": x, "m": 5} for x in e] for a, e in r.items()}),
    "wrapped": lambda r: _dump({"thoughts": None, "answer": {"plan": {str(a): e for a, e in r.items()}}}),
    "text in text": lambda r: _dump({"name": "set_routes", "arguments": _dump(r)}),
    "arrows": lambda r: _dump({str(a): " -> ".join(e) for a, e in r.items()}),
    "pairs": lambda r: _dump([[a, e] for a, e in r.items()]),
    "bare words": lambda r: "{" + ", ".join(f"{a}: [{', '.join(e)}]" for a, e in r.items()) + "}",
    "tuples": lambda r: "{" + ", ".join(f"'{a}': {tuple(e)!r}" for a, e in r.items()) + "}",
    "comments": lambda r: json.dumps(r, indent=1).replace("[\n", "[ // it's [here], don't\n /* {0: [ */ # so\n"),
    "commas": lambda r: '{"a": null, "b": true, "routes": ' + _dump(r).replace("]", ",]") + ",}",
    "curly": lambda r: _curly(_dump(r)),
    "hyphens": lambda r: _dump(r).replace("-", "\u2011"),
    "invisible": lambda r: _dump({str(a): [f"\u200b{x}\u00a0" for x in e] for a, e in r.items()}),
    "instructions": lambda r: _dump([["move to", x, f"agent_{a}"] for a, e in r.items() for x in e]),
}
DRAFT = '{"0": ["draft"], "1": ["draft"]}'
DRESSES: dict[str, Callable[[str], str]] = {
    "bare": lambda t: t,
    "fenced": lambda t: f"Sure (it isn't long):\n```json\n{t}\n```\nHope it helps [1].",
    "thought before": lambda t: f"<think>\nMaybe {DRAFT}? No.\n</think>\n{t}",
    "thought behind": lambda t: f"{t}\n<thinking>{DRAFT}</thinking>",
    "thought around": lambda t: f"[THINK]{DRAFT}[/THINK]{t}[THINK]{DRAFT}[/THINK]",
    "template's thought": lambda t: f"{DRAFT}\n</think>\n{t}",
    "slip behind": lambda t: f"{t}\n</think>\n",
    "harmony": lambda t: (
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{t}"
    ),
    "harmony, draft last": lambda t: (
        f"<|channel|>final<|message|>{t}<|end|><|start|>assistant<|channel|>analysis<|message|>{DRAFT}<|end|>"
    ),
    "harmony call": lambda t: f"<|channel|>commentary to=functions.set <|constrain|>json<|message|>{t}<|call|>",
    "tool call": lambda t: f'<tool_call>\n{{"name": "set_routes", "arguments": {t}}}\n</tool_call>',
}
SHARDS = [
    *(
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ",",
        ":",
        "\\",
        "\n",
        "(",
        ")",
        "//",
        "/*",
        "*/",
        "#",
        "“",
        "\u2011",
        "\u200b",
        "\0",
    ),
    *("<think>", "</think>", "[THINK]", "<|channel|>", "<|message|>", "<|end|>", "```", "null", "NaN", "1e999", "0x1f"),
    *("9" * 5000, " " * 1000, "\ud83d", "\u2028", '"routes"', '"0"', "agent_1", "-", "[" * 30, "\\u12", "->"),
]


def a_reply(chance: random.Random, network: RoadNetwork, scenario: Scenario) -> str:
    """One reply: mostly routes, mostly readable, a part of them damaged."""
    routes: Routes = {}
    for trip in scenario.agents:
        route = a_route(chance, network, trip)
        if chance.random() < 0.4:
            route = _spoilt(chance, route, network)
        if chance.random() < 0.9:
            routes[trip.agent + (50 if chance.random() < 0.03 else 0)] = route
    text = FORMS[chance.choice(list(FORMS))](routes)
    text = DRESSES[chance.choice(list(DRESSES))](text)
    for _ in range(chance.choice((0, 0, 1, 1, 2, 5, 20))):
        at, to = sorted(chance.randrange(len(text) + 1) for _ in "ab")
        to = min(to, at + chance.choice((0, 0, 1, 5, 200)))
        text = text[:at] + chance.choice(("", chance.choice(SHARDS), text[at:to] * 2)) + text[to:]
    return text[: chance.randrange(len(text) + 1)] if chance.random() < 0.1 else text


def a_route(chance: random.Random, network: RoadNetwork, trip: AgentTrip) -> list[str]:
    """A legal way of a trip: some streets at random, then the fastest way on at costs of random streets."""
    route = [trip.start_edge]
    for _ in range(chance.choice((0, 1, 2, 4, 8))):
        fresh = [edge for edge in network.edge(route[-1]).successors if edge not in route]
        if not fresh or trip.ends_at(network.edge(route[-1])):
            break
        route.append(chance.choice(fresh))
    costs = np.array([edge.travel_time * chance.choice((0.3, 1, 3)) for edge in network.edges])
    costs[[network.edge(edge).index for edge in route[:-1]]] = np.inf
    try:
        return [*route[:-1], *network.shortest_path(route[-1], trip.destination, costs)]
    except UsageError:
        return network.shortest_path(trip.start_edge, trip.destination)


def _spoilt(chance: random.Random, route: Sequence[str], network: RoadNetwork) -> list[str]:
    at = chance.randrange(len(route))
    following = network.edge(route[at]).successors
    return chance.choice(
        [
            [*route[:at], *route[at + 1 :]],
            [*route[: at + 1], *([chance.choice(following)] if following else [])],
            [*route[:at], chance.choice(network.edges).id, *route[at:]],
            [*route, *network.edge(route[-1]).successors[:1]],
            [*route[:at], route[at] + "x", *route[at:]],
            list(route[: at + 1]),
        ]
    )
