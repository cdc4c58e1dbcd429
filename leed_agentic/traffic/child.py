"""An object in a Python process of its own, asked over pipes; that process runs `main`.

Started as a program and not by multiprocessing, so that a script needs no `if __name__ == "__main__"`. It dies with its
parent: at the end of its input it ends, however the parent ended.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any, BinaryIO

from leed_agentic.errors import LeedError, UnavailableError, UsageError

_PROGRAM = f"from {__name__} import main; main()"
_FAREWELL = 10.0
"""Seconds that a child has to end when it is told to."""


class Far:
    """The answer of a child to the question for an attribute that is a part or a function and stays there."""


class Child:
    """The process, started on construction; `make(*arguments)` is run there first.

    Raises:
        UsageError: the arguments cannot be sent to another process.
        UnavailableError: the process does not start.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        try:
            # sys.path goes first: what follows may name modules that only it finds.
            order = pickle.dumps(sys.path) + pickle.dumps((make, arguments))
        except Exception as error:
            raise UsageError(
                f"What the environment is made of cannot be sent to another process ({error}); give functions and "
                "classes of a module, or set environment.backend=libsumo."
            ) from error
        # One process per environment is all the parallelism there is; threads of a BLAS would only queue.
        words = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=words,
                # Ctrl-C is the parent's to hear.
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(f"The simulation's process does not start ({error}).") from error
        self.made_in = os.getpid()
        self._end = weakref.finalize(self, _end, self._process, self.made_in)
        self._waiting = 0
        self._write(order)
        self._waiting = 1

    @property
    def pid(self) -> int:
        """Of the operating system."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has neither been closed nor found dead."""
        return self._end.alive

    def send(self, path: tuple[str, ...], *arguments: Any, call: bool = True) -> None:
        """Ask for an attribute's attribute ..., or for what calling it gives; `receive` gives the answer."""
        while self._waiting:
            # The answer to the order, or one that an error left behind.
            self.receive()
        self._write(pickle.dumps((path, call, arguments), pickle.HIGHEST_PROTOCOL))
        self._waiting += 1

    def receive(self) -> Any:
        """The next answer.

        Raises:
            UnavailableError: the process is gone.
            Exception: whatever was raised there.
        """
        self._waiting -= 1
        try:
            good, answer = pickle.load(self._process.stdout)  # type: ignore[arg-type]  # noqa: S301 - our own process
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._gone() from None
        if good:
            return answer
        raise answer

    def ask(self, path: tuple[str, ...], *arguments: Any, call: bool = True) -> Any:
        """`send`, and `receive` its answer."""
        self.send(path, *arguments, call=call)
        return self.receive()

    def close(self) -> None:
        self._end()

    def _write(self, content: bytes) -> None:
        try:
            self._process.stdin.write(content)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except (OSError, ValueError):
            raise self._gone() from None

    def _gone(self) -> UnavailableError:
        self._end()
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        return UnavailableError(f"The simulation's process {self.pid} {how}; reset() starts another one.")


def _end(process: subprocess.Popen[bytes], made_in: int) -> None:
    if os.getpid() != made_in:
        # In a fork of the parent, to which the process does not belong.
        return
    for stream in (process.stdin, process.stdout):
        try:
            stream.close()  # type: ignore[union-attr]
        except OSError:
            # What was written last finds nobody there.
            pass
    try:
        process.wait(_FAREWELL)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# -- in the child ------------------------------------------------------------------------------------------------------
_PLAIN = (str, bytes, bool, int, float, complex, list, tuple, dict, set, frozenset, type(None))


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Make the object and answer until nobody asks."""
    try:
        sys.path[:] = pickle.load(questions)  # noqa: S301 - from the parent
        make, arguments = pickle.load(questions)  # noqa: S301
        made = make(*arguments)
        _answer(answers, True, None)
    except EOFError:
        return
    except (AttributeError, ImportError) as error:
        words = f"The simulation's process cannot find what the environment is made of ({error}); put it in a module."
        _answer(answers, False, UsageError(words))
        return
    except Exception as error:  # noqa: BLE001 - told to the parent
        _answer(answers, False, error)
        return
    while True:
        try:
            path, call, given = pickle.load(questions)  # noqa: S301
        except EOFError:
            return
        try:
            found = made
            for name in path:
                found = getattr(found, name)
            found = found(*given) if call else _near(found)
        except Exception as error:  # noqa: BLE001 - told to the parent
            _answer(answers, False, error)
        else:
            _answer(answers, True, found)


def _near(found: Any) -> Any:
    """What can be looked at from afar as it is; all else stays."""
    return found if isinstance(found, _PLAIN) or hasattr(found, "dtype") else Far()


def _answer(answers: BinaryIO, good: bool, answer: Any) -> None:
    try:
        content = pickle.dumps((good, answer), pickle.HIGHEST_PROTOCOL)
        if not good:
            # Some exceptions can be written and not read.
            pickle.loads(content)  # noqa: S301
    except Exception:  # noqa: BLE001 - whatever a class of somebody else's raises there
        kind = type(answer).__name__
        words = f"{kind}: {answer}" if not good else f"an answer of type {kind} cannot leave the simulation's process"
        content = pickle.dumps((False, LeedError(words)))
    answers.write(content)
    answers.flush()


def main() -> None:
    """What the process runs: answer to standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # SUMO writes to standard output, which carries the answers.
    os.dup2(2, 1)
    try:
        serve(questions, answers)
    except BrokenPipeError:
        # The parent is gone.
        pass
    # Without the interpreter's farewells: SUMO's own take longer than its work.
    os._exit(0)
