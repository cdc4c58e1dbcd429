"""What a run says while it goes on: what happens, what the model was asked so far, what that took, and what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from leed_agentic.models.caller import ModelCaller


class Progress:
    """Called with what happens now; says it with the figures so far.

    Args:
        say: takes a line at a time.
        caller: whose account is told.
    """

    def __init__(self, say: Callable[[str], Any], caller: ModelCaller) -> None:
        self._say, self._caller = say, caller
        self._first = self._began = time.monotonic()

    def __call__(self, line: str, done: int | None = None, of: int | None = None) -> None:
        """Say what happens.

        Args:
            done, of: how many questions, or agents, of how many; the time left follows from when the last line without
                them came.
        """
        now = time.monotonic()
        if of is None:
            self._began = now
        counted = f" {done} of {of}" if of is not None else ""
        left = ""
        if done and of and done < of:
            left = f"about {_duration((now - self._began) / done * (of - done))} left"
        # What a narrow terminal cuts is at the end.
        self._say(", ".join(part for part in (f"{line}{counted}", left, self._account(now)) if part))

    def _account(self, now: float) -> str:
        usage = self._caller.usage
        asked = usage.calls - usage.replayed_calls
        if asked < 1:
            return ""
        parts = [f"{asked} {'call' if asked == 1 else 'calls'}"]
        if cost := self._caller.cost:
            parts.append(f"cost {cost:.4g}")
        read, written = usage.reported
        if read is not None and written is not None:
            parts.append(f"{read:,} + {written:,} tokens")
            if usage.seconds >= 1.0:
                # Of the clock: several may be under way at a time.
                parts.append(f"{written / max(now - self._first, 1.0):.3g} tokens/s")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
