"""Panels of lines with bands, as PNG, PDF and the CSV behind them."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.roads.picture import COLOURS
from leed_agentic.runs.figures import save_figure

DASHES = ((0, (1, 1)), (0, (5, 2)), (0, (5, 1, 1, 1)), (0, (9, 3)), (0, (3, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Line:
    """One arm's or one reference driver's figures."""

    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    """None: no interval (a single run)."""
    high: np.ndarray | None = None
    reference: bool = False
    """Somebody who learns nothing: dashed and grey; a single point is drawn across the panel."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    share: bool = False
    """Whether the figures are shares, from 0 to 1."""
    points: bool = False
    """Whether the figures stand at a few places: marked, with error bars in place of bands."""
    ticks: Sequence[float] = field(default_factory=tuple)


def draw(panels: Sequence[Panel], title: str, stem: Path, columns: int) -> list[Path]:
    """Write `stem`.png and `stem`.pdf; arms keep their colour from panel to panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    arms = list(dict.fromkeys(line.label for p in panels for line in p.lines if not line.reference))
    fixed = list(dict.fromkeys(line.label for p in panels for line in p.lines if line.reference))
    rows, heading = -(-len(panels) // columns), textwrap.fill(title, 65 * columns)
    # Title and legend take their lines from no panel.
    lines = heading.count("\n") + -(-(len(arms) + len(fixed)) // (2 * columns))
    figure = Figure(figsize=(5 * columns, 3.6 * rows + 0.2 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Any] = {}
    for axis, panel in zip(axes, panels, strict=False):
        for line in panel.lines:
            if line.reference:
                style: dict[str, Any] = {"color": "#6b7178", "linestyle": DASHES[fixed.index(line.label) % len(DASHES)]}
            else:
                style = {"color": COLOURS[arms.index(line.label) % len(COLOURS)]}
            handles.setdefault(line.label, _draw_line(axis, panel, line, style))
        axis.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
        axis.grid(alpha=0.25)
        axis.ticklabel_format(useOffset=False)
        if panel.share:
            axis.set_ylim(0, 1.02)
        if len(panel.ticks):
            axis.set_xticks(panel.ticks)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    order = [label for label in (*arms, *fixed) if label in handles]
    shown = [handles[label] for label in order]
    width = min(len(order), 2 * columns)
    figure.legend(shown, order, loc="outside lower center", ncols=width, frameon=False)
    figure.suptitle(heading, fontsize=10)
    return save_figure(figure, stem)


def _draw_line(axis: Any, panel: Panel, line: Line, style: dict[str, Any]) -> Any:
    if line.reference and len(line.x) < 2:
        return axis.axhline(line.y[0], linewidth=1.1, **style)
    if line.low is not None and line.high is not None:
        if panel.points:
            # The interquartile mean may lie a rounding error outside its interval.
            spread = np.maximum([line.y - line.low, line.high - line.y], 0.0)
            return axis.errorbar(line.x, line.y, yerr=spread, marker="o", capsize=3, linewidth=1.4, **style)
        axis.fill_between(line.x, line.low, line.high, alpha=0.15, linewidth=0, **style)
    marker = "o" if panel.points and not line.reference else None
    return axis.plot(line.x, line.y, marker=marker, linewidth=1.1 if line.reference else 1.6, **style)[0]


def panels_csv(panels: Sequence[Panel]) -> str:
    """Every line of every panel, point by point; empty cells where there is no interval."""
    lines: list[list[str]] = [["panel", "x", "y", "line", "x_value", "y_value", "low", "high"]]
    for panel in panels:
        for line in panel.lines:
            for k in range(len(line.x)):
                band = [None if bound is None else bound[k] for bound in (line.low, line.high)]
                cells = ["" if v is None or np.isnan(v) else f"{v:.6g}" for v in (line.x[k], line.y[k], *band)]
                lines.append([panel.title, panel.x_label, panel.y_label, line.label, *cells])
    return csv_text(lines)


def csv_text(lines: Sequence[Sequence[str]]) -> str:
    """Rows as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()
