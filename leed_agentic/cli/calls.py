"""`leed demo calls`: what the model was asked and what it said, on the terminal."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from leed_agentic.cli.console import out, print_json
from leed_agentic.errors import UsageError

if TYPE_CHECKING:
    from leed_agentic.report.conversation import Call, Group

_AGENT = re.compile(r"agent[_ ](\d+)")


def calls(
    run: Path = typer.Argument(help="A folder of leed demo generate or train, or a trial of leed demo compare."),
    agent: int | None = typer.Option(None, help="Only questions about this agent."),
    round_: int | None = typer.Option(None, "--round", help="Only this round; 0 is the first plan."),
    failed: bool = typer.Option(False, "--failed", help="Only failed tries, and rounds with invalid routes."),
    whole: bool = typer.Option(False, "--whole", help="Prompts too, and nothing cut."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """What the model was asked, what it answered, and what was found wrong, call by call."""
    from leed_agentic.report.conversation import read_conversation
    from leed_agentic.report.folder import RunFolder
    from leed_agentic.report.plans import rounds_of

    folder = RunFolder.open(run)
    if folder.kind == "collection":
        raise UsageError(f"{run} holds many runs; name one of them, such as {_one_of(run)}.")
    conversation = read_conversation(folder, rounds_of(folder), {}, everything=True)
    if conversation is None:
        raise UsageError(f"{run} holds no calls: no model was asked, or the run kept no record.")
    groups = [group for group in conversation.groups if _wanted(group, agent, round_, failed)]
    found = [(group, [call for call in group.calls if _about(call, group, agent, failed)]) for group in groups]
    found = [(group, made) for group, made in found if made or group.findings]
    if as_json:
        print_json({"rounds": [_as_json(group, made) for group, made in found], "totals": conversation.totals})
        return
    for note in folder.notes:
        out.print(note, markup=False, highlight=False)
    for group, made in found:
        out.print(group.title, style="bold", markup=False, highlight=False)
        for call in made:
            _show(call, whole)
        for finding in group.findings:
            out.print(f"  found: {finding}", markup=False, highlight=False)
    if not found:
        out.print("No call is of that kind.")
    out.print("; ".join(f"{name}: {value}" for name, value in conversation.totals.items()), markup=False)


def _wanted(group: Group, agent: int | None, round_: int | None, failed: bool) -> bool:
    if round_ is not None and not re.match(rf"(Episode \d+, r|R)ound {round_}:", group.title):
        return False
    if failed and not group.findings and all(call.error is None for call in group.calls):
        return False
    return agent is None or any(_about(call, group, agent, failed) for call in group.calls)


def _about(call: Call, group: Group, agent: int | None, failed: bool) -> bool:
    """A call that names no agent is about all of them."""
    if failed and call.error is None and not group.findings:
        return False
    named = _AGENT.findall(call.purpose)
    return agent is None or not named or str(agent) in named


def _show(call: Call, whole: bool) -> None:
    about = [call.purpose, f"{call.tokens} tokens", "" if call.seconds is None else f"{call.seconds:.1f} s"]
    kind = "replayed" if call.replayed else ""
    out.print(f"call {call.number}: {', '.join(part for part in (*about, kind) if part)}", markup=False)
    for turn in call.turns if whole else call.turns[-1:]:
        text = f"(as in call {turn.again})" if turn.again else turn.text
        out.print(f"  {turn.role}: {_indented(text, whole)}", markup=False, highlight=False)
    said = f"failed: {call.error}" if call.error is not None else f"reply: {_indented(call.reply, whole)}"
    out.print(f"  {said}{' (cut at the limit on tokens)' if call.cut else ''}", markup=False, highlight=False)


LINES = 12
"""Of a text that is not shown whole."""


def _indented(text: str, whole: bool) -> str:
    # A reply is data: what would move the cursor or colour the terminal is taken out.
    lines = "".join(c if c.isprintable() or c == "\n" else " " for c in text).split("\n")
    if not whole and len(lines) > LINES:
        half = LINES // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} lines more (--whole shows them) ...", *lines[-half:]]
    return "\n    ".join(lines if whole else [line[:500] for line in lines])


def _as_json(group: Group, made: list[Call]) -> dict[str, Any]:
    return {"round": group.title, "findings": group.findings, "calls": [asdict(call) for call in made]}


def _one_of(run: Path) -> str:
    inside = sorted(folder for folder in run.glob("*/*") if (folder / "calls.jsonl").is_file())
    return str(inside[0]) if inside else "a folder of leed demo generate"
