"""The figures of a comparison: a row for each combination and number of refinements, as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leed_agentic.experiments.comparison import AXES, Combination, Comparison
from leed_agentic.experiments.picture import csv_text
from leed_agentic.experiments.statistics import Estimate, mean_and_interval, share_and_interval
from leed_agentic.models.providers import STAND_IN
from leed_agentic.models.usage import price_of
from leed_agentic.settings import ModelSettings

Found = Mapping[tuple[str, int], Mapping[str, Any]]
"""(folder, seed) of a trial that is done to what it found."""


@dataclass(frozen=True)
class Figure:
    """How one figure is named and written."""

    title: str
    digits: int
    share: bool = False
    every: bool = False
    """Unknown as soon as one trial does not have it; else the mean is over the trials that have it."""
    signed: bool = False
    """Whether it may be below zero; else its interval ends there."""


FIGURES = {
    "validity_before": Figure("valid at first", 0, share=True),
    "validity": Figure("valid", 0, share=True),
    "validity_reply": Figure("valid in the last reply", 0, share=True),
    "travel_time_ratio": Figure("time ratio", 2),
    "reward": Figure("reward", 1, signed=True),
    "arrival_rate": Figure("arrived", 0, share=True),
    "dtw": Figure("DTW to the agents, m", 0),
    "calls": Figure("calls", 1, every=True),
    "input_tokens": Figure("tokens in", 0, every=True),
    "output_tokens": Figure("tokens out", 0, every=True),
    "cost": Figure("cost", 4, every=True),
    "seconds": Figure("seconds", 1, every=True),
}

SHORT = {
    **{"validity": "valid", "travel_time_ratio": "time", "reward": "reward", "dtw": "DTW", "calls": "calls"},
    **{"input_tokens": "tokens in", "output_tokens": "out", "cost": "cost", "seconds": "s"},
}
"""Figures that fit on a terminal, and how they are headed there."""


@dataclass(frozen=True)
class Row:
    """One combination after so many refinements."""

    combination: Combination
    rounds: int
    trials: int
    """That are done."""
    figures: Mapping[str, Estimate | None]
    """Mean over trials with its 95 % interval; None: unknown."""
    errors: Mapping[str, float]
    """Kind of finding to its mean number per trial, in all plans so far."""

    def label(self, axes: Sequence[str]) -> str:
        """The combination by the names of its values on these axes."""
        return ", ".join(self.combination.labels[axis] for axis in axes)

    def as_json(self) -> dict[str, Any]:
        figures = {name: None if e is None else vars(e) for name, e in self.figures.items()}
        errors = dict(self.errors)
        return {**self.combination.labels, "rounds": self.rounds, "trials": self.trials, **figures, "errors": errors}


def rows_of(comparison: Comparison, found: Found) -> list[Row]:
    """A row for every combination with at least one trial done, and every number of refinements."""
    rows = []
    for combination in comparison.combinations:
        folders = [(comparison.task(combination, seed).folder, seed) for seed in comparison.seeds]
        members = [found[where] for where in folders if where in found]
        for number, rounds in enumerate(comparison.rounds if members else ()):
            stages = [_with_cost(member["stages"][number], combination.settings.model) for member in members]
            figures = {name: _estimate([s[name] for s in stages], figure) for name, figure in FIGURES.items()}
            kinds = sorted({kind for stage in stages for kind in stage["errors"]})
            errors = {kind: float(np.mean([s["errors"].get(kind, 0) for s in stages])) for kind in kinds}
            rows.append(Row(combination, rounds, len(members), figures, errors))
    return rows


def varied(comparison: Comparison) -> list[str]:
    """The axes on which there is something to compare; the model always."""
    return [a for a in AXES if a == "model" or len({c.labels[a] for c in comparison.combinations}) > 1]


def table(comparison: Comparison, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells for people, intervals in brackets."""
    axes, names = varied(comparison), list(SHORT)
    if not comparison.policies:
        names.remove("dtw")
    if comparison.rounds[0] > 0:
        names.insert(0, "validity_before")
    header = [*axes, "refinements", "trials", *(FIGURES[name].title for name in names), "errors per trial"]
    lines = []
    for row in rows:
        trials = f"{row.trials} of {len(comparison.seeds)}" if row.trials < len(comparison.seeds) else str(row.trials)
        cells = [*(row.combination.labels[axis] for axis in axes), str(row.rounds), trials]
        cells += [cell(name, row.figures[name]) for name in names]
        lines.append([*cells, ", ".join(f"{kind} {count:.1f}" for kind, count in row.errors.items()) or "none"])
    return header, lines


def markdown(comparison: Comparison, rows: Sequence[Row], failed: Mapping[str, str], problems: Sequence[str]) -> str:
    """The table to paste, with what one must know to read it."""
    header, lines = table(comparison, rows)
    same = [a for a in AXES if a not in varied(comparison)]
    first = comparison.combinations[0].labels
    seeds = list(comparison.seeds)
    text = [
        f"Every trial is a scenario, the same for all: {len(seeds)} from seed {seeds[0]} on. "
        + "; ".join(f"{axis} {first[axis]}" for axis in same)
        + ". Mean over trials [95 % interval]. A route that could not be read or driven is not valid. Time ratio (to "
        "the path of least free-flow time driven alone; lights may favour another: it can be below 1) and reward: of "
        "the valid routes. Calls, tokens, cost, seconds of the model and errors: per trial, up to there.",
        "",
        f"| {' | '.join(header)} |",
        "|---" * len(header) + "|",
        *(f"| {' | '.join(map(_in_a_cell, line))} |" for line in lines),
    ]
    if any(combination.settings.model.name == STAND_IN for combination in comparison.combinations):
        text += ["", "Stand-in: no LLM was called."]
    if problems:
        text += ["", "Trials that the model or a cap ended early; they count with what they had:", ""]
        text += [f"- {line}" for line in problems]
    if failed:
        text += ["", "Trials that failed and do not count:", ""]
        text += [f"- {where}: {why}" for where, why in failed.items()]
    return "\n".join(text) + "\n"


def table_csv(comparison: Comparison, rows: Sequence[Row]) -> str:
    """Every figure of every row, with its interval; empty where there is none."""
    kinds = sorted({kind for row in rows for kind in row.errors})
    ends = [f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")]
    lines = [[*AXES, "rounds", "trials", "trials_wanted", *ends, *(f"errors_{kind}" for kind in kinds)]]
    for row in rows:
        cells = [row.combination.labels[axis] for axis in AXES]
        cells += [str(row.rounds), str(row.trials), str(len(comparison.seeds))]
        for name in FIGURES:
            e = row.figures[name]
            cells += [_number(value) for value in ((e.mean, e.low, e.high) if e else (None,) * 3)]
        lines.append([*cells, *(_number(row.errors.get(kind, 0.0)) for kind in kinds)])
    return csv_text(lines)


def trials_csv(comparison: Comparison, found: Found) -> str:
    """Every trial after every number of refinements."""
    lines = [[*AXES, "seed", "rounds", *FIGURES, "errors", "problem"]]
    for combination in comparison.combinations:
        for seed in comparison.seeds:
            member = found.get((comparison.task(combination, seed).folder, seed))
            for stage in member["stages"] if member else ():
                figures = _with_cost(stage, combination.settings.model)
                cells = [combination.labels[axis] for axis in AXES] + [str(seed), str(stage["rounds"])]
                cells += [_number(figures[name]) for name in FIGURES]
                errors = " ".join(f"{kind}:{count}" for kind, count in stage["errors"].items())
                lines.append([*cells, errors, member["problem"] or "" if member else ""])
    return csv_text(lines)


def _with_cost(stage: Mapping[str, Any], model: ModelSettings) -> dict[str, Any]:
    tokens = stage["input_tokens"], stage["output_tokens"]
    return {**stage, "cost": None if None in tokens else price_of(*tokens, model)}


def _estimate(values: Sequence[float | None], figure: Figure) -> Estimate | None:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if len(known) == 0 or (figure.every and len(known) < len(values)):
        return None
    if figure.share:
        return share_and_interval(known)
    found = mean_and_interval(known)
    return found if figure.signed or found.low is None else replace(found, low=max(found.low, 0.0))


def cell(name: str, estimate: Estimate | None) -> str:
    """A figure as people read it."""
    figure = FIGURES[name]
    if estimate is None:
        return "unknown" if figure.every else "-"
    scale, sign = (100.0, " %") if figure.share else (1.0, "")
    text = f"{scale * estimate.mean:.{figure.digits}f}{sign}"
    if estimate.low is not None and estimate.high is not None:
        text += f" [{scale * estimate.low:.{figure.digits}f}, {scale * estimate.high:.{figure.digits}f}]"
    return text


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
