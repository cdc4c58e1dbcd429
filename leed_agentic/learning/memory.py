"""How much memory the machine has left."""

from __future__ import annotations

import re
from pathlib import Path

_LEFT = re.compile(r"^MemAvailable:\s*(\d+) kB$", re.MULTILINE)


def available_memory() -> int | None:
    """Bytes that programs can still take, caches that give way included; None where the system does not say."""
    try:
        said = _LEFT.search(Path("/proc/meminfo").read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    return 1024 * int(said[1]) if said else None
