"""Where the commands write: results to stdout, progress and complaints to stderr."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON object on stdout, plain, whatever the terminal."""
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def complain(sentence: str) -> None:
    """One sentence on stderr; text from outside (paths, replies) is never read as markup."""
    err.print("Error: ", style="bold red", end="")
    err.print(sentence, markup=False, highlight=False)
