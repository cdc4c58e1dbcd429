"""Work in threads of its own: what takes too long is left behind, and several calls wait at the same time."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from leed_agentic.models.failure import Overdue

T = TypeVar("T")
Box = queue.SimpleQueue[tuple[T | None, BaseException | None]]


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work` if it comes in time.

    A client's own timeout starts again with every byte, so a server that trickles could hold a run for hours. The
    thread of a late call is left behind; as a daemon it keeps nothing from ending.

    Raises:
        Overdue: it did not come in time.
    """
    try:
        result, error = _begun(work).get(timeout=seconds)
    except queue.Empty:
        raise Overdue from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def together(works: Sequence[Callable[[], T]]) -> Iterator[T]:
    """The results in the order of `works`, once all of them have ended; the first error comes in its result's place."""
    outcomes = [box.get() for box in [_begun(work) for work in works]]
    for result, error in outcomes:
        if error is not None:
            raise error
        yield result  # type: ignore[misc]


def _begun(work: Callable[[], T]) -> Box[T]:
    box: Box[T] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            box.put((None, error))

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()
    return box
