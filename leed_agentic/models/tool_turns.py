"""Turns of a chat as LangChain takes them, calls of tools and their results among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def turns_of(messages: Sequence[Mapping[str, Any]], tools: bool) -> list[dict[str, Any]]:
    """The same turns for the client.

    Args:
        tools: whether calls and results go as such; else a result is a turn of the user, as any chat server takes it.
    """
    turns: list[dict[str, Any]] = []
    waiting: list[str] = []
    for number, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if role == "assistant" and tools and (called := _calls(content, number)):
            waiting = [call["id"] for call in called]
            said = "\n".join(line for line in content.splitlines() if _call(line) is None)
            turns.append({"role": "assistant", "content": said, "tool_calls": called})
        elif role == "tool" and tools and waiting:
            turns.append({"role": "tool", "content": content, "tool_call_id": waiting.pop(0)})
        else:
            turns.append({"role": "user" if role == "tool" else role, "content": content})
    return turns


def _calls(content: str, number: int) -> list[dict[str, Any]]:
    found = [call for line in content.splitlines() if (call := _call(line)) is not None]
    return [
        {"name": name, "args": arguments, "id": f"call_{number}_{place}", "type": "tool_call"}
        for place, (name, arguments) in enumerate(found)
    ]


def _call(line: str) -> tuple[str, dict[str, Any]] | None:
    """Of a line as `Reply.text` writes a call."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.keys() != {"tool", "arguments"} or not isinstance(found["tool"], str):
        return None
    arguments = found["arguments"]
    return found["tool"], arguments if isinstance(arguments, dict) else {}
