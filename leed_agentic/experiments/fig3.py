"""Figure 3: sample efficiency (a, b) and time efficiency (c, d) of LEED and the three baselines on two maps."""

from __future__ import annotations

from leed_agentic.experiments.choices import LONG_TRIPS
from leed_agentic.experiments.efficiency import steps_panels, time_panels
from leed_agentic.experiments.experiment import Arm, Experiment, register

BASELINES = ("ippo", "mappo", "qmix")
ARMS = (
    Arm("leed", {}),
    *(Arm(name, {"learning.algorithm": name, "learning.source": "none"}) for name in BASELINES),
)

register(
    Experiment(
        name="fig3",
        question="Reward against steps and against time, LEED and baselines",
        arms=ARMS,
        common=LONG_TRIPS,
        references=True,
        panels=lambda evidence: steps_panels(evidence) + time_panels(evidence),
    )
)
