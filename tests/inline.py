"""Tasks of experiments and comparisons in the test's own process: one of their own spends 2 s on imports alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from leed_agentic.experiments.backends import Submit
from leed_agentic.experiments.task import Failure
from leed_agentic.experiments.work import make


@contextmanager
def here(jobs: int) -> Iterator[Submit]:
    """A backend: every task is done before `submit` returns."""

    def submit(*arguments: Any) -> Future[Failure | None]:
        future: Future[Failure | None] = Future()
        try:
            future.set_result(make(*arguments))
        except Exception as error:  # noqa: BLE001 - as a pool gives it back
            future.set_exception(error)
        return future

    yield submit
