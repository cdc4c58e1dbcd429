"""Where the commands write: results to stdout, progress and complaints to stderr."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from leed_agentic.credentials import without_keys

# What moves a terminal's cursor, changes its colours or title, or turns round the order in which a line is read.
_COMMANDS = [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_BLANKED = dict.fromkeys(_COMMANDS, " ")
# In JSON the first of them are escaped already.
_ESCAPED = {code: f"\\u{code:04x}" for code in _COMMANDS if code > 0x20}


def mend_streams() -> None:
    """Whatever the shell left of stdin, stdout and stderr can be used from here on, and takes any text.

    A closed one leads nowhere: else the next file that is opened gets its number, and what libraries print goes there.
    A letter that the locale lacks is written as an escape.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif isinstance(stream, io.TextIOWrapper) and mode == "w":
            stream.reconfigure(errors="backslashreplace")


class _Plain(RenderHook):
    """Text from outside (a model's, a map's, a folder's name) gives the terminal no commands."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Blanked(renderable) for renderable in renderables]


class _Blanked:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found: Iterable[Segment] = console.render(self.inner, options)
        for segment in found:
            yield segment if segment.control else segment._replace(text=segment.text.translate(_BLANKED))


mend_streams()
out = Console(soft_wrap=True)
# FORCE_COLOR, which notebooks set, asks for colours, not for lines that move.
err = Console(stderr=True, soft_wrap=True, force_terminal=None if sys.stderr.isatty() else False)
for _console in (out, err):
    _console.push_render_hook(_Plain())


def print_json(data: Any) -> None:
    """One JSON object on stdout, plain, whatever the terminal."""
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False).translate(_ESCAPED))


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
