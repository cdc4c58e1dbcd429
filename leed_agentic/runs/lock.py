"""One writer per folder: a lock that opens by itself when its process ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import unwritable, write_text
from leed_agentic.runs.folder import check_links

LOCK = ".lock"
HOLDER = ".lock-holder"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs; it is made if need be.

    Raises:
        UsageError: another process holds it; the message says which. Or a link in it leaves it (see `check_links`):
            whoever writes here would write elsewhere.
        UnwritableError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_links(folder)
        lock = FileLock(folder / LOCK)
        lock.acquire(blocking=False)
    except Timeout:
        raise UsageError(
            f"{folder} is being written by process {_holder(folder)}; wait for it, end it, or choose another folder."
        ) from None
    except OSError as error:
        raise unwritable(folder / LOCK, error) from error
    try:
        # Not in the lock's own file, which every process that tries for the lock empties.
        write_text(folder / HOLDER, f"{os.getpid()}\n")
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        return (folder / HOLDER).read_text(encoding="utf-8").strip() or "unknown"
    except OSError:
        return "unknown"
