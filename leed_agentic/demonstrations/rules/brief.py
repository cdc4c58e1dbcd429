"""A person's words turned into rules by the model, and rules read from JSON. Nothing is guessed.

A rule counts only with the words of the brief it comes from, and only if the agents and streets it names stand in these
words. What no rule comes from is said to be not understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from leed_agentic.demonstrations.answer import Pairs, values, without_thoughts
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.rules.rule import MOST_RULES, RULE, Order, Rule, Who
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.errors import UsageError
from leed_agentic.models.caller import Message, ModelCaller
from leed_agentic.runs.files import check_plain

LONGEST_BRIEF = 2000
LONGEST_FILE = 200_000
_CLAUSES = re.compile(r"[;\n]|\.(?=\s|$)|[!?。；]")
_FILLER = {"and", "please", "then", "also", "thanks", "thank", "you"}

_OTHERS = re.compile(r"\b(?:else|others?|rest|remaining)\b")
_SECONDS = re.compile(r"(within |most |than |factor of )?(?<![:\d.])(\d+(?:\.\d+)?)(?![:\d.]\d)( ?s\b| ?sec| times)?")
_NUMBER = re.compile(r"(?<![\w:.])\d+(?:[:.]\d+)*(?!\w*[a-rt-z]|[:.]?\d)")
"""Not that of 4th Avenue."""
HOURS = 24
"""Up to here a bare number is a time of day: "until 9" is no second, "until 9 s" and "within 9" are."""
_FIGURES = {"begin", "until", "by", "within", "factor", "around"}
_NOT = re.compile(r"\b(?:not|cannot|no|nobody|none|never|neither|nor|without|unless|except)\b|n['’]t\b")
_BEARS_NOT = {
    # Every other kind of rule is the opposite of what such words say, or may be.
    "avoid": re.compile(r"^(?!.*\b(?:avoids?|off|away|out of|clear of|unless|except)\b)"),
    "latest_arrival": re.compile(r"\b(?:after|later|past|beyond)\b"),
    "max_detour": re.compile(r"\b(?:more|longer|above|over|beyond)\b"),
}
"""What words that hold a "not" have to say besides for a rule of this kind."""


@dataclass(frozen=True)
class Reading:
    """What a brief came to."""

    rules: tuple[Rule, ...]
    not_understood: tuple[str, ...] = field(default=())
    """Parts of the brief, or rules of the model that the brief does not bear out, and why."""


def brief_question(prompts: PromptSet, brief: str) -> list[Message]:
    """The messages that ask for rules; the brief is one JSON string in them."""
    words = json.dumps(" ".join(brief.split()), ensure_ascii=False)
    return [{"role": "user", "content": prompts.render("brief", brief=words)}]


def read_brief(brief: str, caller: ModelCaller, prompts: PromptSet) -> Reading:
    """Ask the model once.

    Raises:
        UsageError: the brief is empty or too long.
        CapReached, UnavailableError, UsageError: as `ModelCaller.ask`.
    """
    if not brief.strip():
        raise UsageError("The brief is empty; say what you wish, such as 'agent 3 must arrive by 120 s'.")
    if len(brief) > LONGEST_BRIEF:
        raise UsageError(
            f"The brief has {len(brief)} characters; the most is {LONGEST_BRIEF}. Say less, or write rules as JSON."
        )
    reply = caller.ask(brief_question(prompts, brief), purpose="brief")
    return understood(brief, reply.text)


def understood(brief: str, reply: str) -> Reading:
    """The rules in a reply that the brief bears out, and what is left of the brief."""
    rules: list[Rule] = []
    doubts: list[str] = []
    said = [value[0] for value in values(without_thoughts(reply)) if not isinstance(value, Finding)]
    rows = [row for value in said for row in _rows(value)]
    for row in rows[:MOST_RULES]:
        try:
            rule = RULE.validate_python(_numbered(row))
        except ValidationError as error:
            first = error.errors()[0]
            doubts.append(f"{_quoted(row.get('words') or row)}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
            continue
        trouble = _unfounded(rule, brief)
        if trouble:
            doubts.append(f"{rule}: {trouble}")
        elif rule not in rules:
            rules.append(rule)
    covered = [_plain(rule.words) for rule in rules]
    for clause in _CLAUSES.split(brief):
        plain = _plain(clause)
        meant = set(re.findall(r"\w+", plain)) - _FILLER
        if meant and not any(words in plain or plain in words for words in covered):
            doubts.append(_quoted(clause.strip()))
    return Reading(tuple(rules), tuple(dict.fromkeys(doubts)))


def read_rules(file: Path) -> Reading:
    """Rules written by hand: a list of them as JSON, or {"rules": [...]}.

    Raises:
        UsageError: the file cannot be read, or one of its rules makes no sense.
    """
    try:
        if file.stat().st_size > LONGEST_FILE:
            raise UsageError(f"The rules {file} are longer than {LONGEST_FILE} bytes; give fewer.")
        data = json.loads(check_plain(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"Cannot read the rules {file}: {error}.") from error
    rows = data.get("rules") if isinstance(data, dict) else data
    if not isinstance(rows, list) or not rows or len(rows) > MOST_RULES:
        raise UsageError(f"{file} must hold a list of 1 to {MOST_RULES} rules, or {{'rules': [...]}}.")
    rules = []
    for number, row in enumerate(rows, 1):
        try:
            rules.append(RULE.validate_python(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "rule"
            raise UsageError(f"{file}, rule {number}, {where}: {first['msg']}.") from error
    return Reading(tuple(rules))


def rules_json(rules: tuple[Rule, ...]) -> dict[str, Any]:
    """As `read_rules` reads them."""
    return {"rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in rules]}


def _rows(value: Any) -> list[dict[str, Any]]:
    """Every object that says which rule it is, as a plain dictionary."""
    if isinstance(value, Pairs):
        # A model that fills in every field writes null where nothing was said.
        row = {key: _plain_value(inner) for key, inner in value if inner is not None}
        if "rule" in row:
            return [row]
        return [found for _, inner in value for found in _rows(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in _rows(inner)]
    return []


def _plain_value(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {key: _plain_value(inner) for key, inner in value}
    return [_plain_value(inner) for inner in value] if isinstance(value, list) else value


def _unfounded(rule: Rule, brief: str) -> str:
    """Why the brief does not bear the rule out; empty when it does."""
    words = _plain(rule.words)
    if not words or words not in _plain(brief):
        return "these words do not stand in the brief"
    for who in _named_by(rule):
        numbers = set(re.findall(r"\d+", words))
        if isinstance(who, list) and (missing := [agent for agent in who if str(agent) not in numbers]):
            return f"its words name no agent {missing[0]}"
        if isinstance(who, str) and who != "all" and _plain(who).removesuffix("s") not in words:
            return f"its words name no {who[:60]!r}"
    negated, bears = _NOT.search(words), _BEARS_NOT.get(rule.rule)
    if negated and (bears is None or bears.search(words) is None):
        return f"its words say {negated[0]!r}"
    if any(isinstance(who, str) and _OTHERS.search(_plain(who)) for who in _named_by(rule)):
        return "nobody can be told from whom else; name the agents"
    known = _figures(words)
    for name in _FIGURES & rule.model_fields_set:
        value = getattr(rule, name)
        if value != type(rule).model_fields[name].default and value not in known:
            return f"its words name no {name} {value:g}"
    street = getattr(rule, "street", None)
    if street and _plain(street) not in words:
        return f"its words name no street {street!r}"
    return f"its words also say {left[0]!r}" if (left := _left_over(rule, words)) else ""


def _left_over(rule: Rule, words: str) -> list[str]:
    """Numbers in the words that the rule makes nothing of: it would demand more, or less, than was said."""
    agents = {agent for who in _named_by(rule) if isinstance(who, list) for agent in who}
    names = [who for who in (*_named_by(rule), getattr(rule, "street", None)) if isinstance(who, str)]
    for name in names:
        words = words.replace(_plain(name), " ")
    meant = {getattr(rule, name) for name in _FIGURES & rule.model_fields_set}
    return [
        number
        for number in _NUMBER.findall(words)
        if not (number.isdecimal() and int(number) in agents) and meant.isdisjoint(_readings(number))
    ]


def _readings(number: str) -> set[float]:
    """The values that one number in some words may stand for."""
    whole = _figures(f"{number} s")
    return whole | _figures(f"{number} min") | _figures(f"{number} %") | _figures(f"{number} pm")


def _numbered(row: Mapping[str, Any]) -> dict[str, Any]:
    """A bare "12" where the words say agent 12 is that agent, not a vehicle of that id."""
    if "agent" not in str(row.get("words")).casefold():
        return dict(row)
    return {
        name: [int(value)]
        if name in ("who", "first", "then") and isinstance(value, str) and value.isdecimal()
        else value
        for name, value in row.items()
    }


def _named_by(rule: Rule) -> tuple[Who, ...]:
    return (rule.first, rule.then) if isinstance(rule, Order) else (rule.who,)


def _figures(words: str) -> set[float]:
    """What the numbers in some words may mean: seconds, minutes, hours or the time of day, a factor."""
    found: set[float] = {2.0} if re.search(r"\b(?:twice|double)\b", words) else set()
    for hours, minutes, seconds in re.findall(r"\b(\d{1,3}):([0-5]\d)(?::([0-5]\d))?", words):
        found.add(int(hours) * 3600.0 + int(minutes) * 60 + int(seconds or 0))
    for number in map(float, re.findall(r"\d+(?:\.\d+)?", words)):
        found |= {number * 3600} | ({number * 60} if "min" in words else set())
        found |= {1 + number / 100} if "%" in words else set()
    for before, figure, unit in _SECONDS.findall(words):
        if before or unit or float(figure) > HOURS:
            found.add(float(figure))
    return found | {figure + 12 * 3600 for figure in found if "pm" in words or "p.m" in words}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _quoted(what: Any) -> str:
    text = what if isinstance(what, str) else json.dumps(what, ensure_ascii=False) if isinstance(what, Mapping) else ""
    return repr(text[:200])
