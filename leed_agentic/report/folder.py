"""A run folder as it is found: finished, killed half-way, or of an older version; what is missing is noted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from leed_agentic.errors import LeedError, UsageError
from leed_agentic.runs.folder import check_links
from leed_agentic.runs.log import read_csv

T = TypeVar("T")
Kind = Literal["demonstrations", "training", "collection"]

_TRACES: dict[str, Kind] = {
    "run.json": "training",
    "demonstrations.json": "demonstrations",
    "manifest.json": "collection",
    "table.md": "collection",
    "table.csv": "collection",
    "metrics.csv": "training",
    "settings.json": "demonstrations",
    "calls.jsonl": "demonstrations",
}
"""Files by which a folder is known, in the order of asking: a killed run may have only the last ones."""


@dataclass
class RunFolder:
    """Reads what is there; whatever is missing or damaged becomes a sentence in `notes`, never an error."""

    path: Path
    kind: Kind
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Raises UsageError when nothing in the folder was written by a run, or a link in it leaves it."""
        if not path.is_dir():
            raise UsageError(f"There is no folder {path}; give one that `leed demo generate` or `leed train` made.")
        check_links(path)
        for name, kind in _TRACES.items():
            if (path / name).is_file():
                return cls(path, kind)
        raise UsageError(
            f"{path} is not a run: it holds none of run.json, demonstrations.json and manifest.json; give a folder of "
            "`leed demo generate`, `leed demo compare`, `leed train` or `leed experiment run`."
        )

    def note(self, sentence: str) -> None:
        """Say once what the report lacks."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def attempt(self, what: str, make: Callable[[], T], instead: T) -> T:
        """What `make` gives; when a file's content is not what it should be, a note and `instead`."""
        try:
            return make()
        except (LeedError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            self.note(f"{what} cannot be shown, because a file is damaged ({type(error).__name__}: {reason}).")
            return instead

    def json(self, name: str, lack: str | None = None) -> dict[str, Any]:
        """A file's JSON object; empty when it is missing or damaged.

        Args:
            lack: what the report lacks without the file; None when its absence is no news.
        """
        file = self.path / name
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if lack:
                self.note(f"{name} is missing: {lack}.")
            return {}
        except (OSError, ValueError, RecursionError) as error:
            self.note(f"{name} cannot be read ({type(error).__name__}); what it holds is left out.")
            return {}
        if not isinstance(data, dict):
            self.note(f"{name} is not a JSON object; what it holds is left out.")
            return {}
        return data

    def table(self, name: str) -> list[dict[str, str]]:
        """Whole rows of a CSV file, as text by column; none when it is missing or damaged."""
        try:
            return read_csv(self.path / name)
        except (OSError, ValueError, UsageError) as error:
            self.note(f"{name} cannot be read ({type(error).__name__}); what it holds is left out.")
            return []
