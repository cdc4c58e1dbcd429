"""A comparison from its trials to its files: what is missing is made, then tables, a picture and a manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.credentials import plain_address, without_keys
from leed_agentic.errors import LeedError, UnavailableError, UsageError
from leed_agentic.experiments.comparison import AXES, Comparison
from leed_agentic.experiments.comparison_table import (
    FIGURES,
    Found,
    Row,
    markdown,
    rows_of,
    table_csv,
    trials_csv,
    varied,
)
from leed_agentic.experiments.dots import Column, draw_dots
from leed_agentic.experiments.manifest import versions
from leed_agentic.experiments.runner import Progress, perform
from leed_agentic.experiments.task import Task, merged
from leed_agentic.experiments.trial import CALLS, failure_code
from leed_agentic.runs.files import write_text
from leed_agentic.runs.lock import alone

TRIALS = "trials"
DRAWN = ("validity", "travel_time_ratio", "reward", "input_tokens")
_ADDRESS = re.compile(r"https?://[^\s'\"]+")


@dataclass(frozen=True)
class Compared:
    """What came of it."""

    rows: list[Row]
    failed: dict[str, str]
    """A trial in words, and why it failed."""
    files: list[Path]


def compare(
    comparison: Comparison,
    out: Path,
    jobs: int,
    command: str = "",
    told: Callable[[Progress], Any] = lambda progress: None,
    note: Callable[[str], Any] = lambda line: None,
) -> Compared:
    """Make the trials that are missing in `out`/trials and write the report of all that are done.

    Raises:
        UsageError: the folder cannot be used, or every trial failed by a wrong setting.
        UnavailableError: every trial failed because the model or SUMO cannot be used.
        LeedError: every trial failed, for several reasons.
    """
    parent = out / TRIALS
    with alone(out):
        tasks = merged(comparison.tasks())
        note(f"{sum(not task.done(parent) for task in tasks)} trials to make of {len(tasks)}")
        reasons = perform(tasks, parent, jobs, "processes", told, lambda running: note(_under_way(running, parent)))
        note("writing the report")
        found = {
            (task.folder, task.settings.seed): _read(parent / task.folder / task.files[0])
            for task in tasks
            if task.folder not in reasons
        }
        if not found:
            raise _nothing(reasons, parent)
        failed = {task.label: reasons[task.folder] for task in tasks if task.folder in reasons}
        rows = rows_of(comparison, found)
        problems = [
            f"{task.label}: {problem}"
            for task in tasks
            if (problem := found.get((task.folder, task.settings.seed), {}).get("problem"))
        ]
        texts = {
            "table.md": markdown(comparison, rows, failed, problems),
            "table.csv": table_csv(comparison, rows),
            "trials.csv": trials_csv(comparison, found),
            "manifest.json": json.dumps(_manifest(comparison, found, failed, command), indent=1) + "\n",
        }
        for name, text in texts.items():
            write_text(out / name, without_keys(text))
        pictures = draw_dots(*_picture(comparison, rows), out / "figure")
    return Compared(rows, failed, [*(out / name for name in texts), *pictures])


def _under_way(running: Sequence[Task], parent: Path) -> str:
    """A slow model needs minutes for a call: that it still answers is worth a line."""
    files = [parent / task.folder / CALLS for task in running]
    calls = sum(max(file.read_bytes().count(b"\n") - 1, 0) for file in files if file.is_file())
    names = "; ".join(task.label for task in running)
    return f"{names}: {calls} calls recorded so far"


def _read(file: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(data["stages"], list):
            raise ValueError("no stages")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is damaged ({error}); delete it and call again.") from error
    return data


def _nothing(reasons: Mapping[str, str], parent: Path) -> LeedError:
    kinds = {kind.exit_code: kind for kind in (LeedError, UsageError, UnavailableError)}
    codes = {failure_code(parent / folder) for folder in reasons}
    kind = kinds.get(codes.pop(), LeedError) if len(codes) == 1 else LeedError
    return kind(f"No trial is complete; the first failure: {next(iter(reasons.values()))}")


def _manifest(comparison: Comparison, found: Found, failed: Mapping[str, str], command: str) -> dict[str, Any]:
    combinations = []
    for combination in comparison.combinations:
        settings = combination.settings.model_dump(mode="json", exclude={"learning"})
        if settings["model"]["base_url"]:
            settings["model"]["base_url"] = plain_address(settings["model"]["base_url"])
        tasks = [(seed, comparison.task(combination, seed).folder) for seed in comparison.seeds]
        trials = [{"seed": s, "folder": folder, "done": (folder, s) in found} for s, folder in tasks]
        combinations.append({**combination.labels, "settings": settings, "trials": trials})
    prompts = {combination.labels["prompts"]: combination.prompts for combination in comparison.combinations}
    return {
        "question": _question(comparison),
        "command": _ADDRESS.sub(lambda address: plain_address(address[0]), command),
        **versions(),
        "rounds": list(comparison.rounds),
        "seeds": list(comparison.seeds),
        "record": comparison.record,
        "prompts": {label: {"sha256": p.hashes, "texts": dict(p.texts)} for label, p in prompts.items()},
        "combinations": combinations,
        "failed": dict(failed),
    }


def _question(comparison: Comparison) -> str:
    """What was compared, in a line."""
    parts = []
    for axis in AXES:
        words = list(dict.fromkeys(combination.labels[axis] for combination in comparison.combinations))
        if len(words) > 1 or axis in ("model", "map"):
            parts.append(f"{axis} {', '.join(words)}" if axis != "map" else f"on {', '.join(words)}")
    return f"Planning compared: {'; '.join(parts)}"


def _picture(comparison: Comparison, rows: Sequence[Row]) -> tuple[list[Column], list[str], list[str], str]:
    axes = varied(comparison)
    names = [*DRAWN[:3], *(("dtw",) if comparison.policies else ()), *DRAWN[3:]]
    columns = []
    for name in names:
        values = {(row.label(axes), _stage(row.rounds)): row.figures[name] for row in rows}
        title = f"{FIGURES[name].title}{', %' if FIGURES[name].share else ''}"
        columns.append(Column(title, values, FIGURES[name].share, logarithmic=name == "input_tokens"))
    title = f"Mean over {len(comparison.seeds)} trials, with 95 % intervals" if len(comparison.seeds) > 1 else "1 trial"
    stages = [_stage(rounds) for rounds in comparison.rounds]
    return columns, list(dict.fromkeys(row.label(axes) for row in rows)), stages, title


def _stage(rounds: int) -> str:
    return f"{rounds} refinements" if rounds != 1 else "1 refinement"
