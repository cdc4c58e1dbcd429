"""An experiment from its request to its files: the tasks that are missing are made, then everything is reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.experiments.backends import backends
from leed_agentic.experiments.experiment import Listed, Outcome
from leed_agentic.experiments.run import Request
from leed_agentic.experiments.task import Failure, Task, merged
from leed_agentic.runs.lock import alone

RUNS = "runs"
"""Folder beside the reports that all experiments share."""
BEAT = 10.0
"""Seconds after which somebody who waits hears that tasks are still under way."""
OF_EVERYBODY = (UsageError.exit_code, UnavailableError.exit_code)
"""Exit codes of failures that the other tasks of an experiment would meet as well: all ask the same model."""


@dataclass(frozen=True)
class Progress:
    """Where all stands when a task has ended."""

    task: Task
    problem: str | None
    """Why it failed; None when it is done."""
    made: int
    of: int
    running: int
    seconds_left: float

    @property
    def counts(self) -> str:
        """How far all tasks together are."""
        left = f"about {self.seconds_left / 60:.0f} min left"
        return f"{self.made} of {self.of} made, {self.running} running, {left}"

    @property
    def line(self) -> str:
        """What became of this task."""
        state = f"failed: {self.problem}" if self.problem else "done"
        return f"{self.task.label}: {state} ({self.counts})"


@dataclass(frozen=True)
class Finished:
    """What came of an experiment."""

    tasks: list[Task]
    outcomes: dict[str, Outcome]
    """By figure or table; one of which nothing is complete is absent."""
    failed: dict[str, str]
    """Folder of a task, and why it failed."""


def run_experiment(
    experiment: Listed,
    request: Request,
    out_folder: Path,
    jobs: int,
    backend: str = "processes",
    command: str = "",
    on_progress: Callable[[Progress], Any] = lambda progress: None,
    status: Callable[[str], Any] = lambda line: None,
) -> Finished:
    """Make the tasks that are missing in `out_folder`/runs and write a report per figure or table beside it.

    Raises:
        UsageError: a wrong name, setting, map or model, agents that do not fit, a folder of another version: found
            before anything runs, or by the first task that meets it. Another process writes there. Or nothing is
            complete in the end.
        UnavailableError: a map, the model, SUMO or the backend cannot be used.
    """
    members = experiment.members(request)
    tasks = merged([task for member, asked in members for task in member.tasks(asked)])
    parent = out_folder / RUNS
    status("opening the maps")
    check(tasks)
    waiting = [task for task in tasks if not task.done(parent)]
    status("asking the models whether they answer")
    check_models(waiting)
    status(f"{len(waiting)} to make of {len(tasks)}")
    # A slip in its name leaves no folder.
    backends.get(backend)
    with alone(out_folder):
        failures = perform(tasks, parent, jobs, backend, on_progress, ends=OF_EVERYBODY)
        failed = {folder: failure.problem for folder, failure in failures.items()}
        status("writing the report")
        outcomes = {}
        for member, asked in members:
            outcome = member.report(asked, failed, parent, out_folder / member.name, command)
            if outcome:
                outcomes[member.name] = outcome
        if not outcomes:
            raise next(iter(failures.values())).error("No arm is complete; the first failure: ")
        return Finished(tasks, outcomes, failed)


def perform(
    tasks: Sequence[Task],
    parent: Path,
    jobs: int,
    backend: str,
    on_progress: Callable[[Progress], Any],
    beat: Callable[[Sequence[Task]], Any] = lambda running: None,
    ends: Collection[int] = (),
) -> dict[str, Failure]:
    """Make the tasks that are not done yet; returns folder and failure of those that failed.

    A failed task does not stop the others, and is tried again next time.

    Args:
        beat: called with the tasks under way every now and then while none ends.
        ends: exit codes of failures that end all: no further task can be done.

    Raises:
        UsageError: a folder of another version, found before anything runs; an unknown backend.
        UnavailableError: the backend cannot be used.
        LeedError: a failure whose exit code is in `ends`; what is done is kept.
    """
    failed: dict[str, Failure] = {}
    waiting = [task for task in tasks if not task.done(parent)]
    for task in tasks:
        task.check(parent)
    start = backends.get(backend)
    if not waiting:
        return failed
    efforts = {task.folder: task.effort(parent) for task in waiting}
    total, behind, began, made = sum(efforts.values()), 0.0, time.monotonic(), 0
    pending: dict[Future[Failure | None], Task] = {}
    queue = list(reversed(waiting))
    with start(jobs) as submit:
        while queue or pending:
            while queue and len(pending) < jobs:
                task = queue.pop()
                arguments = (task.work, task.settings.model_dump_json(), str(parent / task.folder), dict(task.extras))
                pending[submit(*arguments)] = task
            ended = wait(pending, timeout=BEAT, return_when=FIRST_COMPLETED).done
            if not ended:
                beat(list(pending.values()))
            for future in ended:
                task, failure = pending.pop(future), _failure(future)
                if failure is not None:
                    failed[task.folder] = failure
                made, behind = made + 1, behind + efforts[task.folder]
                left = (time.monotonic() - began) / behind * (total - behind)
                running = len(pending) + min(len(queue), jobs - len(pending))
                problem = failure.problem if failure else None
                on_progress(Progress(task, problem, made, len(waiting), running, left))
                if failure is not None and failure.exit_code in ends:
                    raise failure.error(f"{task.label}: ")
    return failed


def _failure(future: Future[Failure | None]) -> Failure | None:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        return Failure("its process, or one beside it, died (out of memory?); it goes on next time")
    # Ray wraps what a task raised.
    return Failure(" ".join(str(getattr(error, "cause", None) or error).split()) or type(error).__name__)


def check(tasks: Sequence[Task]) -> None:
    """A wrong name, model or prompt and a map too small are found before anything runs; a map is built once, not in
    every process.

    Raises:
        UsageError: as said.
        UnavailableError: a map cannot be had.
    """
    from leed_agentic.demonstrations.feedback import feedbacks
    from leed_agentic.demonstrations.parts import check_budget
    from leed_agentic.demonstrations.prompts import PromptSet
    from leed_agentic.learning.session import check_learning
    from leed_agentic.roads.catalogue import open_map
    from leed_agentic.traffic.demand import scenario_for

    networks, worlds = {}, {}
    for task in tasks:
        settings = task.settings
        if task.trains:
            check_learning(settings)
        if settings.map.name not in networks:
            networks[settings.map.name] = open_map(settings.map.name, settings.map)
        network = networks[settings.map.name]
        world = (settings.map.name, settings.scenario.model_dump_json(), settings.seed)
        if world not in worlds:
            worlds[world] = scenario_for(network, settings)
        if not task.asks_a_model:
            continue
        feedbacks.get(settings.demonstration.feedback)
        check_budget(settings, PromptSet.load(settings.demonstration.prompts), network, worlds[world])


def check_models(tasks: Sequence[Task]) -> None:
    """Ask every model that tasks need once: no run shall go its whole length without a demonstration.

    Raises:
        UsageError: a model's name or key is wrong, or its server does not know it.
        UnavailableError: it cannot be reached.
    """
    from leed_agentic.models.ping import ping

    for settings in {t.settings.model.model_dump_json(): t.settings.model for t in tasks if t.asks_a_model}.values():
        ping(settings)
