"""What giving out a task and taking its end costs the scheduler itself: tasks that do nothing.

python benchmarks/scheduler.py [--tasks 1000] [--jobs 32]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leed_agentic.experiments import experiments
from leed_agentic.experiments.backends import Submit, backends
from leed_agentic.experiments.run import Request
from leed_agentic.experiments.runner import perform
from leed_agentic.experiments.task import Failure


@backends.register("at-once")
@contextmanager
def at_once(jobs: int) -> Iterator[Submit]:
    def submit(*arguments: Any) -> Future[Failure | None]:
        future: Future[Failure | None] = Future()
        future.set_result(None)
        return future

    yield submit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=32)
    given = parser.parse_args()
    request = Request(maps=("braunschweig",), seeds=-(-given.tasks // 2))
    members = experiments.get("demonstrations").members(request)
    tasks = [task for member, asked in members for task in member.tasks(asked)][: given.tasks]
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        perform(tasks, Path(folder), given.jobs, "at-once", lambda progress: None)
        took = time.process_time() - began
    print(f"{len(tasks)} tasks, {given.jobs} at a time: {took / len(tasks) * 1e3:.2f} ms of processor each")


if __name__ == "__main__":
    main()
