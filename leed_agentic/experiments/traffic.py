"""Fleets that learn in traffic: whether they follow their demonstrations, and whether LEED is ahead of imitation where
the expert spreads the fleet, or knows the streets of yesterday."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leed_agentic.experiments.experiment import Experiment, register
from leed_agentic.experiments.figures import steps_panels
from leed_agentic.experiments.paper import DEMONSTRATED, LEED, LONG_TRIPS, also, without_demonstrations
from leed_agentic.experiments.picture import Line, Panel
from leed_agentic.experiments.results import Results

COORDINATED = {"learning.source": "graph", "demonstration.rounds": 3}
ALTERNATIVES = {**COORDINATED, "demonstration.planning": "alternatives"}
ARMS = (
    also(LEED, "shortest path", {"learning.source": "shortest-path"}),
    also(LEED, "coordinated", ALTERNATIVES),
    also(LEED, "instructions", {**COORDINATED, "demonstration.planning": "instructions"}),
    without_demonstrations("ippo"),
)
"""In the order of what is known of the streets when the demonstrations are planned."""
LEARNERS = (LEED, also(LEED, "own best as expert", {"learning.leed.expert": "best"}), *DEMONSTRATED[:4])
BERLIN = {
    "scenario.agents": 10,
    "scenario.background": 50,
    "scenario.min_trip_share": 0.4,
    "environment.max_steps": 100,
    "environment.reward": "time",
}
NOISE = {"environment.driver_noise": 0.5}


def follow_panels(results: Results) -> Sequence[Panel]:
    """One per place: the fleet's seconds after learning against those of its demonstrations, a point a run."""
    panels = []
    for place, arms in results.groups.items():
        lines, ends = [], []
        for arm, group in arms.items():
            if group.plan_times is not None and group.test_times is not None:
                order = np.argsort(group.plan_times)
                lines.append(Line(arm, group.plan_times[order], group.test_times[order]))
                ends += [group.plan_times.min(), group.plan_times.max()]
        if ends:
            span = np.array([min(ends), max(ends)])
            lines.append(Line("as demonstrated", span, span, reference=True))
        panels.append(Panel(place, "demonstrations, seconds", "after learning, seconds", lines, points=True))
    return panels


register(
    Experiment(
        name="traffic",
        question="Does a fleet in traffic follow its demonstrations? Mean travel time of both",
        arms=ARMS,
        maps=("berlin",),
        common=BERLIN,
        test_episodes=5,
        plans=True,
        panels=follow_panels,
    )
)
register(
    Experiment(
        name="spread",
        question="LEED beside imitation where the expert spreads a fleet in traffic, drivers not all alike",
        arms=LEARNERS,
        maps=("berlin",),
        common={**BERLIN, **NOISE, **ALTERNATIVES},
        test_episodes=5,
        plans=True,
        panels=steps_panels,
    )
)
register(
    Experiment(
        name="yesterday",
        question="LEED beside imitation where the expert knows the streets of yesterday, and today some are slow",
        arms=(
            *LEARNERS,
            also(LEED, "asked again", ALTERNATIVES),
            also(DEMONSTRATED[0], "bc, asked again", ALTERNATIVES),
            without_demonstrations("ippo"),
        ),
        common={
            **LONG_TRIPS,
            **NOISE,
            "learning.source": "shortest-path",
            "scenario.incidents": 15,
            "environment.reward": "time",
        },
        test_episodes=5,
        plans=True,
        panels=steps_panels,
    )
)
