"""A table that grows by a line: CSV by column name, so that a new column leaves older files readable."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import check_there, unwritable, whole_file


class CsvLog:
    """A CSV file with one line per episode or trigger, flushed line by line.

    A line may bring columns that the file does not have yet: they are added behind the others, empty in earlier lines.

    Args:
        columns: the first ones; those of a file that goes on come before them.
        keep: lines of the file to go on behind; later ones are made again.
        numbers: columns that hold a number in each of these lines.

    Raises:
        UsageError: the file has fewer whole lines, or something else than numbers in them.
        UnwritableError: the disk is full or cannot be written.
    """

    def __init__(self, file: Path, columns: Sequence[str] = (), keep: int = 0, numbers: Sequence[str] = ()) -> None:
        self.file = file
        rows = read_csv(file)[:keep] if keep else []
        if len(rows) < keep:
            raise UsageError(f"{file} does not hold the {keep} lines of the checkpoint; it was changed or cut.")
        for line, row in enumerate(rows, 2):
            if wrong := next((name for name in numbers if not _is_number(row.get(name))), None):
                raise UsageError(f"{file} holds no number under {wrong} on line {line}; it was changed or damaged.")
        self.columns = list(dict.fromkeys([*(rows[0] if rows else ()), *columns]))
        self._stream: TextIO | None = None
        self._open(rows)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a line; a column it lacks is empty."""
        new = [name for name in row if name not in self.columns]
        if new:
            self.close()
            self.columns += new
            self._open(read_csv(self.file))
        try:
            self._writer.writerow(row)
            self._file.flush()
        except OSError as error:
            raise unwritable(self.file, error) from error
        check_there(self._file, self.file)

    def close(self) -> None:
        """Raises UnwritableError when what is left cannot be written."""
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError as error:
                raise unwritable(self.file, error) from error

    @property
    def _file(self) -> TextIO:
        if self._stream is None:
            raise ValueError(f"{self.file} is closed")
        return self._stream

    def _open(self, rows: Sequence[Mapping[str, str]]) -> None:
        with whole_file(self.file) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self.columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        try:
            self._stream = self.file.open("a", newline="", encoding="utf-8")
        except OSError as error:
            raise unwritable(self.file, error) from error
        self._writer = csv.DictWriter(self._stream, self.columns, restval="", lineterminator="\n")


def _is_number(cell: str | None) -> bool:
    try:
        return math.isfinite(float(cell or "nan"))
    except ValueError:
        return False


def read_csv(file: Path) -> list[dict[str, str]]:
    """Whole lines of a CSV file, as text by column; a line that a kill cut short is left out; [] without a file.

    Raises:
        UsageError: the file cannot be read as CSV.
    """
    if not file.is_file():
        return []
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in stream if line.endswith("\n")]
        return [row for row in csv.DictReader(lines) if None not in row.values() and None not in row]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"Cannot read {file} ({error}); it was changed by something else.") from error
