"""What a run came to, in a sentence or two for the top of its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from leed_agentic.comparing.verdict import LEVEL, difference_and_interval, permutation_p

BASELINES = {
    "shortest": "shortest paths",
    "lights": "shortest paths that know the lights",
    "rerouted": "SUMO's rerouting",
    "given": "the routes as given",
}
"""What summaries call them, and what people do."""

SAME = 0.001
"""Share of the reward below which nobody tells two drivers apart."""


def result_of_plan(summary: Mapping[str, Any], streets: Mapping[str, Any] | None) -> list[str]:
    """Who can drive and arrives, and how long it takes: in traffic against the baselines, else against each vehicle's
    fastest path alone."""
    agents, valid = summary.get("agents"), summary.get("validity_final")
    if not isinstance(agents, int) or not _is_number(valid):
        return []
    legs = list(streets["drives"][0]["legs"].values()) if streets and streets["drives"] else []
    arrived = [leg["seconds"] for leg in legs if leg["arrived"] and _is_number(leg["seconds"])]
    whole = round(float(valid) * agents)
    able = [f"{whole:,} of {agents:,} vehicles have a route that can be driven, and {len(arrived):,} arrive."]
    if (gain := _gain(_traffic(summary), agents)) is not None:
        return [gain, *able]
    said = able
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


def gains(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Routes, mean minutes and what the plan gains: the plan first, then the baselines, the best first; none without
    traffic."""
    traffic = _traffic(summary)
    times = _times(traffic)
    if not times:
        return []
    ours = float(traffic["fleet_time"])
    rows = [("as planned", f"{ours / 60:.2f}", "")]
    for name, seconds in sorted(times.items(), key=lambda item: item[1]):
        rows.append((BASELINES.get(name, name), f"{seconds / 60:.2f}", _difference(ours, seconds)))
    return rows


def _gain(traffic: Mapping[str, Any], agents: int) -> str | None:
    """What the fleet gains over the best baseline and over shortest paths; None without traffic."""
    times = _times(traffic)
    if not times:
        return None
    ours = float(traffic["fleet_time"])
    best = min(times, key=lambda name: times[name])
    noise = traffic.get("noise_seeds")
    how = f", mean of {noise} drives with driver noise" if isinstance(noise, int) and noise > 0 else ", one drive"
    took = f"{ours / 60:.1f} min on average{how}"
    against = [best, *(name for name in ("shortest",) if name in times and name != best)]
    words = [f"{_difference(ours, times[name])} than with {BASELINES.get(name, name)}" for name in against]
    if traffic.get("kept") in times:
        kept = BASELINES.get(str(traffic["kept"]), str(traffic["kept"]))
        return f"No plan was better than {kept}, which the {agents:,} vehicles keep: {took}" + (
            f", {words[-1]}." if len(words) > 1 else "."
        )
    words[0] += ", the best of the baselines"
    return f"As planned, the {agents:,} vehicles take {took}: {'; '.join(words)}."


def _difference(ours: float, theirs: float) -> str:
    """In minutes and per cent."""
    if abs(ours - theirs) < 0.5:
        return "no less"
    word = "less" if ours < theirs else "more"
    return f"{abs(ours - theirs) / 60:.1f} min ({abs(ours - theirs) / theirs:.0%}) {word}"


def _traffic(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(summary.get("traffic"))


def _part(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _times(traffic: Mapping[str, Any]) -> dict[str, float]:
    """Baseline to its mean seconds; none where the fleet's own are unknown."""
    known = traffic.get("baselines")
    if not isinstance(known, Mapping) or not _is_number(traffic.get("fleet_time")):
        return {}
    return {str(name): float(value) for name, value in known.items() if _is_number(value) and value > 0}


def result_of_training(evaluation: Mapping[str, Any] | None) -> list[str]:
    """Who won, against what, and how sure that is."""
    rows = [row for row in (evaluation or {}).get("drivers", ()) if _rewards(row)]
    if len(rows) < 2:
        return []
    mine = rows[0]
    best = max(rows[1:], key=lambda row: float(np.mean(_rewards(row))))
    return [_won(mine, best), *_beside(mine, best)]


def _won(mine: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """Whether what was trained earns more than the best of the others."""
    ours, theirs = np.array(_rewards(mine)), np.array(_rewards(best))
    who = f"the trained agents, {mine['driver']},", f"{best['driver']}, the best of the others"
    figures = f"reward {ours.mean():.1f} against {theirs.mean():.1f}"
    first = f"{who[0][0].upper()}{who[0][1:]}"
    if abs(ours.mean() - theirs.mean()) < SAME * max(abs(theirs.mean()), 1.0) and np.ptp(ours) + np.ptp(theirs) < 1.0:
        return f"{first} are as good as {who[1]}: {figures}."
    if len(ours) != len(theirs) or len(ours) < 2:
        return f"{first} beside {who[1]}: {figures}; one episode does not say how sure that is."
    differences = ours - theirs
    if np.ptp(ours) == 0 and np.ptp(theirs) == 0:
        # Without driver noise every episode is the same one.
        word = "better" if ours.mean() > theirs.mean() else "worse"
        return f"{first} are {word} than {who[1]}, in this one scenario, where every episode is the same: {figures}."
    found, p = difference_and_interval([differences]), permutation_p(differences)
    by = f"by {abs(found.mean):.1f} [{_ends(found.low, found.high, found.mean)}] over {len(ours)} episodes, p {p:.3f}"
    if p > LEVEL:
        return f"Not decided between {who[0].rstrip(',')} and {who[1]}: {figures}, apart {by}."
    return f"{first} are {'better' if found.mean > 0 else 'worse'} than {who[1]}, {by}: {figures}."


def _beside(mine: Mapping[str, Any], best: Mapping[str, Any]) -> list[str]:
    """The same in arrivals and minutes, where the evaluation has them."""
    shares = [row.get("arrival_rate") for row in (mine, best)]
    if not all(map(_is_number, shares)):
        return []
    said = f"Of their vehicles {shares[0]:.0%} arrive, of {best['driver']} {shares[1]:.0%}"
    times = [_part(row.get("fleet")).get("mean") for row in (mine, best)]
    if all(map(_is_number, times)):
        minutes = [float(seconds) / 60 for seconds in times if _is_number(seconds)]
        said += f"; they take {minutes[0]:.1f} min on average, against {minutes[1]:.1f}"
    return [f"{said}."]


def _ends(low: float | None, high: float | None, mean: float) -> str:
    ends = (low or 0.0, high or 0.0) if mean > 0 else (-(high or 0.0), -(low or 0.0))
    return ", ".join(f"{round(end, 1) + 0.0:.1f}" for end in ends)


def _rewards(row: Mapping[str, Any]) -> Sequence[float]:
    values = row.get("rewards")
    return values if isinstance(values, list) and values and all(map(_is_number, values)) else ()


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
