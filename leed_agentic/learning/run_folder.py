"""What a training run leaves behind: settings, versions, metrics, timing, demonstrations, trajectories, checkpoints."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from leed_agentic.errors import UnwritableError, UsageError
from leed_agentic.settings import Settings
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.versions import package_versions

FORMAT = "leed-run"
FORMAT_VERSION = 1


class CsvLog:
    """A CSV file with one line per episode or trigger, flushed line by line."""

    def __init__(self, file: Path, columns: Sequence[str], keep: int) -> None:
        """Go on behind the first `keep` lines of what is there already.

        Raises:
            UsageError: the file has fewer whole lines, or other columns.
            UnwritableError: the disk is full or cannot be written.
        """
        self.file, self.columns = file, list(columns)
        rows = read_csv(file)[:keep] if keep else []
        if len(rows) < keep or (rows and list(rows[0]) != self.columns):
            raise UsageError(f"{file} does not hold the {keep} lines of the checkpoint; it was changed or cut.")
        with whole_file(file) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._stream = file.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._stream, self.columns, lineterminator="\n")

    def write(self, row: Mapping[str, Any]) -> None:
        try:
            self._writer.writerow({c: row.get(c, "") for c in self.columns})
            self._stream.flush()
        except OSError as error:
            raise _unwritable(self.file, error) from error

    def close(self) -> None:
        try:
            self._stream.close()
        except OSError as error:
            raise _unwritable(self.file, error) from error


def read_csv(file: Path) -> list[dict[str, str]]:
    """Whole lines of a CSV file, as text by column; a line that a kill cut short is left out."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        lines = [line for line in stream if line.endswith("\n")]
    return [row for row in csv.DictReader(lines) if None not in row.values() and None not in row]


def write_run_file(folder: Path, settings: Settings, scenario: Scenario) -> None:
    """run.json: the resolved settings, the scenario and the versions of what decides the numbers."""
    data = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "settings": settings.for_file(),
        "scenario": scenario.to_json(),
        "versions": package_versions(),
    }
    write_text(folder / "run.json", json.dumps(data, indent=1) + "\n")


def read_run_file(folder: Path) -> tuple[Settings, Scenario]:
    """Settings and scenario of a training run. Raises UsageError when the folder is not one."""
    file = folder / "run.json"
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; give one that `leed train` made.")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
            raise UsageError(f"{file} is not of format {FORMAT} {FORMAT_VERSION}; give a folder of `leed train`.")
        return Settings.model_validate(data["settings"]), Scenario.from_json(data["scenario"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise UsageError(
            f"{folder} is not a training run ({file.name}: {reason}); give one of `leed train`."
        ) from error


def read_versions(folder: Path) -> dict[str, str]:
    """Versions of what decided the numbers of a training run; `read_run_file` says whether it is one."""
    return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")).get("versions", {}))


def write_text(file: Path, text: str) -> None:
    """Under a temporary name, then renamed. Raises UnwritableError when the disk is full or cannot be written."""
    with whole_file(file) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A temporary name to write under, renamed at the end, so that nobody ever finds half a file.

    Raises:
        UnwritableError: the disk is full or cannot be written; what `file` held before is still there.
    """
    partial = file.with_name(file.name + ".partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> UnwritableError:
    return UnwritableError(
        f"Cannot write {file} ({error.strerror or error}); free some space, then go on with `leed train --resume` and "
        "the run's folder."
    )
