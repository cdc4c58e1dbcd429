"""Reward against steps and against wall-clock time, as the paper's figures 3 and 4 (b) show it."""

from __future__ import annotations

import numpy as np

from leed_agentic.experiments.evidence import Evidence, Group
from leed_agentic.experiments.picture import Line, Panel
from leed_agentic.experiments.statistics import iqm_curve, smoothed

SMOOTH = 20
"""Episodes of the trailing mean."""
POINTS = 200
"""Of a curve over time, where runs have no points in common."""
REWARD = "reward per agent (IQM)"


def steps_panels(evidence: Evidence) -> list[Panel]:
    """One per map: reward against environment steps, counted as in the paper: every episode as its full length, though
    ours end early when all have arrived."""
    panels = []
    for place, arms in evidence.groups.items():
        lines = []
        for arm, group in arms.items():
            curves = smoothed(group.curves["reward_mean"], SMOOTH)
            steps = np.arange(1, curves.shape[1] + 1) * evidence.max_steps[place]
            lines.append(Line(arm, steps, *iqm_curve(curves)))
        panels.append(Panel(f"{place}, steps", "environment steps", REWARD, lines + reference_lines(evidence, place)))
    return panels


def time_panels(evidence: Evidence) -> list[Panel]:
    """One per map: reward against wall-clock seconds of simulation, learning and demonstrations, the LLM included."""
    panels = []
    for place, arms in evidence.groups.items():
        lines = [Line(arm, *_over_time(group)) for arm, group in arms.items()]
        panels.append(Panel(f"{place}, time", "seconds", REWARD, lines + reference_lines(evidence, place)))
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


def reference_lines(evidence: Evidence, place: str) -> list[Line]:
    """Levels of those who learn nothing: mean over seeds."""
    drivers = evidence.references.get(place, {})
    return [
        Line(driver, np.array([np.nan]), np.array([evidence.reference_rewards(place, driver).mean()]), reference=True)
        for driver in drivers
    ]
