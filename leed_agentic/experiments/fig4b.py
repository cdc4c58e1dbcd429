"""Figure 4 (b): ablation, what LEED owes to its alpha and to who demonstrates."""

from __future__ import annotations

from leed_agentic.experiments.choices import LONG_TRIPS
from leed_agentic.experiments.efficiency import steps_panels
from leed_agentic.experiments.experiment import TWO_MAPS, Arm, Experiment, register

register(
    Experiment(
        name="fig4b",
        question="LEED without parts of it: fixed alpha, logit demonstrations, none",
        arms=(
            Arm("leed", {}),
            *(Arm(f"alpha {a}", {"learning.alpha": "fixed", "learning.alpha_fixed": a}) for a in (0.2, 0.5)),
            Arm("logit-ppo", {"learning.source": "logit"}),
            Arm("ippo", {"learning.algorithm": "ippo", "learning.source": "none"}),
        ),
        maps=TWO_MAPS[:1],
        common=LONG_TRIPS,
        references=True,
        panels=steps_panels,
    )
)
