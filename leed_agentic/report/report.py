"""`leed report`: a folder in, one HTML file out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.report.content import gather
from leed_agentic.report.downloads import downloads
from leed_agentic.report.folder import RunFolder
from leed_agentic.report.page import render
from leed_agentic.report.pictures import draw_pictures
from leed_agentic.report.trials import trial_table, write_pages
from leed_agentic.runs.files import whole_file

NAME = "report.html"


@dataclass
class Report:
    """What was written."""

    file: Path
    size: int
    """Bytes."""
    kind: str
    notes: list[str]
    """What the report lacks, a sentence each."""
    pictures: list[Path]


def write_report(
    run: Path,
    out: Path | None = None,
    pictures: bool = False,
    progress: Callable[[str], Any] = lambda line: None,
) -> Report:
    """Write the report of a run, an experiment or a comparison, whatever of it there is; of a comparison also a page
    in the folder of every trial.

    Args:
        out: the HTML file; report.html in the folder when None.
        pictures: also write PNG and PDF of every plot, into the folder `pictures` beside the HTML file.

    Raises:
        UsageError: the folder holds no run.
        UnwritableError: the file cannot be written.
    """
    folder = RunFolder.open(run)
    progress("reading the run")
    content = gather(folder)
    file = out or run / NAME
    content.downloads = folder.attempt(
        "What can be saved", lambda: downloads(folder, content.streets, content.network), {}
    )
    table = (
        folder.attempt("The table of trials", lambda: trial_table(folder), None)
        if folder.kind == "collection"
        else None
    )
    if table:
        content.trials = write_pages(folder, table, file, progress)
    progress(f"writing {file}")
    # A reply may hold half a surrogate pair, which UTF-8 cannot.
    page = render(content).encode("utf-8", "replace")
    with whole_file(file) as partial:
        partial.write_bytes(page)
    drawn = draw_pictures(content, file.parent / "pictures", progress) if pictures else []
    return Report(file, len(page), folder.kind, folder.notes, drawn)
