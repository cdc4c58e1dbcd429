"""Matplotlib figures as files: the same figure gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leed_agentic.runs.files import whole_file


def save_figure(figure: Any, stem: Path) -> list[Path]:
    """`stem`.png and `stem`.pdf. Raises UnwritableError when they cannot be written."""
    files = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "pdf")]
    # Without a date the same figures give the same file.
    for file, metadata in zip(files, (None, {"CreationDate": None}), strict=True):
        with whole_file(file) as partial:
            figure.savefig(partial, dpi=110, metadata=metadata)
    return files
