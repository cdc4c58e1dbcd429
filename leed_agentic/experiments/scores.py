"""Figures over all maps: normalised scores, their interquartile mean, and how probably one arm beats another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leed_agentic.experiments.evidence import Evidence
from leed_agentic.experiments.statistics import Estimate, improvement_and_interval, iqm_and_interval


@dataclass(frozen=True)
class Score:
    """One arm over all places where everybody has the same number of runs."""

    arm: str
    runs: int
    places: int
    score: Estimate
    """Interquartile mean of the normalised scores: 0 is random driving, 1 the shortest path."""
    first_better: Estimate | None
    """Probability that a run of the first arm beats one of this arm on the same map; None for the first arm."""


def scores(evidence: Evidence) -> list[Score]:
    """Empty where no arm is complete everywhere, or the references it is normalised with are missing."""
    found: dict[str, np.ndarray] = {}
    for arm in evidence.experiment.compared:
        columns = [evidence.normalised(place, arm) for place in evidence.groups if arm in evidence.groups[place]]
        whole = [column for column in columns if column is not None and not np.isnan(column).any()]
        if len(whole) == len(evidence.groups) and len({len(column) for column in whole}) == 1:
            found[arm] = np.stack(whole, axis=1)
    rows: list[Score] = []
    for arm, values in found.items():
        first = None if not rows else improvement_and_interval(found[rows[0].arm], values)
        rows.append(Score(arm, len(values), values.shape[1], iqm_and_interval(values), first))
    return rows


def markdown(rows: list[Score]) -> str:
    """A section of the report; empty without rows."""
    if not rows:
        return ""
    first = rows[0].arm
    lines = [
        "",
        f"## Over {'all maps' if rows[0].places > 1 else 'the map'}, normalised",
        "",
        "Interquartile mean over runs and maps [95 % stratified bootstrap interval]; in each run's own scenario random "
        f"driving is 0 and the shortest path 1. Last column: probability that a run of {first} beats one of this arm.",
        "",
        f"| arm | runs | maps | score | {first} better |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        better = row.first_better.to(2) if row.first_better else "-"
        lines.append(f"| {row.arm} | {row.runs} | {row.places} | {row.score.to(3)} | {better} |")
    return "\n".join(lines) + "\n"
