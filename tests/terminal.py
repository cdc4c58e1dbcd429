"""A command in a pseudo-terminal: what it asks is waited for, never slept for."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

PATIENCE = 120.0
"""Seconds without a sign of life after which a test gives up."""


class Terminal:
    """`leed` with a keyboard and a screen (stdin and stderr); stdout is a pipe, as in `leed ... --json > file`."""

    def __init__(self, *words: str, folder: Path) -> None:
        self._screen, inner = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "leed_agentic", *words],
            cwd=folder,
            env=environment,
            stdin=inner,
            stdout=subprocess.PIPE,
            stderr=inner,
            text=True,
        )
        os.close(inner)
        self._unread = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self._screen)

    def until(self, words: str) -> str:
        """Everything on the screen up to and with these words, since the last call."""
        while words not in self._unread:
            more = self._read()
            assert more, f"The command ended without saying {words!r}; its last words: {self._unread}"
            self._unread += more
        seen, words, self._unread = self._unread.partition(words)
        return seen + words

    def type(self, line: str) -> None:
        """A line and the Enter key."""
        os.write(self._screen, (line + "\n").encode())

    def hang_up(self) -> None:
        """Ctrl-D: the end of the input."""
        os.write(self._screen, b"\x04")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and the rest of the screen, once the command has ended."""
        while more := self._read():
            self._unread += more
        written, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, written, self._unread

    def _read(self) -> str:
        ready, _, _ = select.select([self._screen], [], [], PATIENCE)
        assert ready, f"The command went silent; its last words: {self._unread}"
        try:
            return os.read(self._screen, 65536).decode(errors="replace")
        except OSError:
            # Linux says so when the last program has left the terminal.
            return ""
