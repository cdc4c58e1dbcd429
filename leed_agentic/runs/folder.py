"""The folder a run writes to: new, never overwritten, readable without our code; and what is read of a foreign one."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from leed_agentic.errors import UsageError

DEFAULT_PARENT = Path("runs")


def create_run_folder(out: Path | None, *words: str) -> Path:
    """Make `out`, or runs/<time>_<word>_<word>/ when it is None.

    Raises:
        UsageError: the folder exists and is not empty, or cannot be written.
    """
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise UsageError(f"The run folder {out} is not empty; give a new one with --out.")
            probe = out / ".write-test"
            probe.touch()
            probe.unlink()
            return out
        stem = "_".join([time.strftime("%Y%m%d-%H%M%S"), *map(_safe, words)])
        for attempt in range(1000):
            folder = DEFAULT_PARENT / (f"{stem}-{attempt}" if attempt else stem)
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if DEFAULT_PARENT.is_dir():
                    continue
                raise
            return folder
    except OSError as error:
        raise UsageError(
            f"Cannot write the run folder {out or DEFAULT_PARENT} ({error.strerror}); give a writable one with --out."
        ) from error
    raise UsageError(f"There are 1000 run folders named {stem}; give a new one with --out.")


def check_links(folder: Path) -> None:
    """A run folder may come from anybody: no link may lead out of it, and no pipe may keep a reader waiting.

    Raises:
        UsageError: a link does, something is no plain file (a pipe, a device), or the folder is missing.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    home = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not _target(path).is_relative_to(home):
                raise UsageError(f"{path} is a link that leaves the folder {folder}; remove it, then try again.")
            if path.exists() and not path.is_file() and not path.is_dir():
                raise UsageError(f"{path} is no plain file; remove it, then try again.")


def _target(link: Path) -> Path:
    """Where a link leads in the end; the root for one that leads round in a circle."""
    try:
        return link.resolve()
    except (OSError, RuntimeError):
        return Path("/")


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")[:40] or "run"
