"""An experiment from its request to its files: what is missing is made, then every part reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.experiments.experiment import Outcome, Request, Study
from leed_agentic.experiments.runner import Progress, perform
from leed_agentic.experiments.task import Task, merged

RUNS = "runs"
"""Folder beside the reports that all experiments share."""


@dataclass(frozen=True)
class Conducted:
    """What came of it."""

    tasks: list[Task]
    outcomes: dict[str, Outcome]
    """By part; a part of which nothing is complete is absent."""
    failed: dict[str, str]
    """Folder of a task, and why it failed."""


def conduct(
    study: Study,
    request: Request,
    out_folder: Path,
    jobs: int,
    backend: str = "processes",
    command: str = "",
    told: Callable[[Progress], Any] = lambda progress: None,
    note: Callable[[str], Any] = lambda line: None,
) -> Conducted:
    """Make the tasks that are missing in `out_folder`/runs and write a report per part beside it.

    Raises:
        UsageError: a wrong name, setting or map, agents that do not fit it, a folder of another version; nothing was
            run then. Or nothing is complete in the end.
        UnavailableError: a map or the backend cannot be used.
    """
    parts = study.parts(request)
    tasks = merged([task for part, own in parts for task in part.tasks(own)])
    note("opening the maps")
    check(tasks)
    parent = out_folder / RUNS
    left = sum(not task.done(parent) for task in tasks)
    note(f"{left} to make of {len(tasks)}")
    failed = perform(tasks, parent, jobs, backend, told)
    note("writing the report")
    outcomes = {}
    for part, own in parts:
        outcome = part.report(own, failed, parent, out_folder / part.name, command)
        if outcome:
            outcomes[part.name] = outcome
    if not outcomes:
        raise UsageError(f"No arm is complete; the first failure: {next(iter(failed.values()))}")
    return Conducted(tasks, outcomes, failed)


def check(tasks: Sequence[Task]) -> None:
    """A wrong name or a map too small is found before anything runs, and a map is built once, not in every process."""
    from leed_agentic.demonstrations.generate import scenario_of
    from leed_agentic.learning.algorithms import algorithms
    from leed_agentic.roads.catalogue import open_map

    networks, worlds = {}, set()
    for task in tasks:
        settings = task.settings
        if task.work == "train":
            algorithms.get(settings.learning.algorithm)
        if settings.map.name not in networks:
            networks[settings.map.name] = open_map(settings.map.name, settings.map)
        world = (settings.map.name, settings.scenario.model_dump_json(), settings.seed)
        if world not in worlds:
            worlds.add(world)
            scenario_of(settings, networks[settings.map.name])
