"""What the stand-in does with tools: it looks at the worst street, tries a share of each of the worst groups elsewhere,
and decides for the commands whose agents gained."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

TOOLS = re.compile(r"^try_commands\(", re.MULTILINE)
_OUTCOME = re.compile(r"^\[([^,\]]+), ([^,\]]+), ([^\]]+)\]: its \d+ agents gain ", re.MULTILINE)
_SCORES = re.compile(r"takes (\d+\.\d) s with them and (\d+\.\d) s")
MOST = 4


def call_of(texts: Sequence[str], groups: Sequence[tuple[str, str]]) -> str:
    """The next call, as text.

    Args:
        texts: all turns so far, the opening one first.
        groups: the worst groups and their streets, in the order in which they are to be moved.
    """
    if not groups:
        return _call("submit", commands=[])
    street = groups[0][1]
    wanted = [["avoid", on, f"20% of {group}"] for group, on in groups[:MOST]]
    results = texts[2::2]
    if not results:
        return _call("street_times", street=street)
    if len(results) == 1:
        return _call("users", street=street)
    if len(results) == 2:
        return _call("try_commands", commands=wanted)
    scores = _SCORES.search(results[2])
    helped = [list(command) for command in _OUTCOME.findall(results[2])]
    if len(results) == 3 and scores and float(scores[1]) >= float(scores[2]) and 0 < len(helped) < len(wanted):
        return _call("try_commands", commands=helped)
    last = _SCORES.search(results[-1])
    better = last is not None and float(last[1]) < float(last[2])
    return _call("submit", commands=(helped if len(results) > 3 else wanted) if better else [])


def _call(tool: str, **arguments: Any) -> str:
    return json.dumps({"tool": tool, "arguments": arguments})
