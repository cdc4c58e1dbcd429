"""The verdicts of a comparison: which trials are compared with which, and how the answers are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leed_agentic.comparing.comparison import SCENARIO, Comparison
from leed_agentic.comparing.comparison_table import Trials, scenarios_of, varied
from leed_agentic.comparing.verdict import MEASURES, Pair, Scenarios, judge
from leed_agentic.experiments.table import markdown_table

JUDGED = (
    "Differences are of the same scenarios, first less second, [95 % interval: bootstrap within each map and number of "
    "agents]; time is that of the agents for whom both have a valid route, to the end of the drive where one does not "
    "arrive. p: of the sign flip test of the mean, exact up to 16 scenarios that differ, then corrected after Holm "
    "over all questions; sign p: of the exact sign test. A verdict needs a corrected p of 0.05 or less; `as good`: the "
    "interval lies within 5 points, or 0.05 in time."
)


def verdict_table(pairs: Sequence[Pair]) -> tuple[list[str], list[list[str]]]:
    """Every question asked, and every map alone."""
    header = ["pair", "measure", "where", "difference", "won, tied, lost", "sign p", "p", "corrected p", "verdict"]
    lines = []
    for verdict in (verdict for pair in pairs for verdict in pair.verdicts):
        measure, found = MEASURES[verdict.measure], verdict.difference
        ends = "" if found.low is None or found.high is None else f" {measure.interval(found.low, found.high)}"
        lines.append(
            [
                f"{verdict.first} against {verdict.second}",
                measure.title,
                verdict.place or f"all {verdict.scenarios} scenarios",
                measure.text(found.mean, signed=True) + ends,
                f"{verdict.wins}, {verdict.ties}, {verdict.losses}",
                _p(verdict.p_sign),
                _p(verdict.p),
                "" if verdict.p_corrected is None else _p(verdict.p_corrected),
                {"same": "as good", "undecided": "not decided", None: ""}.get(verdict.outcome, verdict.outcome or ""),
            ]
        )
    return header, lines


def _p(value: float) -> str:
    """Three digits; a small one keeps its size."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def verdict_markdown(pairs: Sequence[Pair]) -> list[str]:
    """The sentences, how they came about, and every question with its figures."""
    if not pairs:
        return []
    return [*(f"- {pair.sentence}" for pair in pairs), "", JUDGED, "", *markdown_table(*verdict_table(pairs)), ""]


def pairs_of(comparison: Comparison, trials: Trials) -> list[Pair]:
    """Each arm against the others, after the last of the refinements; empty where there is one arm."""
    axes = [axis for axis in varied(comparison) if axis not in SCENARIO]
    if len({combination.arm for combination in comparison.combinations}) < 2:
        return []
    if len({combination.labels["model"] for combination in comparison.combinations}) < 2:
        axes.remove("model")
    arms: dict[str, dict[str, Scenarios]] = {}
    for combination in comparison.combinations:
        name = ", ".join(combination.labels[axis] for axis in axes)
        arms.setdefault(name, {})[combination.place] = scenarios_of(comparison, combination, trials, -1)
    return judge(arms, _prices({name: _stages(places) for name, places in arms.items()}))


def _stages(places: Mapping[str, Scenarios]) -> list[Mapping[str, Any]]:
    return [stage for scenarios in places.values() for samples in scenarios.values() for stage in samples]


def _prices(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, tuple[str, float]]:
    """Arm to what a trial takes: its cost, where all arms' costs are known, else its tokens."""
    for what, value in (("cost", _cost), ("tokens", _tokens)):
        found = {name: [value(stage) for stage in made] for name, made in stages.items()}
        known = {name: [float(v) for v in values if v is not None] for name, values in found.items()}
        if all(values and len(values) == len(found[name]) for name, values in known.items()):
            return {name: (what, float(np.mean(values))) for name, values in known.items()}
    return {}


def _cost(stage: Mapping[str, Any]) -> float | None:
    return stage["cost"]


def _tokens(stage: Mapping[str, Any]) -> float | None:
    tokens = stage["input_tokens"], stage["output_tokens"]
    return None if None in tokens else sum(tokens)
