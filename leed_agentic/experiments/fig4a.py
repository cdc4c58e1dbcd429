"""Figure 4 (a): scalability, the mean reward of 20 test runs of the final models of 5 to 20 agents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leed_agentic.experiments.choices import LONG_TRIPS
from leed_agentic.experiments.evidence import Evidence
from leed_agentic.experiments.experiment import TWO_MAPS, Experiment, register
from leed_agentic.experiments.fig3 import ARMS
from leed_agentic.experiments.picture import Line, Panel
from leed_agentic.experiments.statistics import iqm_and_interval


def panels(evidence: Evidence) -> list[Panel]:
    """One per map: test reward against the number of agents."""
    by_map: dict[str, dict[int, str]] = {}
    for place, arms in evidence.groups.items():
        run = next(iter(arms.values())).runs[0]
        by_map.setdefault(place.rsplit("_", 2)[0], {})[run.settings.scenario.agents] = place
    return [_panel(evidence, name, dict(sorted(places.items()))) for name, places in by_map.items()]


def _panel(evidence: Evidence, name: str, places: dict[int, str]) -> Panel:
    lines = []
    for arm in evidence.experiment.compared:
        known = {n: place for n, place in places.items() if arm in evidence.groups[place]}
        estimates = [iqm_and_interval(evidence.groups[place][arm].score) for place in known.values()]
        if estimates:
            low, high = [e.low for e in estimates], [e.high for e in estimates]
            # One seed: no interval.
            bounds = (None, None) if None in low else (np.array(low), np.array(high))
            lines.append(Line(arm, np.array(list(known)), np.array([e.mean for e in estimates]), *bounds))
    lines += _references(evidence, places)
    label = f"reward per agent, {evidence.experiment.test_episodes} test runs (IQM)"
    return Panel(name, "agents", label, lines, points=True, ticks=list(places))


def _references(evidence: Evidence, places: dict[int, str]) -> Sequence[Line]:
    drivers = dict.fromkeys(driver for place in places.values() for driver in evidence.references.get(place, {}))
    lines = []
    for driver in drivers:
        rewards = {n: evidence.reference_rewards(place, driver) for n, place in places.items()}
        means = {n: found.mean() for n, found in rewards.items() if len(found)}
        lines.append(Line(driver, np.array(list(means)), np.array(list(means.values())), reference=True))
    return lines


register(
    Experiment(
        name="fig4a",
        question="Reward of the final model against the number of agents",
        arms=ARMS,
        maps=TWO_MAPS[:1],
        common=LONG_TRIPS,
        fleets=(5, 10, 15, 20),
        test_episodes=20,
        references=True,
        panels=panels,
    )
)
