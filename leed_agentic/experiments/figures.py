"""The paper's figures: reward against steps and against time (3, 4 (b)) and against the number of agents (4 (a))."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leed_agentic.experiments.picture import Line, Panel
from leed_agentic.experiments.results import Group, Results
from leed_agentic.experiments.statistics import iqm_and_interval, iqm_curve, smoothed

SMOOTH = 20
"""Episodes of the trailing mean."""
POINTS = 200
"""Of a curve over time, where runs have no points in common."""
REWARD = "reward per agent (IQM)"


def steps_panels(results: Results) -> list[Panel]:
    """One per map: reward against environment steps, counted as in the paper: every episode as its full length, though
    ours end early when all have arrived."""
    panels = []
    for place, arms in results.groups.items():
        lines = []
        for arm, group in arms.items():
            curves = smoothed(group.curves["reward_mean"], SMOOTH)
            steps = np.arange(1, curves.shape[1] + 1) * results.max_steps[place]
            lines.append(Line(arm, steps, *iqm_curve(curves)))
        panels.append(Panel(f"{place}, steps", "environment steps", REWARD, lines + reference_lines(results, place)))
    return panels


def time_panels(results: Results) -> list[Panel]:
    """One per map: reward against wall-clock seconds of simulation, learning and demonstrations, the LLM included."""
    panels = []
    for place, arms in results.groups.items():
        lines = [Line(arm, *_over_time(group)) for arm, group in arms.items()]
        panels.append(Panel(f"{place}, time", "seconds", REWARD, lines + reference_lines(results, place)))
    return panels


def _over_time(group: Group) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """From when every run has ended an episode to when the first run ends: there all runs have a reward."""
    curves = smoothed(group.curves["reward_mean"], SMOOTH)
    times = np.linspace(group.seconds[:, 0].max(), max(group.seconds[:, -1].min(), group.seconds[:, 0].max()), POINTS)
    # What a run has reached by then: the last episode that has ended.
    reached = [
        curve[np.searchsorted(s, times, side="right") - 1] for curve, s in zip(curves, group.seconds, strict=True)
    ]
    return times, *iqm_curve(np.stack(reached))


def reference_lines(results: Results, place: str) -> list[Line]:
    """Levels of those who learn nothing: mean over seeds."""
    drivers = results.references.get(place, {})
    return [
        Line(driver, np.array([np.nan]), np.array([results.reference_rewards(place, driver).mean()]), reference=True)
        for driver in drivers
    ]


def fleet_panels(results: Results) -> list[Panel]:
    """One per map: test reward against the number of agents."""
    by_map: dict[str, dict[int, str]] = {}
    for place, arms in results.groups.items():
        run = next(iter(arms.values())).runs[0]
        by_map.setdefault(place.rsplit("_", 2)[0], {})[run.settings.scenario.agents] = place
    return [_fleet_panel(results, name, dict(sorted(places.items()))) for name, places in by_map.items()]


def _fleet_panel(results: Results, name: str, places: dict[int, str]) -> Panel:
    lines = []
    for arm in results.arms:
        known = {n: place for n, place in places.items() if arm in results.groups[place]}
        estimates = [iqm_and_interval(results.groups[place][arm].score) for place in known.values()]
        if estimates:
            low, high = [e.low for e in estimates], [e.high for e in estimates]
            # One seed: no interval.
            bounds = (None, None) if None in low else (np.array(low), np.array(high))
            lines.append(Line(arm, np.array(list(known)), np.array([e.mean for e in estimates]), *bounds))
    lines += _levels(results, places)
    label = f"reward per agent, {results.test_episodes} test runs (IQM)"
    return Panel(name, "agents", label, lines, points=True, ticks=list(places))


def _levels(results: Results, places: dict[int, str]) -> Sequence[Line]:
    drivers = dict.fromkeys(driver for place in places.values() for driver in results.references.get(place, {}))
    lines = []
    for driver in drivers:
        rewards = {n: results.reference_rewards(place, driver) for n, place in places.items()}
        means = {n: found.mean() for n, found in rewards.items() if len(found)}
        lines.append(Line(driver, np.array(list(means)), np.array(list(means.values())), reference=True))
    return lines
