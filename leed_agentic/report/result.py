"""What a run came to, in a sentence or two for the top of its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from leed_agentic.comparing.verdict import LEVEL, difference_and_interval, permutation_p


def result_of_plan(summary: Mapping[str, Any], streets: Mapping[str, Any] | None) -> list[str]:
    """Who can drive and arrives, and how long it takes against each vehicle's fastest path alone."""
    agents, valid = summary.get("agents"), summary.get("validity_final")
    if not isinstance(agents, int) or not _is_number(valid):
        return []
    legs = list(streets["drives"][0]["legs"].values()) if streets and streets["drives"] else []
    arrived = [leg["seconds"] for leg in legs if leg["arrived"] and _is_number(leg["seconds"])]
    whole = round(float(valid) * agents)
    said = [f"{whole} of {agents} vehicles have a route that can be driven, and {len(arrived)} arrive."]
    ratio = summary.get("travel_time_ratio")
    if arrived and _is_number(ratio):
        minutes, share = float(np.mean(arrived)) / 60, float(ratio) - 1
        lost = minutes - minutes / float(ratio)
        word = "longer" if share > 0 else "less"
        same = abs(share) < 0.005
        against = "as long as" if same else f"{abs(lost):.1f} min ({abs(share):.0%}) {word} than"
        said.append(
            f"Driven together they take {minutes:.1f} min on average, {against} each alone on its shortest path."
        )
    first = summary.get("validity_initial")
    if _is_number(first) and float(first) < float(valid):
        said.append(f"Refinement raised the share of valid routes from {float(first):.0%} to {float(valid):.0%}.")
    return said


def result_of_training(evaluation: Mapping[str, Any] | None) -> list[str]:
    """Who won, against what, and how sure that is."""
    rows = [row for row in (evaluation or {}).get("drivers", ()) if _rewards(row)]
    if len(rows) < 2:
        return []
    mine = rows[0]
    best = max(rows[1:], key=lambda row: float(np.mean(_rewards(row))))
    ours, theirs = np.array(_rewards(mine)), np.array(_rewards(best))
    who = f"{mine['driver']} against {best['driver']}, the best of the others"
    figures = f"reward {ours.mean():.1f} against {theirs.mean():.1f}"
    if len(ours) != len(theirs) or len(ours) < 2:
        return [f"{who}: {figures}; one episode does not say how sure that is."]
    differences = ours - theirs
    if np.ptp(ours) == 0 and np.ptp(theirs) == 0:
        # Without driver noise every episode is the same one.
        return [f"{who}: {figures} in this one scenario, where every episode is the same."]
    found, p = difference_and_interval([differences]), permutation_p(differences)
    by = f"by {abs(found.mean):.1f} [{_ends(found.low, found.high, found.mean)}] over {len(ours)} episodes, p {p:.3f}"
    if p > LEVEL:
        return [f"Not decided: {who}: {figures}, {by}."]
    winner, other = (mine, best) if found.mean > 0 else (best, mine)
    return [f"{winner['driver']} is better than {other['driver']} {by}: {figures}."]


def _ends(low: float | None, high: float | None, mean: float) -> str:
    ends = (low or 0.0, high or 0.0) if mean > 0 else (-(high or 0.0), -(low or 0.0))
    return f"{ends[0]:.1f}, {ends[1]:.1f}"


def _rewards(row: Mapping[str, Any]) -> Sequence[float]:
    values = row.get("rewards")
    return values if isinstance(values, list) and values and all(map(_is_number, values)) else ()


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
