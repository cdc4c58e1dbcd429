"""The figures of a comparison: a row for each combination and number of refinements, as Markdown and CSV.

A scenario is the unit: its samples are averaged before anything is estimated, so that more samples make no figure look
more certain than the scenarios are.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leed_agentic.comparing.comparison import AXES, Combination, Comparison
from leed_agentic.comparing.verdict import Scenarios
from leed_agentic.experiments.statistics import Estimate, share_and_interval
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
from leed_agentic.setting_groups import ModelSettings

Trials = Mapping[tuple[str, int], Mapping[str, Any]]
"""(folder, seed) of a trial that is done to what it came to."""

FIGURES = {
    "validity_before": Figure("valid at first", 0, "share"),
    "validity": Figure("valid", 0, "share"),
    "validity_reply": Figure("valid in the last reply", 0, "share"),
    "travel_time_ratio": Figure("time against shortest path", 2, signed=False),
    "reward": Figure("reward"),
    "arrival_rate": Figure("arrived", 0, "share"),
    "dtw": Figure("DTW to the agents, m", 0, signed=False),
    "fleet_mean": Figure("fleet, mean s", signed=False),
    "fleet_median": Figure("median s", signed=False),
    "fleet_p95": Figure("95th percentile, s", signed=False),
    "fleet_total": Figure("total s", 0, signed=False),
    "fleet_insertion_delay": Figure("s before insertion", signed=False),
    "fleet_time_lost": Figure("s lost", signed=False),
    "fleet_unfinished": Figure("unfinished", signed=False),
    "fleet_teleports": Figure("teleports", signed=False),
    "fleet_km": Figure("km", signed=False),
    "fleet_others_mean": Figure("others, mean s", signed=False),
    "calls": Figure("calls", every=True, signed=False),
    "input_tokens": Figure("tokens in", 0, every=True, signed=False),
    "output_tokens": Figure("tokens out", 0, every=True, signed=False),
    "cost": Figure("cost", 4, every=True, signed=False),
    "seconds": Figure("seconds", every=True, signed=False),
}

OF_ALL = {
    "pass_at_k": Figure("all valid in a sample", 0, "share"),
    "within": Figure("deviation within a scenario", 3),
    "between": Figure("deviation between scenarios", 3),
    "cost_per_valid": Figure("cost per valid route", 5, every=True),
    "seconds_median": Figure("seconds of a reply, median", 2),
    "seconds_p95": Figure("seconds of a reply, p95", 2),
}
"""Figures of all trials together, not of each. The deviations are of the share of valid routes."""

SHORT = (
    *("validity_before", "validity", "travel_time_ratio", "reward", "dtw", "fleet_mean", "fleet_p95"),
    *(
        "fleet_unfinished",
        "calls",
        "input_tokens",
        "output_tokens",
        "cost",
        "cost_per_valid",
        "seconds_median",
        "seconds_p95",
    ),
)
"""Figures of table.md."""
WORDS = {
    **{"valid_first": "validity_before", "valid": "validity", "time": "travel_time_ratio", "arrived": "arrival_rate"},
    **{"tokens_in": "input_tokens", "tokens_out": "output_tokens"},
}
"""Short names of figures, for people to type."""


@dataclass(frozen=True)
class Row:
    """One combination after so many refinements."""

    combination: Combination
    rounds: int
    trials: int
    """Scenarios of which all samples are done."""
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
    """A row for every combination with at least one scenario done, and every number of refinements."""
    rows = []
    for combination in comparison.combinations:
        for k, rounds in enumerate(comparison.rounds):
            scenarios = scenarios_of(comparison, combination, trials, k)
            if not scenarios:
                continue
            stages = [stage for samples in scenarios.values() for stage in samples]
            figures = {
                name: figure.estimate(_mean([s[name] for s in samples], figure.every) for samples in scenarios.values())
                for name, figure in FIGURES.items()
            }
            kinds = sorted({kind for stage in stages for kind in stage["errors"]})
            errors = {kind: float(np.mean([s["errors"].get(kind, 0) for s in stages])) for kind in kinds}
            figures |= _of_all(list(scenarios.values()))
            rows.append(Row(combination, rounds, len(scenarios), figures, errors))
    return rows


def scenarios_of(comparison: Comparison, combination: Combination, trials: Trials, stage: int) -> Scenarios:
    """Seed to what its samples came to after the `stage`-th number of refinements; those with all samples done."""
    found = {}
    for seed in comparison.seeds:
        done = [trials[where] for t in comparison.tasks_of(combination, seed) if (where := (t.folder, seed)) in trials]
        if len(done) == comparison.samples:
            found[seed] = [
                _with_cost(trial["stages"][stage], trial["agents"], combination.settings.model) for trial in done
            ]
    return found


def _mean(values: Sequence[float | None], every: bool) -> float | None:
    known = [value for value in values if value is not None]
    return None if not known or (every and len(known) < len(values)) else float(np.mean(known))


def _of_all(scenarios: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Estimate | None]:
    valid = np.array([[stage["validity"] for stage in samples] for samples in scenarios])
    several = valid.shape[1] > 1
    stages = [stage for samples in scenarios for stage in samples]
    costs, routes = [stage["cost"] for stage in stages], sum(stage["valid_routes"] for stage in stages)
    seconds = [second for stage in stages for second in stage["reply_seconds"]]
    return {
        "pass_at_k": share_and_interval((valid >= 1).any(axis=1).astype(float)) if several else None,
        "within": _alone(np.sqrt(valid.var(axis=1, ddof=1).mean())) if several else None,
        "between": _alone(valid.mean(axis=1).std(ddof=1)) if len(valid) > 1 else None,
        "cost_per_valid": None if None in costs or not routes else _alone(sum(costs) / routes),
        "seconds_median": _alone(np.median(seconds)) if seconds else None,
        "seconds_p95": _alone(np.percentile(seconds, 95)) if seconds else None,
    }


def _alone(value: float) -> Estimate:
    """A figure without an interval."""
    return Estimate(float(value), None, None)


def varied(comparison: Comparison) -> list[str]:
    """The axes on which there is something to compare; the model always."""
    return [a for a in AXES if a == "model" or len({c.labels[a] for c in comparison.combinations}) > 1]


def table(comparison: Comparison, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells for people, intervals in brackets."""
    axes, names = varied(comparison), [name for name in SHORT if name != "dtw" or comparison.policies]
    if comparison.samples > 1:
        names += ["pass_at_k", "within", "between"]
    every = {**FIGURES, **OF_ALL}
    header = [*axes, "refinements", "scenarios", *(every[name].title for name in names), "errors per trial"]
    lines = []
    for row in rows:
        count = f"{row.trials} of {len(comparison.seeds)}" if row.trials < len(comparison.seeds) else str(row.trials)
        texts = [*(row.combination.labels[axis] for axis in axes), str(row.rounds), count]
        texts += [every[name].cell(row.figures[name]) for name in names]
        lines.append([*texts, ", ".join(f"{kind} {count:.1f}" for kind, count in row.errors.items()) or "none"])
    return header, lines


def markdown(
    comparison: Comparison,
    rows: Sequence[Row],
    verdicts: Sequence[str],
    failed: Mapping[str, str],
    problems: Sequence[str],
) -> str:
    """The verdicts' lines and the table to paste, with what one must know to read it."""
    header, lines = table(comparison, rows)
    same = [a for a in AXES if a not in varied(comparison)]
    first = comparison.combinations[0].labels
    seeds = list(comparison.seeds)
    samples = f", {comparison.samples} samples of each" if comparison.samples > 1 else ""
    text = [
        *verdicts,
        f"Scenarios, the same for all: {len(seeds)} from seed {seeds[0]} on{samples}. "
        + "; ".join(f"{axis} {first[axis]}" for axis in same)
        + f". Mean over scenarios [{INTERVALS}]. A route that could not be read or driven is not valid. Time against "
        "shortest path (that of least free-flow time driven alone; lights may favour another: it can be below 1) and "
        "reward: of the valid routes. Fleet: by plain SUMO, seconds from planned departure to arrival or to the end. "
        "Calls, tokens, cost and errors: per trial, up to there.",
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
    lines = [
        [*AXES, "rounds", "trials", "trials_wanted", *heads([*FIGURES, *OF_ALL]), *(f"errors_{kind}" for kind in kinds)]
    ]
    for row in rows:
        head = [*(row.combination.labels[axis] for axis in AXES), str(row.rounds), str(row.trials)]
        errors = [number(row.errors.get(kind, 0.0)) for kind in kinds]
        lines.append(
            [*head, str(len(comparison.seeds)), *cells(row.figures[name] for name in (*FIGURES, *OF_ALL)), *errors]
        )
    return csv_text(lines)


def trials_csv(comparison: Comparison, trials: Trials) -> str:
    """Every trial after every number of refinements."""
    lines = [[*AXES, "seed", "sample", "rounds", *FIGURES, "errors", "problem", "folder"]]
    for combination in comparison.combinations:
        for seed, sample in itertools.product(comparison.seeds, range(comparison.samples)):
            folder = comparison.task(combination, seed, sample).folder
            trial = trials.get((folder, seed))
            for stage in trial["stages"] if trial else ():
                figures = _with_cost(stage, 0, combination.settings.model)
                texts = [combination.labels[axis] for axis in AXES] + [str(seed), str(sample), str(stage["rounds"])]
                texts += [number(figures[name]) for name in FIGURES]
                errors = " ".join(f"{kind}:{count}" for kind, count in stage["errors"].items())
                lines.append([*texts, errors, trial["problem"] or "" if trial else "", folder])
    return csv_text(lines)


def _with_cost(stage: Mapping[str, Any], agents: int, model: ModelSettings) -> dict[str, Any]:
    tokens = stage["input_tokens"], stage["output_tokens"]
    cost = None if None in tokens else price_of(*tokens, model)
    return {**stage, "cost": cost, "valid_routes": stage["validity"] * agents}
