"""Panels of lines with bands, and dots of many combinations side by side: PNG, PDF and the CSV behind them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.experiments.statistics import Estimate
from leed_agentic.experiments.table import csv_text
from leed_agentic.roads.markers import COLOURS
from leed_agentic.runs.figures import save_figure
from leed_agentic.runs.log import read_csv

LINE, HEAD, FOOT = 0.17, 0.75, 0.95
"""Inches: of a dot's line, above and below the axes."""
LETTER = 0.075
"""Inches: of a label's letter, roughly."""
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
    drawn = [handles[label] for label in order]
    width = min(len(order), 2 * columns)
    figure.legend(drawn, order, loc="outside lower center", ncols=width, frameon=False)
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


def read_panels(file: Path) -> list[Panel]:
    """The panels behind `panels_csv`, with their lines alone. Raises KeyError and ValueError for another file."""
    points: dict[tuple[str, str, str], dict[str, list[tuple[float, ...]]]] = {}
    for row in read_csv(file):
        panel = points.setdefault((row["panel"], row["x"], row["y"]), {})
        values = [float(row[name] or "nan") for name in ("x_value", "y_value", "low", "high")]
        panel.setdefault(row["line"], []).append(tuple(values))
    found = []
    for titles, lines in points.items():
        drawn = []
        for label, dots in lines.items():
            x, y, low, high = np.array(dots).T
            band = (None, None) if np.isnan(low).any() else (low, high)
            # Only the level of somebody who learns nothing stands at no place.
            drawn.append(Line(label, x, y, reference=True) if np.isnan(x).all() else Line(label, x, y, *band))
        found.append(Panel(*titles, drawn))
    return found


# -- dots --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Column:
    """One figure of all combinations."""

    title: str
    values: Mapping[tuple[str, str], Estimate | None]
    """(combination, stage) to its figure; None or absent: nothing is drawn."""
    share: bool = False
    """Whether the figures are shares, from 0 to 1, drawn as percentages."""
    logarithmic: bool = False


def draw_dots(
    columns: Sequence[Column], rows: Sequence[str], stages: Sequence[str], title: str, stem: Path
) -> list[Path]:
    """Write `stem`.png and `stem`.pdf; combinations from top to bottom, stages in their own colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    labels = LETTER * max(map(len, rows))
    height = LINE * len(rows) * (len(stages) + 1)
    figure = Figure(figsize=(labels + 2.7 * len(columns), HEAD + height + FOOT), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axis, column in zip(axes, columns, strict=True):
        for s, stage in enumerate(stages):
            shift = (s - (len(stages) - 1) / 2) / (len(stages) + 1)
            for number, row in enumerate(rows):
                estimate = column.values.get((row, stage))
                if estimate is None:
                    continue
                scale = 100.0 if column.share else 1.0
                y = number + shift
                if estimate.low is not None and estimate.high is not None:
                    ends = [scale * estimate.low, scale * estimate.high]
                    axis.plot(ends, [y, y], color=COLOURS[s % len(COLOURS)], linewidth=1.6, alpha=0.55)
                axis.plot([scale * estimate.mean], [y], "o", markersize=5, color=COLOURS[s % len(COLOURS)])
        axis.set_title(column.title, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(axis="x", alpha=0.25)
        for number in range(1, len(rows)):
            axis.axhline(number - 0.5, color="#c3c7cd", linewidth=0.6)
        if column.share:
            axis.set_xlim(-4, 104)
        means = [e.mean for e in column.values.values() if e is not None and e.mean > 0]
        if column.logarithmic and means:
            # An interval may begin at zero, which such an axis does not have.
            axis.set_xscale("log", nonpositive="clip")
            axis.set_xlim(min(means) / 2, 2 * max(means))
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=6))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    handles = [
        axes[0].plot([], [], "o-", color=COLOURS[s % len(COLOURS)], label=stage)[0] for s, stage in enumerate(stages)
    ]
    figure.legend(handles, stages, loc="outside lower center", ncols=len(stages), frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return save_figure(figure, stem)
