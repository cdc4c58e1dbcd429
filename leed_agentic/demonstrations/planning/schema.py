"""JSON schemas of the replies, for servers that hold a model to one; the reader of free text reads these replies too.

Every object is closed and every property required, as OpenAI's strict mode demands, and every list is bounded: a small
model in an unbounded one writes up to its limit on tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

# OpenAI refuses a schema that lists more values, or longer ones; such a schema leaves the edge ids free.
MOST_VALUES = 1000
MOST_CHARACTERS = 15_000


def routes_schema(agents: Sequence[int], edges: Iterable[str], longest: int) -> dict[str, Any]:
    """{"routes": [{"agent": 0, "edges": [...]}]}: a row for each of the agents, of at most `longest` of the edges.

    The schema says which ids exist, not which may follow which, and cannot say that no agent comes twice.
    """
    ids = list(edges)
    listed = len(agents) + len(ids) <= MOST_VALUES and sum(map(len, ids)) <= MOST_CHARACTERS
    edge: dict[str, Any] = {"type": "string", "enum": ids} if listed else {"type": "string"}
    agent: dict[str, Any] = {"type": "integer", "enum": list(agents)} if listed else {"type": "integer"}
    route = {"type": "array", "items": edge, "minItems": 1, "maxItems": longest}
    row = _object({"agent": agent, "edges": route})
    return _object({"routes": {"type": "array", "items": row, "minItems": len(agents), "maxItems": len(agents)}})


def choice_schema(numbers: Iterable[str]) -> dict[str, Any]:
    """{"number": "0.64"}: one of the numbers that name the streets."""
    return _object({"number": {"type": "string", "enum": list(dict.fromkeys(numbers))}})


def seconds_schema(seconds: Iterable[str]) -> dict[str, Any]:
    """{"seconds": "187"}: the seconds of one of the routes."""
    return _object({"seconds": {"type": "string", "enum": list(dict.fromkeys(seconds))}})


def choices_schema(agents: Sequence[int], seconds: Sequence[int]) -> dict[str, Any]:
    """{"choices": [{"agent": 7, "seconds": 187}]}: a row for each of the agents."""
    row = _object(
        {"agent": {"type": "integer", "enum": list(agents)}, "seconds": {"type": "integer", "enum": list(seconds)}}
    )
    rows = {"type": "array", "items": row, "minItems": len(agents), "maxItems": len(agents)}
    return _object({"choices": rows})


def commands_schema(streets: Sequence[str], groups: Sequence[str], most: int) -> dict[str, Any]:
    """{"commands": [{"command": "avoid", "street": "e1", "who": "20% of g1"}]}: at most so many."""
    who = [name for group in groups for name in (group, *(f"{share}% of {group}" for share in (10, 20, 30, 50)))]
    row = _object(
        {
            "command": {"type": "string", "enum": ["avoid", "prefer", "move to", "give way"]},
            "street": {"type": "string", "enum": ["", *streets]},
            "who": {"type": "string", "enum": who or ["all"]},
        }
    )
    return _object({"commands": {"type": "array", "items": row, "minItems": 1, "maxItems": most}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
