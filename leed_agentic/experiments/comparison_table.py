"""The figures of a comparison: a row for each combination and number of refinements, as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leed_agentic.experiments.comparison import AXES, Combination, Comparison
from leed_agentic.experiments.statistics import Estimate
from leed_agentic.experiments.table import (
    INTERVALS,
    Figure,
    cells,
    csv_text,
    figures_json,
    heads,
    markdown_table,
    number,
)
from leed_agentic.models.providers import STAND_IN
from leed_agentic.models.usage import price_of
from leed_agentic.settings import ModelSettings

Trials = Mapping[tuple[str, int], Mapping[str, Any]]
"""(folder, seed) of a trial that is done to what it came to."""

FIGURES = {
    "validity_before": Figure("valid at first", 0, "share"),
    "validity": Figure("valid", 0, "share"),
    "validity_reply": Figure("valid in the last reply", 0, "share"),
    "travel_time_ratio": Figure("time ratio", 2, signed=False),
    "reward": Figure("reward"),
    "arrival_rate": Figure("arrived", 0, "share"),
    "dtw": Figure("DTW to the agents, m", 0, signed=False),
    "calls": Figure("calls", every=True, signed=False),
    "input_tokens": Figure("tokens in", 0, every=True, signed=False),
    "output_tokens": Figure("tokens out", 0, every=True, signed=False),
    "cost": Figure("cost", 4, every=True, signed=False),
    "seconds": Figure("seconds", every=True, signed=False),
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
        head = {**self.combination.labels, "rounds": self.rounds, "trials": self.trials}
        return {**head, **figures_json(self.figures), "errors": dict(self.errors)}


def rows_of(comparison: Comparison, trials: Trials) -> list[Row]:
    """A row for every combination with at least one trial done, and every number of refinements."""
    rows = []
    for combination in comparison.combinations:
        folders = [(comparison.task(combination, seed).folder, seed) for seed in comparison.seeds]
        members = [trials[where] for where in folders if where in trials]
        for k, rounds in enumerate(comparison.rounds if members else ()):
            stages = [_with_cost(member["stages"][k], combination.settings.model) for member in members]
            figures = {name: figure.estimate(s[name] for s in stages) for name, figure in FIGURES.items()}
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
        count = f"{row.trials} of {len(comparison.seeds)}" if row.trials < len(comparison.seeds) else str(row.trials)
        texts = [*(row.combination.labels[axis] for axis in axes), str(row.rounds), count]
        texts += [FIGURES[name].cell(row.figures[name]) for name in names]
        lines.append([*texts, ", ".join(f"{kind} {count:.1f}" for kind, count in row.errors.items()) or "none"])
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
        + f". Mean over trials [{INTERVALS}]. A route that could not be read or driven is not valid. Time ratio (to "
        "the path of least free-flow time driven alone; lights may favour another: it can be below 1) and reward: of "
        "the valid routes. Calls, tokens, cost, seconds of the model and errors: per trial, up to there.",
        "",
        *markdown_table(header, lines),
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
    lines = [[*AXES, "rounds", "trials", "trials_wanted", *heads(FIGURES), *(f"errors_{kind}" for kind in kinds)]]
    for row in rows:
        head = [*(row.combination.labels[axis] for axis in AXES), str(row.rounds), str(row.trials)]
        errors = [number(row.errors.get(kind, 0.0)) for kind in kinds]
        lines.append([*head, str(len(comparison.seeds)), *cells(row.figures[name] for name in FIGURES), *errors])
    return csv_text(lines)


def trials_csv(comparison: Comparison, trials: Trials) -> str:
    """Every trial after every number of refinements."""
    lines = [[*AXES, "seed", "rounds", *FIGURES, "errors", "problem"]]
    for combination in comparison.combinations:
        for seed in comparison.seeds:
            member = trials.get((comparison.task(combination, seed).folder, seed))
            for stage in member["stages"] if member else ():
                figures = _with_cost(stage, combination.settings.model)
                texts = [combination.labels[axis] for axis in AXES] + [str(seed), str(stage["rounds"])]
                texts += [number(figures[name]) for name in FIGURES]
                errors = " ".join(f"{kind}:{count}" for kind, count in stage["errors"].items())
                lines.append([*texts, errors, member["problem"] or "" if member else ""])
    return csv_text(lines)


def _with_cost(stage: Mapping[str, Any], model: ModelSettings) -> dict[str, Any]:
    tokens = stage["input_tokens"], stage["output_tokens"]
    return {**stage, "cost": None if None in tokens else price_of(*tokens, model)}
