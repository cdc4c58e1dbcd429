"""Replies recorded earlier for a run that may also ask: what was recorded is not asked, and not paid, again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from leed_agentic.errors import UsageError
from leed_agentic.models.failure import RefusedError
from leed_agentic.models.recording import Recording

RecordMode = Literal["auto", "off", "only"]
"""auto: use what is recorded, else ask and record; off: ask always and record nothing; only: never ask."""


class Tape:
    """The calls of a run that was stopped, and those of other runs that may have asked the same.

    A request made n times in a run gets the n-th reply recorded for it: the run's own first, then another run's.

    Args:
        own: the run's own calls.jsonl; it need not exist.
        others: further ones of the same model.
        only: refuse what is not recorded in place of leaving it to the caller.
    """

    def __init__(self, own: Path, others: Iterable[Path] = (), only: bool = False) -> None:
        self.own, self.only = own, only
        self._mine = Recording.load(own) if _has_begun(own) else None
        self._others = [found for file in sorted(others) if file != own and (found := _readable(file))]
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def model(self) -> dict[str, Any]:
        """Effective settings of the recorded model. Raises UsageError when nothing is recorded."""
        for recording in (self._mine, *self._others):
            if recording is not None:
                return recording.model
        raise UsageError(f"Nothing is recorded in {self.own.parent}; call the model once with --record auto.")

    def take(self, key: str) -> tuple[dict[str, Any] | None, bool]:
        """The recorded call with this key, or None, and whether the run's own record holds it already.

        Raises:
            UsageError: the request is not recorded and may not be made.
            RefusedError: the server refused it when it was made.
        """
        with self._lock:
            turn = self._asked.get(key, 0)
            self._asked[key] = turn + 1
        for recording in (self._mine, *self._others):
            call = recording.answer_to(key, turn) if recording else None
            if call is not None:
                return call, recording is self._mine
        if not self.only:
            return None, False
        refused = self._mine.refused.get(key) if self._mine else None
        if refused:
            raise RefusedError(refused)
        raise UsageError(
            f"{self.own} does not hold a reply to one of the requests; call the model for what is missing with "
            "--record auto."
        )


def _has_begun(file: Path) -> bool:
    """Whether there are calls, after what a kill left of a last line has gone, or the whole file if that is all."""
    if not file.is_file():
        return False
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole == 0:
        file.unlink()
    elif whole < len(data):
        os.truncate(file, whole)
    return whole > 0


def _readable(file: Path) -> Recording | None:
    """Another run's record helps where it can; what is wrong with it is that run's affair."""
    try:
        return Recording.load(file)
    except UsageError:
        return None
