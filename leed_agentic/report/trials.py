"""The trials of a comparison: a table of all, and a page of each with its prompts, replies, findings and map."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from leed_agentic.report.content import Content, gather
from leed_agentic.report.folder import RunFolder
from leed_agentic.report.page import render
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.runs.files import whole_file

TRIALS = "trials"
PAGE = "report.html"
MAX_PAGES = 1000
ARM = ("model", "prompts", "planning", "feedback")


@dataclass(frozen=True)
class Cell:
    """One trial after its last refinement."""

    text: str
    whole: bool
    """Whether every agent has a valid route."""
    folder: str
    page: str | None = None
    """Address of its page, from the report."""


@dataclass(frozen=True)
class TrialTable:
    """A row for every scenario and sample, a column for every arm."""

    arms: list[str]
    rows: list[tuple[str, list[Cell | None]]]


def trial_table(folder: RunFolder) -> TrialTable | None:
    """What trials.csv says; None where there is none."""
    if not (folder.path / TRIALS).is_dir():
        return None
    lines = [row for row in folder.table("trials.csv") if "folder" in row and "validity" in row]
    last: dict[tuple[str, str], dict[str, str]] = {}
    varied = [axis for axis in ARM if len({row.get(axis) for row in lines}) > 1] or ["model"]
    for row in lines:
        arm = ", ".join(str(row.get(axis)) for axis in varied)
        # After the last refinement: rows of one trial come in their order.
        last[_scenario(row), arm] = row
    if not last:
        return None
    arms = list(dict.fromkeys(arm for _, arm in last))
    scenarios = list(dict.fromkeys(scenario for scenario, _ in last))
    rows = [(s, [_cell(last[s, arm], folder) if (s, arm) in last else None for arm in arms]) for s in scenarios]
    return TrialTable(arms, rows)


def write_pages(
    folder: RunFolder, table: TrialTable, report: Path, progress: Callable[[str], Any] = lambda line: None
) -> TrialTable:
    """Write the page of every trial that has none of its own age; returns the table with their addresses."""
    networks: dict[str, RoadNetwork | None] = {}
    done = 0

    def with_page(cell: Cell | None) -> Cell | None:
        nonlocal done
        if cell is None or done >= MAX_PAGES:
            return cell
        trial = folder.path / TRIALS / cell.folder
        if not (trial / "demonstrations.json").is_file():
            return cell
        done += 1
        progress(f"writing the page of trial {done}")
        page = trial / PAGE
        if not _is_new(page, trial):
            _write_page(page, trial, networks)
        return replace(cell, page=quote(Path(os.path.relpath(page, report.parent)).as_posix()))

    rows = [(scenario, [with_page(cell) for cell in cells]) for scenario, cells in table.rows]
    if done >= MAX_PAGES:
        folder.note(f"The first {MAX_PAGES} trials have a page; leed report makes one of any other trial's folder.")
    return replace(table, rows=rows)


def _write_page(page: Path, trial: Path, networks: dict[str, RoadNetwork | None]) -> None:
    run = RunFolder(trial, "demonstrations")
    place = str(run.json("settings.json").get("map", {}))
    content: Content = gather(run, networks.get(place))
    networks[place] = content.network
    # The curves of a few rounds would bring a library of four megabytes to every page.
    content.charts = []
    with whole_file(page) as partial:
        partial.write_bytes(render(content).encode("utf-8", "replace"))


def _is_new(page: Path, trial: Path) -> bool:
    return page.is_file() and page.stat().st_mtime >= (trial / "demonstrations.json").stat().st_mtime


def _scenario(row: dict[str, str]) -> str:
    known = [f"{row[name]} agents" if name == "agents" else f"seed {row[name]}" for name in ("agents", "seed")]
    sample = row.get("sample") or "0"
    return ", ".join([row.get("map", ""), *known, *([f"sample {sample}"] if sample != "0" else [])])


def _cell(row: dict[str, str], folder: RunFolder) -> Cell:
    valid, time = float(row["validity"] or "nan"), row.get("travel_time_ratio") or ""
    text = f"{valid:.0%} valid" + (f", {float(time):.2f} of the time" if time else "")
    name = row["folder"]
    # The file may be anybody's: nothing outside the folder is read.
    inside = Path(name).name == name and (folder.path / TRIALS / name).is_dir()
    return Cell(text, valid >= 1.0, name if inside else "")
