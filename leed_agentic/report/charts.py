"""The learning curves of a run, and the figures behind a picture of an experiment, as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from leed_agentic.experiments.picture import Line, Panel
from leed_agentic.learning.metrics import METRICS, Metric
from leed_agentic.traffic.demonstration import Round

DIGITS = 5
FEW = 12
"""Points below this are drawn as such: a line through one or two looks like a fault."""


@dataclass(frozen=True)
class Chart:
    """One pair of axes with its name; `agents` are the lines shown on request."""

    key: str
    panel: Panel
    agents: Sequence[Line] = field(default_factory=tuple)
    smooth: bool = False
    """Whether it is one figure per episode, which the reader may smooth."""


def curves(rows: Sequence[Mapping[str, str]], more: Sequence[Metric] = ()) -> list[Chart]:
    """Charts of a run's metrics; those that nothing was measured for are left out.

    Args:
        more: metrics of the run's own algorithm.
    """
    if not rows:
        return []
    episodes = column(rows, "episode")
    few = len(episodes) < FEW
    charts = []
    for key, group in groupby(sorted((m for m in (*METRICS, *more) if m.chart), key=_place), key=lambda m: m.chart):
        metrics = list(group)
        lines = [
            Line(m.line, episodes, figures, reference=m.reference)
            for m in metrics
            if m.name in rows[0] and np.isfinite(figures := column(rows, m.name)).any()
        ]
        if not lines:
            continue
        first, agents = metrics[0], list[Line]()
        while first.per_agent and f"{first.per_agent}_{len(agents)}" in rows[0]:
            figures = column(rows, f"{first.per_agent}_{len(agents)}")
            agents.append(Line(f"agent {len(agents)}", episodes, figures))
        if not any(np.isfinite(line.y).any() for line in agents):
            agents = []
        panel = Panel(first.label, "episode", first.unit, lines, share=first.share, points=few)
        charts.append(Chart(key, panel, agents, smooth=not few))
    return charts


def _place(metric: Metric) -> int:
    """Charts in the order of the table, whatever stands between two metrics of one chart."""
    order = list(dict.fromkeys(m.chart for m in METRICS))
    return order.index(metric.chart) if metric.chart in order else len(order)


def trigger_charts(rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """What the questions to the source gave, from triggers.csv."""
    valid = [row for row in rows if row.get("validity")]
    if not valid:
        return []
    line = Line("of the routes asked for", column(valid, "episode"), column(valid, "validity"))
    panel = Panel("Valid routes in the model's replies", "episode", "share valid", [line], share=True, points=True)
    return [Chart("validity", panel)]


def round_charts(rounds: Sequence[Round]) -> list[Chart]:
    """Reward and validity over the rounds of refinement of a run without training."""
    if len(rounds) < 2:
        return []
    numbers = np.array([float(r.round) for r in rounds])
    charts = []
    for key, title, label, names in (
        ("round_reward", "Reward over rounds", "mean reward", {"reward_mean": "driven routes"}),
        ("round_ratio", "Travel time over rounds", "of shortest path", {"travel_time_ratio": "driven routes"}),
        (
            "round_validity",
            "Valid routes over rounds",
            "share valid",
            {"validity_reply": "of this reply", "validity": "of all agents"},
        ),
    ):
        lines = []
        for source, name in names.items():
            figures = np.array([np.nan if (v := getattr(r, source)) is None else v for r in rounds])
            if np.isfinite(figures).any():
                lines.append(Line(name, numbers, figures))
        if lines:
            panel = Panel(title, "round", label, lines, share=key == "round_validity", points=True)
            charts.append(Chart(key, panel))
    return charts


def column(rows: Sequence[Mapping[str, str]], name: str) -> np.ndarray:
    """A column as numbers, shape (rows,); NaN where a cell is empty or no number."""
    return np.array([_number(row.get(name, "")) for row in rows], dtype=np.float64)


def chart_data(chart: Chart) -> dict[str, Any]:
    """The chart as JSON for the page."""
    panel = chart.panel
    return {
        "key": chart.key,
        "title": panel.title,
        "x": panel.x_label,
        "y": panel.y_label,
        "share": panel.share,
        "points": panel.points,
        "smooth": chart.smooth,
        "lines": [_line_data(line) for line in panel.lines],
        "agents": [_line_data(line) for line in chart.agents],
    }


def _line_data(line: Line) -> dict[str, Any]:
    data: dict[str, Any] = {"name": line.label, "x": _short(line.x), "y": _short(line.y)}
    if line.low is not None and line.high is not None:
        data |= {"low": _short(line.low), "high": _short(line.high)}
    if line.reference:
        data["reference"] = True
    return data


def _short(values: np.ndarray) -> list[float | int | None]:
    """Rounded to what a picture can show: half the size of the file."""
    return [_digits(float(v)) if math.isfinite(v) else None for v in values]


def _digits(value: float) -> float | int:
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
