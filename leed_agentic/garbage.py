"""How often Python looks for garbage in a process that begins with imports."""

from __future__ import annotations

import gc


def look_seldom() -> None:
    """Every 10,000 new objects in place of 700: what imports make stays, and looking there is a tenth of a start."""
    gc.set_threshold(10_000, 50, 100)
