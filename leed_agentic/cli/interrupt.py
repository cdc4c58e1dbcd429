"""Ctrl-C that is not lost."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, ClassVar

from leed_agentic.errors import UnavailableError


@contextmanager
def same_command_goes_on() -> Iterator[None]:
    """Around work that keeps what is done: an error that passes says so."""
    try:
        yield
    except UnavailableError as error:
        raise type(error)(f"{error} Then the same command goes on; what is done is kept.") from error


class Interrupt:
    """While it is entered, Ctrl-C raises KeyboardInterrupt as ever, and `check` raises it again.

    Some libraries swallow the first one: a bare `except` around an optional import is enough, or a callback from C, for
    which Python prints a traceback. Without the check the run would go on as if nobody had pressed anything. One that
    is entered within another knows what was pressed before.
    """

    _pressed: ClassVar[bool] = False
    _depth: ClassVar[int] = 0

    def __enter__(self) -> Interrupt:
        if Interrupt._depth == 0:
            Interrupt._pressed = False
        Interrupt._depth += 1
        # Python lets only the main thread set handlers, and only there do signals arrive.
        self._in_charge = threading.current_thread() is threading.main_thread()
        if self._in_charge:
            self._before = signal.signal(signal.SIGINT, self._press)
        self._complain, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Interrupt._depth -= 1
        if self._in_charge:
            signal.signal(signal.SIGINT, self._before)
        sys.unraisablehook = self._complain

    def check(self) -> None:
        """Raises KeyboardInterrupt when Ctrl-C was pressed."""
        if Interrupt._pressed:
            raise KeyboardInterrupt

    def _press(self, number: int, frame: FrameType | None) -> None:
        Interrupt._pressed = True
        raise KeyboardInterrupt

    def _unraisable(self, lost: Any) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            self._complain(lost)
        elif self._in_charge and hasattr(signal, "pthread_kill"):
            # Nobody heard it, and who waits for a server that hangs comes to no check: it is pressed again.
            again = threading.Timer(0.1, _press_again)
            again.daemon = True
            again.start()


def _press_again() -> None:
    if Interrupt._pressed and Interrupt._depth:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
