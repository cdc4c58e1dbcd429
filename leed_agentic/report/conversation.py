"""What the model was asked and what it said, call by call, with what was found wrong and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leed_agentic.models.providers import NO_LLM, STAND_IN
from leed_agentic.report.folder import RunFolder
from leed_agentic.traffic.demonstration import DemonstrationSet

FILE = "calls.jsonl"
MAX_CALLS = 200
MAX_TEXT = 20_000
MAX_ALL = 2_000_000


@dataclass
class Turn:
    """One message; `again` names the call in which the same long text stood first."""

    role: str
    text: str
    again: int | None = None


@dataclass
class Call:
    """One try of a question: the last turn is the question, those before it the conversation so far."""

    number: int
    purpose: str
    turns: list[Turn]
    reply: str
    error: str | None
    tokens: str
    seconds: float | None
    replayed: bool
    cut: bool
    """Whether the reply ran into the limit on tokens."""
    first_try: bool


@dataclass
class Group:
    """The calls of one plan, with what was found wrong with the routes that came of them."""

    title: str
    calls: list[Call] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


@dataclass
class Conversation:
    """All that is shown, and the totals of all there is."""

    groups: list[Group]
    totals: dict[str, str]
    rule: str | None
    """What is left out and where it is; None: nothing."""


def read_conversation(
    folder: RunFolder,
    sets: Sequence[tuple[int | None, DemonstrationSet]],
    prices: Mapping[str, Any],
    everything: bool = False,
) -> Conversation | None:
    """None when no model was ever asked.

    Args:
        prices: the run's model settings; price_input and price_output are per million tokens.
        everything: leave nothing out.

    Otherwise shown are at most 200 calls and 2 million characters, from the first and the last calls inwards, and of
    each text 20,000 characters.
    """
    calls, model = _calls(folder)
    if not calls:
        return None
    if everything:
        return Conversation(_grouped(calls, sets), _totals(calls, model, prices), None)
    shown = _chosen(calls)
    rule = None
    if len(shown) < len(calls):
        rule = f"The first and last {len(shown)} of {len(calls)} calls are shown; all are in {folder.path / FILE}."
    elif any(len(t.text) > MAX_TEXT for call in calls for t in (*call.turns, Turn("", call.reply))):
        rule = f"Texts are cut after {MAX_TEXT:,} characters; the whole ones are in {folder.path / FILE}."
    totals = _totals(calls, model, prices)
    groups = _grouped(calls, sets)
    for group in groups:
        group.calls = [_cut(call) for call in group.calls if call.number in shown]
    return Conversation([g for g in groups if g.calls or g.findings], totals, rule)


def _calls(folder: RunFolder) -> tuple[list[Call], str]:
    """Every whole line of the record; a last line that a kill cut short is left out."""
    try:
        lines = (folder.path / FILE).read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        folder.note(f"{FILE} cannot be read ({error.strerror}); the conversation is left out.")
        return [], ""
    calls: list[Call] = []
    model, broken = "", 0
    texts: dict[str, tuple[str, int]] = {}
    for line in lines:
        try:
            record = json.loads(line)
            if "messages" not in record:
                model = str((record.get("model") or {}).get("name", ""))
                continue
            turns = [_turn(m, texts, len(calls) + 1) for m in record["messages"]]
            calls.append(_call(record, len(calls) + 1, turns))
        except (ValueError, TypeError, AttributeError, RecursionError):
            broken += 1
    if broken:
        folder.note(f"{broken} of {len(lines)} lines of {FILE} cannot be read; the run may have been killed.")
    return calls, model


def _turn(message: Mapping[str, Any], texts: dict[str, tuple[str, int]], number: int) -> Turn:
    """A message; a long text is written once in the record and referred to afterwards."""
    role = str(message.get("role", ""))
    if "same_as" in message:
        text, first = texts.get(str(message["same_as"]), ("(this text is missing from the record)", number))
        return Turn(role, text, again=first if first != number else None)
    text = str(message.get("content", ""))
    if "id" in message:
        texts[str(message["id"])] = text, number
    return Turn(role, text)


def _call(record: Mapping[str, Any], number: int, turns: list[Turn]) -> Call:
    counts = [record.get("input_tokens"), record.get("output_tokens")]
    error = record.get("error")
    seconds = record.get("seconds")
    return Call(
        number=number,
        purpose=str(record.get("purpose", "")),
        turns=turns,
        reply=str(record.get("reply") or ""),
        error=None if error is None else str(error),
        tokens=" + ".join("?" if count is None else f"{int(count):,}" for count in counts),
        seconds=None if seconds is None else float(seconds),
        replayed=bool(record.get("replayed")),
        cut=record.get("finish_reason") == "length",
        first_try=not record.get("attempt"),
    )


def _chosen(calls: Sequence[Call]) -> set[int]:
    """Numbers of the calls to show, taken from both ends in turn."""
    inwards = [calls[k // 2] if k % 2 == 0 else calls[-1 - k // 2] for k in range(len(calls))]
    shown: set[int] = set()
    room = MAX_ALL
    for call in inwards[:MAX_CALLS]:
        room -= sum(min(len(t.text), MAX_TEXT) for t in (*call.turns, Turn("", call.reply)) if t.again is None)
        if room < 0 and shown:
            break
        shown.add(call.number)
    return shown


def _cut(call: Call) -> Call:
    for turn in call.turns:
        turn.text = _shortened(turn.text)
    call.reply = _shortened(call.reply)
    return call


def _shortened(text: str) -> str:
    return (
        text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n... cut after {MAX_TEXT:,} of {len(text):,} characters"
    )


def _grouped(calls: Sequence[Call], sets: Sequence[tuple[int | None, DemonstrationSet]]) -> list[Group]:
    """Calls by the plan they belong to, where the plans' counts agree with the record; a resumed run's do not."""
    plans = [(episode, r, made.scenario.named) for episode, made in sets for r in made.rounds]
    counted = sum(call.first_try for call in calls) == sum(r.calls for _, r, _ in plans)
    groups, left = [], list(calls)
    for episode, r, named in plans:
        title = f"Round {r.round}" if episode is None else f"Episode {episode}, round {r.round}"
        group = Group(
            f"{title}: {_asked(r.asked)}, {r.validity_reply:.0%} of the routes valid",
            findings=[named(str(finding.get("message", ""))) for finding in r.findings],
        )
        asked = 0
        while counted and left and asked + left[0].first_try <= r.calls:
            asked += left[0].first_try
            group.calls.append(left.pop(0))
        groups.append(group)
    if left:
        groups.append(Group("All calls, in their order" if not counted else "Further calls", left))
    return groups


def _asked(agents: Sequence[int]) -> str:
    if len(agents) > 10:
        return f"{len(agents)} agents asked for"
    return f"agent{'s' if len(agents) != 1 else ''} {', '.join(map(str, agents))} asked for"


def _totals(calls: Sequence[Call], model: str, prices: Mapping[str, Any]) -> dict[str, str]:
    """Calls, tokens, seconds and cost, of all calls."""
    replayed = sum(call.replayed for call in calls)
    failed = sum(call.error is not None for call in calls)
    seconds = sum(call.seconds or 0.0 for call in calls)
    tokens = [call.tokens.replace(",", "").split(" + ") for call in calls if call.error is None]
    counts = [sum(int(pair[k]) for pair in tokens if pair[k] != "?") for k in (0, 1)]
    known = "" if all("?" not in pair for pair in tokens) else " (where the server told)"
    stand_in = model == STAND_IN
    if replayed == len(calls):
        cost = "none: every reply was replayed"
    elif stand_in:
        cost = "none: no LLM was called"
    else:
        cost = _cost(counts, prices) or f"unknown: no price is known for {model or 'this model'}"
    return {
        "Model": NO_LLM if stand_in else f"{model}{', replayed' if replayed else ''}",
        "Calls": f"{len(calls):,}" + (f", {failed} of them failed tries" if failed else ""),
        "Tokens": f"{counts[0]:,} read and {counts[1]:,} written{', as recorded' if replayed else known}",
        "Waiting": f"{seconds:.1f} s" + (" when it was recorded" if replayed else ""),
        "Cost": cost,
    }


def _cost(tokens: Sequence[int], prices: Mapping[str, Any]) -> str | None:
    """By the prices that the run's settings name; None when they name none."""
    per_input, per_output = prices.get("price_input"), prices.get("price_output")
    if not (isinstance(per_input, (int, float)) and isinstance(per_output, (int, float))):
        return None
    cost = (tokens[0] * per_input + tokens[1] * per_output) / 1e6
    return f"{cost:.4f} ({prices.get('price_as_of') or 'in the currency of the prices in the settings'})"
