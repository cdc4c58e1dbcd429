"""Where tasks run: in processes of this machine, or on a Ray cluster; one simulation each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from leed_agentic.errors import UnavailableError
from leed_agentic.experiments.task import Failure
from leed_agentic.experiments.work import make
from leed_agentic.garbage import look_seldom
from leed_agentic.registry import Registry

Submit = Callable[[str, str, str, dict[str, Any]], "Future[Failure | None]"]
"""Starts `work.make` somewhere, with its arguments."""
Backend = Callable[[int], AbstractContextManager[Submit]]
"""From the number of tasks at a time to where they run; leaving it by an error ends the tasks under way."""

backends: Registry[Backend] = Registry("backend")


# -- processes ---------------------------------------------------------------------------------------------------------
@backends.register("processes")
@contextmanager
def processes(jobs: int) -> Iterator[Submit]:
    """Spawned, not forked: libsumo and torch's threads do not survive a fork."""
    pools = [_pool(jobs)]

    def submit(*arguments: Any) -> Future[Failure | None]:
        try:
            return pools[-1].submit(make, *arguments)
        except BrokenProcessPool:
            # A process that dies (out of memory, a crash in SUMO) takes its pool along, not the experiment.
            pools.append(_pool(jobs))
            return pools[-1].submit(make, *arguments)

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
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    look_seldom()
    _follow_the_parent()


def _follow_the_parent() -> None:
    """Ctrl-C is the parent's to answer, and a parent that was killed leaves no run going on behind its back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- Ray ---------------------------------------------------------------------------------------------------------------
@backends.register("ray")
@contextmanager
def ray(jobs: int) -> Iterator[Submit]:
    """The cluster that RAY_ADDRESS names, or workers of this machine; run folders must be on a disk they share.

    Raises:
        UnavailableError: Ray is not installed, or its cluster cannot be reached.
    """
    # Before the import: Ray reports home by default.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UnavailableError(
            'The backend ray needs Ray: pip install "leed-agentic[ray]", or leave --backend out.'
        ) from error
    address = os.environ.get("RAY_ADDRESS")
    # What Ray says of itself would go between our lines of progress.
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", num_cpus=jobs, include_dashboard=False, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster {address}" if address else "Ray on this machine"
        raise UnavailableError(f"Cannot start {where} ({' '.join(str(error).split())[:200]}).") from error
    try:
        # Not tried again by Ray: the caller reports what failed and goes on next time.
        remote = ray.remote(num_cpus=1, max_retries=0)(make)

        def submit(*arguments: Any) -> Future[Failure | None]:
            return remote.remote(*arguments).future()

        yield submit
    finally:
        ray.shutdown()
