"""A comparison from its trials to its files: what is missing is made, then tables, a picture and a manifest."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.comparing.comparison import AXES, Comparison
from leed_agentic.comparing.comparison_table import (
    FIGURES,
    Row,
    Trials,
    markdown,
    rows_of,
    table_csv,
    trials_csv,
    varied,
)
from leed_agentic.comparing.verdict import Pair
from leed_agentic.comparing.verdict_table import pairs_of, verdict_markdown, verdict_table
from leed_agentic.credentials import plain_address, without_keys
from leed_agentic.errors import LeedError
from leed_agentic.experiments.backends import backends
from leed_agentic.experiments.picture import Column, draw_dots
from leed_agentic.experiments.runner import Progress, perform
from leed_agentic.experiments.table import csv_text
from leed_agentic.experiments.task import CALLS, Failure, Task, merged, read_stages
from leed_agentic.runs.files import write_text
from leed_agentic.runs.lock import alone
from leed_agentic.versions import package_versions

TRIALS = "trials"
DRAWN = ("validity", "travel_time_ratio", "reward", "input_tokens")
_ADDRESS = re.compile(r"https?://[^\s'\"]+")


@dataclass(frozen=True)
class Compared:
    """What came of it."""

    rows: list[Row]
    pairs: list[Pair]
    """The verdict of every pair of arms."""
    failed: dict[str, str]
    """A trial in words, and why it failed."""
    files: list[Path]
    silent: LeedError | None = None
    """Why a combination has no figure at all, as a wrong name of its model; None: each has some."""


def compare(
    comparison: Comparison,
    out: Path,
    jobs: int,
    command: str = "",
    on_progress: Callable[[Progress], Any] = lambda progress: None,
    status: Callable[[str], Any] = lambda line: None,
    backend: str = "processes",
) -> Compared:
    """Make the trials that are missing in `out`/trials and write the report of all that are done.

    Raises:
        UsageError: the folder cannot be used, or every trial failed by a wrong setting.
        UnavailableError: every trial failed because the model or SUMO cannot be used.
        LeedError: every trial failed, for several reasons.
    """
    parent = out / TRIALS
    # A slip in its name leaves no folder.
    backends.get(backend)
    with alone(out):
        tasks = merged(comparison.tasks())
        status(f"{sum(not task.done(parent) for task in tasks)} trials to make of {len(tasks)}")
        failures = perform(
            tasks, parent, jobs, backend, on_progress, lambda running: status(_under_way(running, parent))
        )
        status("writing the report")
        trials = {
            (task.folder, task.settings.seed): read_stages(parent / task.folder / task.files[0])
            for task in tasks
            if task.folder not in failures
        }
        if not trials:
            raise _nothing(list(failures.values()), "No trial is complete; the first failure: ")
        failed = {task.label: failures[task.folder].problem for task in tasks if task.folder in failures}
        rows, pairs = rows_of(comparison, trials), pairs_of(comparison, trials)
        problems = [
            f"{task.label}: {problem}"
            for task in tasks
            if (problem := trials.get((task.folder, task.settings.seed), {}).get("problem"))
        ]
        texts = {
            "table.md": markdown(comparison, rows, verdict_markdown(pairs), failed, problems),
            "table.csv": table_csv(comparison, rows),
            "trials.csv": trials_csv(comparison, trials),
            "manifest.json": json.dumps(_manifest(comparison, trials, pairs, failed, command), indent=1) + "\n",
        }
        if pairs:
            header, lines = verdict_table(pairs)
            texts["verdicts.csv"] = csv_text([header, *lines])
        for name, text in texts.items():
            write_text(out / name, without_keys(text))
        pictures = draw_dots(*_picture(comparison, rows), out / "figure")
    return Compared(rows, pairs, failed, [*(out / name for name in texts), *pictures], _silent(comparison, failures))


def _silent(comparison: Comparison, failures: Mapping[str, Failure]) -> LeedError | None:
    """The failure of the first combination of which every trial failed."""
    for combination in comparison.combinations:
        folders = [task.folder for seed in comparison.seeds for task in comparison.tasks_of(combination, seed)]
        if all(folder in failures for folder in folders):
            return _nothing([failures[folder] for folder in folders], f"No trial of {combination} is complete: ")
    return None


def _under_way(running: Sequence[Task], parent: Path) -> str:
    """A slow model needs minutes for a call: that it still answers is worth a line."""
    files = [parent / task.folder / CALLS for task in running]
    calls = sum(max(file.read_bytes().count(b"\n") - 1, 0) for file in files if file.is_file())
    names = "; ".join(task.label for task in running)
    return f"{names}: {calls} calls recorded so far"


def _nothing(failures: Sequence[Failure], before: str) -> LeedError:
    """The first failure's sentence, with the exit code that all share, else 1."""
    codes = {failure.exit_code for failure in failures}
    code = codes.pop() if len(codes) == 1 else LeedError.exit_code
    return Failure(failures[0].problem, code).error(before)


def _manifest(
    comparison: Comparison, trials: Trials, pairs: Sequence[Pair], failed: Mapping[str, str], command: str
) -> dict[str, Any]:
    combinations = []
    for combination in comparison.combinations:
        settings = {group: tree for group, tree in combination.settings.for_file().items() if group != "learning"}
        made = [
            {"seed": seed, "sample": sample, "folder": task.folder, "done": (task.folder, seed) in trials}
            for seed in comparison.seeds
            for sample, task in enumerate(comparison.tasks_of(combination, seed))
        ]
        combinations.append({**combination.labels, "settings": settings, "trials": made})
    prompts = {combination.labels["prompts"]: combination.prompts for combination in comparison.combinations}
    return {
        "question": _question(comparison),
        "command": _ADDRESS.sub(lambda address: plain_address(address[0]), command),
        "versions": package_versions(),
        "python": platform.python_version(),
        "rounds": list(comparison.rounds),
        "seeds": list(comparison.seeds),
        "samples": comparison.samples,
        "verdicts": [pair.sentence for pair in pairs],
        "record": comparison.record,
        "prompts": {label: {"sha256": p.hashes, "texts": dict(p.texts)} for label, p in prompts.items()},
        "combinations": combinations,
        "failed": dict(failed),
    }


def _question(comparison: Comparison) -> str:
    """What was compared, in a line."""
    phrases = []
    for axis in AXES:
        words = list(dict.fromkeys(combination.labels[axis] for combination in comparison.combinations))
        if len(words) > 1 or axis in ("model", "map"):
            phrases.append(f"{axis} {', '.join(words)}" if axis != "map" else f"on {', '.join(words)}")
    return f"Planning compared: {'; '.join(phrases)}"


def _picture(comparison: Comparison, rows: Sequence[Row]) -> tuple[list[Column], list[str], list[str], str]:
    axes = varied(comparison)
    names = [*DRAWN[:3], *(("dtw",) if comparison.policies else ()), *DRAWN[3:]]
    columns = []
    for name in names:
        values = {(row.label(axes), _stage(row.rounds)): row.figures[name] for row in rows}
        title = f"{FIGURES[name].title}{', %' if FIGURES[name].share else ''}"
        columns.append(Column(title, values, FIGURES[name].share, logarithmic=name == "input_tokens"))
    count = len(comparison.seeds)
    title = f"Mean over {count} scenarios, with 95 % intervals" if count > 1 else "1 scenario"
    stages = [_stage(rounds) for rounds in comparison.rounds]
    return columns, list(dict.fromkeys(row.label(axes) for row in rows)), stages, title


def _stage(rounds: int) -> str:
    return f"{rounds} refinements" if rounds != 1 else "1 refinement"
