"""How often a model may be asked, and by how many at a time: one account for all processes of this machine.

The account is a folder of lock files. The operating system opens a lock when its process ends, however it ends, so a
killed run holds nobody up.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import BaseFileLock, FileLock, Timeout

from leed_agentic.errors import UsageError
from leed_agentic.setting_groups import ModelSettings

LOOK_AGAIN = 0.05
"""Seconds between two looks for a free place."""


class Pace:
    """The limits model.calls_per_minute and model.max_concurrent_calls of one model at one address.

    Args:
        folder: where the accounts of all models lie; the user's cache folder when None.
        clock: seconds since the epoch: unlike others it is the same in every process.
    """

    def __init__(
        self,
        settings: ModelSettings,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._places = settings.max_concurrent_calls
        self._interval = 60.0 / settings.calls_per_minute if settings.calls_per_minute else None
        who = f"{settings.name} {settings.base_url or ''}"
        account = hashlib.sha256(who.encode()).hexdigest()[:16]
        self.folder = (folder or platformdirs.user_cache_path("leed_agentic") / "pace") / account
        self._clock, self._sleep = clock, sleep

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places for calls at a time, kept while it is entered; waits for a free one.

        Raises:
            UsageError: the account's folder cannot be written.
        """
        if self._places is None:
            yield
            return
        lock = self._free(self._places)
        try:
            yield
        finally:
            lock.release()

    def turn(self) -> None:
        """Wait until the model may be asked again, a try counting as a call; turns are evenly spread over the minute.

        Raises:
            UsageError: the account's folder cannot be written.
        """
        if self._interval is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Whoever comes next waits for the lock while this one waits for its turn.
            with FileLock(self.folder / "turn.lock"):
                last = self._last()
                # A clock that was set back must not hold anybody up for long.
                self._sleep(min(max(last + self._interval - self._clock(), 0.0), self._interval))
                (self.folder / "turn").write_text(repr(self._clock()), encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error

    def _free(self, places: int) -> BaseFileLock:
        while True:
            for number in range(places):
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    lock = FileLock(self.folder / f"place_{number}.lock")
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
                except OSError as error:
                    raise self._unwritable(error) from error
                return lock
            self._sleep(LOOK_AGAIN)

    def _last(self) -> float:
        try:
            return float((self.folder / "turn").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return float("-inf")

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"Cannot write {self.folder} ({error.strerror or error}), where the calls of all processes are counted; "
            "leave model.calls_per_minute and model.max_concurrent_calls out, or make it writable."
        )
