"""What the paper leaves open, measured: does LEED beat its trainer without demonstrations, and which choices matter.

Trips are at least 60 % of the map's diameter in travel time, so that an agent on its own does not find its destination
within the paper's 500 episodes as a matter of course.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leed_agentic.experiments.experiment import Arm, Experiment, register

LONG_TRIPS = {"scenario.min_trip_share": 0.6}


def _add(name: str, question: str, arms: Sequence[tuple[str, dict[str, Any]]]) -> None:
    register(Experiment(name, question, tuple(Arm(label, changes) for label, changes in arms), common=LONG_TRIPS))


_add(
    "demonstrations",
    "LEED against the same trainer without demonstrations (independent PPO)",
    [("leed", {}), ("ippo", {"learning.algorithm": "ippo", "learning.source": "none"})],
)
_add(
    "advantage",
    "Advantage of expert data in (7)",
    [
        ("as printed", {"learning.objective": "paper"}),
        *(
            (name, {"learning.expert_advantage": name})
            for name in ("filtered", "constant", "agent-critic", "positive", "scaled", "raw")
        ),
    ],
)
_add(
    "weak-expert",
    "Advantage of expert data in (7) when the expert drives detours (a logit model, 60 s of temperature)",
    [
        (
            name,
            {"learning.expert_advantage": name, "learning.source": "logit", "learning.logit_temperature": 60.0},
        )
        for name in ("filtered", "constant", "agent-critic")
    ],
)
_add(
    "alpha",
    "Schedule of alpha in (8)",
    [
        *((name, {"learning.alpha": name}) for name in ("aligned", "annealed", "normalised", "paper")),
        ("aligned, up to 1", {"learning.alpha": "aligned", "learning.alpha_ceiling": 1.0}),
        *((f"fixed {a}", {"learning.alpha": "fixed", "learning.alpha_fixed": a}) for a in (0.2, 0.5)),
    ],
)
_add("epochs", "Gradient steps per episode", [(str(n), {"learning.epochs": n}) for n in (1, 2, 4, 8)])
_add("entropy", "Entropy weight beta in (9)", [(str(b), {"learning.beta": b}) for b in (0.0, 0.001, 0.01, 0.03)])
