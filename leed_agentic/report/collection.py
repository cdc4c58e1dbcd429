"""The tables and pictures of an experiment or a comparison: any folder with a manifest, tables and pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leed_agentic.experiments.picture import Line, Panel
from leed_agentic.report.charts import FEW, Chart, column
from leed_agentic.report.folder import RunFolder

MAX_PICTURES = 3_000_000
MAX_ROWS = 500
CURVES = {
    "reward_mean": ("Reward", "reward per episode"),
    "arrival_rate": ("Arrival rate", "share of agents that arrived"),
    "alpha_mean": ("Alpha", "alpha"),
    "expert_probability": ("Probability of the demonstrated action", "probability"),
    "expert_advantage": ("Size of the demonstrations' advantage", "advantage"),
}
_ELSEWHERE = ("trials.csv", "verdicts.csv")
"""Tables that the report shows in their own way."""
_SHARES = {"arrival_rate", "alpha_mean", "expert_probability"}


@dataclass
class Picture:
    """A PNG of the folder, as a data address."""

    name: str
    source: str


@dataclass
class Table:
    """A CSV of the folder that no Markdown table shows."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    left_out: int


def tables_html(folder: RunFolder) -> str:
    """The folder's Markdown tables as HTML. Raw HTML, links and images in them stay text."""
    from markdown_it import MarkdownIt

    reader = (
        MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink", "html_inline"])
    )
    parts = []
    for file in sorted(folder.path.glob("*.md")):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
            # The verdicts that a comparison's table begins with stand at the top of the report.
            tokens = reader.parse(re.sub(r"\A(?:- .*\n)+\n", "", text))
        except OSError as error:
            folder.note(f"{file.name} cannot be read ({error.strerror}).")
            continue
        for token in tokens:
            if token.type.startswith("heading_"):
                # Below the report's own headings.
                token.tag = f"h{min(int(token.tag[1:]) + 2, 6)}"
        parts.append(reader.renderer.render(tokens, reader.options, {}))
    return "".join(parts)


def tables(folder: RunFolder) -> list[Table]:
    """CSV files that are neither curves nor the figures of a picture, nor shown by a Markdown file of the same name."""
    found = []
    for file in sorted(folder.path.glob("*.csv")):
        if (
            file.name in ("figure.csv", *_ELSEWHERE)
            or file.name.startswith("curves_")
            or file.with_suffix(".md").is_file()
        ):
            continue
        rows = folder.table(file.name)
        if rows:
            columns = list(rows[0])
            cells = [[row[c] or "" for c in columns] for row in rows[:MAX_ROWS]]
            found.append(Table(file.name, columns, cells, max(0, len(rows) - MAX_ROWS)))
    return found


def collection_charts(folder: RunFolder) -> list[Chart]:
    """figure.csv and curves_MAP.csv as charts."""
    charts = _figure(folder.table("figure.csv"))
    for file in sorted(folder.path.glob("curves_*.csv")):
        charts += _curves(file.stem.removeprefix("curves_"), folder.table(file.name))
    return charts


def _figure(rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    charts = []
    for number, panel in enumerate(dict.fromkeys((r.get("panel", ""), r.get("x", ""), r.get("y", "")) for r in rows)):
        mine = [r for r in rows if (r.get("panel", ""), r.get("x", ""), r.get("y", "")) == panel]
        lines = []
        for name in dict.fromkeys(r.get("line", "") for r in mine):
            points = [r for r in mine if r.get("line", "") == name]
            x, y, low, high = (column(points, c) for c in ("x_value", "y_value", "low", "high"))
            known = bool(np.isfinite(low).any())
            lines.append(Line(name, x, y, low if known else None, high if known else None, len(points) == 1))
        few = max((len(line.x) for line in lines), default=0) < FEW
        charts.append(Chart(f"figure_{number}", Panel(panel[0] or "Figure", panel[1], panel[2], lines, points=few)))
    return charts


def _curves(place: str, rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    charts = []
    arms = {arm: [r for r in rows if r.get("arm", "") == arm] for arm in dict.fromkeys(r.get("arm", "") for r in rows)}
    for source, (title, label) in CURVES.items():
        lines = []
        for arm, mine in arms.items():
            figures = column(mine, source)
            if not np.isfinite(figures).any():
                continue
            low, high = column(mine, "reward_low"), column(mine, "reward_high")
            banded = source == "reward_mean" and np.isfinite(low).any()
            lines.append(Line(arm, column(mine, "episode"), figures, *((low, high) if banded else (None, None))))
        if lines:
            panel = Panel(f"{title}: {place}", "episode", label, lines, share=source in _SHARES)
            charts.append(Chart(f"{source}_{place}", panel, smooth=True))
    return charts


def pictures(folder: RunFolder) -> list[Picture]:
    """PNG files whose figures are not already drawn as charts, as long as they do not make the report large."""
    shown: list[Picture] = []
    room = MAX_PICTURES
    for file in sorted(folder.path.glob("*.png")):
        if _drawn(file):
            continue
        data = file.read_bytes()
        room -= len(data)
        if room < 0:
            folder.note(
                f"{file.name} and later pictures are left out to keep the report small; they are in the folder."
            )
            break
        shown.append(Picture(file.name, "data:image/png;base64," + base64.b64encode(data).decode("ascii")))
    return shown


def _drawn(file: Path) -> bool:
    stem = file.stem.replace("inside_", "curves_", 1) if file.stem.startswith("inside_") else file.stem
    return (stem == "figure" or stem.startswith("curves_")) and file.with_name(f"{stem}.csv").is_file()
