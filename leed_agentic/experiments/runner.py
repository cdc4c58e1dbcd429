"""Training runs in processes of this machine: one simulation each, resumed where they were, never made twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from leed_agentic.errors import LeedError
from leed_agentic.experiments.experiment import Run
from leed_agentic.settings import Settings

SUMMARY = "summary.json"

Told = Callable[[Run, str | None], Any]
"""Called when a run is done (None) or failed (why)."""


def is_done(folder: Path) -> bool:
    """Whether a run ended: its summary is written last."""
    return (folder / SUMMARY).is_file()


def perform(runs: Sequence[Run], parent: Path, jobs: int, told: Told) -> dict[str, str]:
    """Make the runs that are not there yet; returns the key and the reason of those that failed.

    A failed run does not stop the others, and is tried again next time.
    """
    failed: dict[str, str] = {}
    waiting = {run.key: run for run in runs if not is_done(parent / run.key)}
    if not waiting:
        return failed
    # Spawned, not forked: libsumo and torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_follow_the_parent) as pool:
        pending: dict[Future[None], Run] = {
            pool.submit(_one, run.settings.model_dump_json(), str(parent / key)): run for key, run in waiting.items()
        }
        try:
            for future in as_completed(pending):
                run, error = pending[future], future.exception()
                if error is not None:
                    failed[run.key] = str(error) or type(error).__name__
                told(run, failed.get(run.key))
        except BaseException:
            # The runs under way end with their process; their last checkpoints are whole.
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def _follow_the_parent() -> None:
    """Ctrl-C is the parent's to answer, and a parent that was killed leaves no run going on behind its back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _one(settings_json: str, folder_name: str) -> None:
    from leed_agentic.demonstrations.source import GraphSource
    from leed_agentic.learning.checkpoint import checkpoints
    from leed_agentic.learning.session import begin, summary, take_up

    folder = Path(folder_name)
    try:
        if checkpoints(folder / "checkpoints"):
            session = take_up(folder, GraphSource)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            session = begin(Settings.model_validate_json(settings_json), folder, GraphSource)
        try:
            session.trainer.run()
            result = summary(session)
        finally:
            session.close()
        (folder / SUMMARY).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except LeedError as error:
        # Its own type may not survive the way between processes; the sentence does.
        raise RuntimeError(str(error)) from None
