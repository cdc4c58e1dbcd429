"""What the stand-in understands of a brief: a handful of English sentences, by patterns."""

from __future__ import annotations

import json
import re
from typing import Any

BRIEF = re.compile(r'^Wishes: ("(?:[^"\\]|\\.)*")\s*$', re.MULTILINE)
_CLAUSES = re.compile(r"\s*(?:;|\n|\.(?=\s|$))\s*")
_WHO = r"(?P<who>all|everybody|agents? [\d, and]+|[\w-]+)"
_TIME = r"(?P<{}>\d+(?::\d\d)*)(?: ?s\b)?"
_WINDOW = rf"(?: (?:from|after) {_TIME.format('begin')})?(?: until {_TIME.format('until')})?"
_PATTERNS = (
    ("avoid", rf"(?:keep |let )?{_WHO} (?:stay |keep )?(?:off|away from|out of) (?P<street>.+?){_WINDOW}"),
    ("avoid", rf"avoid (?P<street>.+?){_WINDOW}"),
    ("require", rf"{_WHO} (?:must |should )?(?:drive|go|take|use)s? (?:on |over |along )?(?P<street>(?!at most ).+?)"),
    ("latest_arrival", rf"{_WHO} must (?:be there|arrive) by {_TIME.format('by')}"),
    ("together", rf"{_WHO} (?:must )?arrive together(?: within {_TIME.format('within')})?"),
    ("order", r"(?P<first>agent \d+) (?:must )?arrives? before (?P<then>agent \d+)"),
    ("max_detour", rf"{_WHO} (?:must )?drives? at most (?P<factor>\d+(?:\.\d+)?) times .+"),
    ("priority", rf"{_WHO} (?:has|have|gets?) priority"),
)


def rules_of(brief: str) -> str:
    """The reply to a brief, as JSON."""
    rules = []
    for clause in _CLAUSES.split(brief):
        for rule, pattern in _PATTERNS:
            found = re.fullmatch(pattern, clause.strip(), re.IGNORECASE)
            if found:
                rules.append({"rule": rule, **_fields(found.groupdict()), "words": clause.strip()})
                break
    return json.dumps({"rules": rules}, ensure_ascii=False)


def _fields(groups: dict[str, str | None]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, text in groups.items():
        if text is None:
            continue
        if name in ("who", "first", "then"):
            numbers = (
                [int(number) for number in re.findall(r"\d+", text)] if text.casefold().startswith("agent") else []
            )
            fields[name] = numbers or ("all" if text.casefold() in ("all", "everybody") else text)
        elif name in ("begin", "until") and text.isdigit() and int(text) <= 24:
            # "until 9" is an hour, "until 90 s" is not.
            fields[name] = f"{text}:00"
        else:
            fields[name] = text
    return fields
