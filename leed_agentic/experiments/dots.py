"""Figures of many combinations side by side: a line for each, a dot with its interval for each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leed_agentic.experiments.statistics import Estimate
from leed_agentic.roads.picture import COLOURS
from leed_agentic.runs.figures import save_figure

LINE, HEAD, FOOT = 0.17, 0.75, 0.95
"""Inches: of a dot's line, above and below the axes."""
LETTER = 0.075
"""Inches: of a label's letter, roughly."""


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
