"""A comparison's trials, one row each, for other programs: CSV figures, or JSON lines or logs of Inspect with every
prompt and reply."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leed_agentic.comparing.inspect_log import write_logs
from leed_agentic.errors import UsageError
from leed_agentic.experiments.task import CALLS
from leed_agentic.models.recording import Recording
from leed_agentic.registry import nearest
from leed_agentic.runs.files import read_json, write_text
from leed_agentic.runs.folder import check_links
from leed_agentic.runs.log import read_csv

TRIALS_FILE = "trials.csv"
FORMS = {"jsonl": "trials.jsonl", "csv": "trials_last.csv", "inspect": "inspect"}
"""Format to the name of its file, or of its folder."""
_TEXT = {"model", "prompts", "planning", "map", "feedback", "errors", "problem", "folder"}


def is_comparison(folder: Path) -> bool:
    """Whether `leed demo compare` wrote the folder."""
    return (folder / TRIALS_FILE).is_file()


def export_trials(folder: Path, form: str, file: Path | None = None) -> Path:
    """Write one row per trial, after its last refinement; returns the file, or the folder of logs.

    Args:
        form: csv, jsonl with the conversation of each trial under `calls`, or inspect: a log per arm.
        file: where to; None: into the folder.

    Raises:
        UsageError: an unknown format, or a damaged folder.
        UnwritableError: the file cannot be written.
    """
    if form not in FORMS:
        raise UsageError(f"Unknown format {form!r} for a comparison: {nearest(form, FORMS)}")
    check_links(folder)
    last: dict[str, dict[str, str]] = {}
    try:
        for row in read_csv(folder / TRIALS_FILE):
            # Rows of one trial come in the order of its refinements.
            last[row["folder"]] = row
    except (KeyError, OSError, ValueError) as error:
        raise UsageError(f"{folder / TRIALS_FILE} is damaged ({error}); call leed demo compare once more.") from error
    made = file or folder / FORMS[form]
    if form == "csv":
        from leed_agentic.experiments.table import csv_text

        rows = list(last.values())
        write_text(made, csv_text([list(rows[0]) if rows else [], *([*row.values()] for row in rows)]))
        return made
    trials = [_trial(folder, row) for row in last.values()]
    if form == "inspect":
        if made.exists() and not made.is_dir():
            raise UsageError(f"{made} is a file, and Inspect's logs are a folder; name another with --out.")
        versions = read_json(folder / "manifest.json", "a comparison").get("versions") or {}
        when = datetime.fromtimestamp((folder / TRIALS_FILE).stat().st_mtime, UTC).isoformat(timespec="seconds")
        return write_logs(trials, versions, when, made)
    # Half a surrogate pair in a reply is kept as JSON's escape.
    write_text(made, "".join(f"{json.dumps(trial)}\n" for trial in trials))
    return made


def _trial(folder: Path, row: dict[str, str]) -> dict[str, Any]:
    """Figures as numbers, and what was said; no file outside the folder is read."""
    facts: dict[str, Any] = {name: text if name in _TEXT else _number(text) for name, text in row.items()}
    calls = folder / "trials" / row["folder"] / CALLS
    inside = Path(row["folder"]).name == row["folder"] and calls.is_file()
    return {**facts, "calls": _calls(calls) if inside else []}


def _calls(file: Path) -> list[dict[str, Any]]:
    """Questions whole, long texts that recur included."""
    texts: dict[str, str] = {}
    found = []
    for call in Recording.load(file).calls:
        messages = []
        for message in call["messages"]:
            if "id" in message:
                texts[message["id"]] = message["content"]
            content = message.get("content", texts.get(message.get("same_as", ""), ""))
            messages.append({"role": message["role"], "content": content})
        kept = ("purpose", "reply", "input_tokens", "output_tokens", "seconds", "finish_reason")
        found.append({"messages": messages, **{name: call.get(name) for name in kept}})
    return found


def _number(text: str) -> float | int | None:
    if not text:
        return None
    value = float(text)
    return int(value) if value.is_integer() else value
