"""Where the commands write: results to stdout, progress and complaints to stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from leed_agentic.credentials import without_keys

out = Console(soft_wrap=True)
# FORCE_COLOR, which notebooks set, asks for colours, not for lines that move.
err = Console(stderr=True, soft_wrap=True, force_terminal=None if sys.stderr.isatty() else False)


def print_json(data: Any) -> None:
    """One JSON object on stdout, plain, whatever the terminal."""
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def complain(sentence: str) -> None:
    """One sentence on stderr; text from outside (paths, replies) is never read as markup, and no key is shown."""
    err.print(Text.assemble(("Error: ", "bold red"), without_keys(sentence)), highlight=False)


BEAT = 10.0
"""Seconds between two plain lines of progress."""


class Lines:
    """Progress where there is no terminal to draw on: a plain line every now and then, none of a quick run."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, line: str) -> None:
        now = time.monotonic()
        if not err.is_terminal and now - self._said >= BEAT:
            self._said = now
            err.print(Text(without_keys(line)))


class Warnings(logging.Handler):
    """Shows what the package logs as `warn` does."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def warn(line: str) -> None:
    """A line on stderr that ends nothing. In one piece: a live line below it is drawn anew after every print."""
    err.print(Text.assemble(("Warning: ", "yellow"), without_keys(line)), highlight=False)
