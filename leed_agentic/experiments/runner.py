"""Tasks in processes of this machine, or on a Ray cluster: one simulation each, resumed where they were, made once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.experiments.task import Task
from leed_agentic.experiments.work import execute
from leed_agentic.registry import Registry

Submit = Callable[[str, str, str, dict[str, Any]], "Future[None]"]
"""Starts `work.execute` somewhere, with its arguments."""
Backend = Callable[[int], AbstractContextManager[Submit]]
"""From the number of tasks at a time to where they run; leaving it by an error ends the tasks under way."""

BEAT = 10.0
"""Seconds after which somebody who waits hears that tasks are still under way."""

backends: Registry[Backend] = Registry("backend")


@dataclass(frozen=True)
class Progress:
    """Told whenever a task ends."""

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


def perform(
    tasks: Sequence[Task],
    parent: Path,
    jobs: int,
    backend: str,
    told: Callable[[Progress], Any],
    beat: Callable[[Sequence[Task]], Any] = lambda running: None,
) -> dict[str, str]:
    """Make the tasks that are not done yet; returns folder and reason of those that failed.

    A failed task does not stop the others, and is tried again next time.

    Args:
        beat: called with the tasks under way every now and then while none ends.

    Raises:
        UsageError: a folder of another version, found before anything runs; an unknown backend.
        UnavailableError: the backend cannot be used.
    """
    failed: dict[str, str] = {}
    waiting = [task for task in tasks if not task.done(parent)]
    for task in tasks:
        task.check(parent)
    start = backends.get(backend)
    if not waiting:
        return failed
    efforts = {task.folder: task.effort(parent) for task in waiting}
    total, spent, began, made = sum(efforts.values()), 0.0, time.monotonic(), 0
    pending: dict[Future[None], Task] = {}
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
                task, error = pending.pop(future), future.exception()
                if error is not None:
                    failed[task.folder] = _sentence(error)
                made, spent = made + 1, spent + efforts[task.folder]
                left = (time.monotonic() - began) / spent * (total - spent)
                running = len(pending) + min(len(queue), jobs - len(pending))
                told(Progress(task, failed.get(task.folder), made, len(waiting), running, left))
    return failed


def _sentence(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return "its process, or one beside it, died (out of memory?); it goes on next time"
    # Ray wraps what a task raised.
    return " ".join(str(getattr(error, "cause", None) or error).split()) or type(error).__name__


@backends.register("processes")
@contextmanager
def processes(jobs: int) -> Iterator[Submit]:
    """Spawned, not forked: libsumo and torch's threads do not survive a fork."""
    pools = [_pool(jobs)]

    def submit(*arguments: Any) -> Future[None]:
        try:
            return pools[-1].submit(execute, *arguments)
        except BrokenProcessPool:
            # A process that dies (out of memory, a crash in SUMO) takes its pool along, not the experiment.
            pools.append(_pool(jobs))
            return pools[-1].submit(execute, *arguments)

    try:
        yield submit
    except BaseException:
        # The tasks under way end with their process; a run's last checkpoint is whole.
        for process in list((pools[-1]._processes or {}).values()):
            process.terminate()
        # A pool that is not yet taken down when the interpreter leaves in a hurry leaves semaphores and a warning.
        pools.pop().shutdown(wait=True, cancel_futures=True)
        raise
    finally:
        if pools:
            pools[-1].shutdown(wait=False, cancel_futures=True)


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_the_parent)


@backends.register("ray")
@contextmanager
def ray(jobs: int) -> Iterator[Submit]:
    """Imported only when it is asked for."""
    from leed_agentic.experiments.ray_cluster import cluster

    with cluster(jobs) as submit:
        yield submit


def _follow_the_parent() -> None:
    """Ctrl-C is the parent's to answer, and a parent that was killed leaves no run going on behind its back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
