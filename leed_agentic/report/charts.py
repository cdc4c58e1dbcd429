"""The learning curves of a run, and the figures behind a picture of an experiment, as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leed_agentic.experiments.picture import Line, Panel
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


CURVES: tuple[tuple[str, str, str, Mapping[str, str], str | None], ...] = (
    (
        "reward",
        "Reward",
        "reward per episode",
        {"reward_mean": "mean", "expert_reward_mean": "demonstrations"},
        "reward",
    ),
    ("arrival", "Arrival rate", "share of agents that arrived", {"arrival_rate": "mean"}, None),
    ("alpha", "Alpha: weight of own experience", "alpha", {"alpha_mean": "mean"}, "alpha"),
    ("dtw", "Distance to the demonstrations", "DTW distance, metres", {"dtw_mean": "mean"}, None),
    (
        "policy_loss",
        "Policy loss",
        "loss",
        {"policy_loss_agent": "own experience", "policy_loss_expert": "demonstrations"},
        None,
    ),
    (
        "value_loss",
        "Value loss",
        "loss",
        {"value_loss_agent": "own experience", "value_loss_expert": "demonstrations"},
        None,
    ),
    ("td_loss", "Temporal-difference loss", "loss", {"td_loss": "mean"}, None),
    ("expert", "Probability of the demonstrated action", "probability", {"expert_probability": "mean"}, None),
    ("entropy", "Entropy of the policies", "nats", {"entropy": "mean"}, None),
    ("travel", "Travel time of those who arrived", "seconds", {"travel_seconds_mean": "mean"}, None),
)
"""Key, title, label of the figures, columns of metrics.csv with their names, and the stem of the per-agent columns."""
SHARES = {"arrival", "alpha", "expert"}
REFERENCES = {"expert_reward_mean"}


def curves(rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Charts of a run's metrics; those that nothing was measured for are left out."""
    if not rows:
        return []
    episodes = column(rows, "episode")
    charts = []
    for key, title, label, names, stem in CURVES:
        lines = [
            Line(name, episodes, figures, reference=source in REFERENCES)
            for source, name in names.items()
            if source in rows[0] and np.isfinite(figures := column(rows, source)).any()
        ]
        if not lines:
            continue
        agents: list[Line] = []
        while stem and f"{stem}_{len(agents)}" in rows[0]:
            agents.append(Line(f"agent {len(agents)}", episodes, column(rows, f"{stem}_{len(agents)}")))
        if not any(np.isfinite(line.y).any() for line in agents):
            agents = []
        few = len(episodes) < FEW
        panel = Panel(title, "episode", label, lines, share=key in SHARES, points=few)
        charts.append(Chart(key, panel, agents, smooth=not few))
    return charts


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
        ("round_ratio", "Travel time over rounds", "times the fastest path", {"travel_time_ratio": "driven routes"}),
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
