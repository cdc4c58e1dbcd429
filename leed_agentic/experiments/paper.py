"""The paper's figures, and what the paper leaves open: arms, maps and settings of every experiment.

Trips are at least 60 % of the map's diameter in travel time, so that an agent on its own does not find its destination
within the paper's 500 episodes as a matter of course.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.experiments.experiment import TWO_MAPS, Experiment, Member, experiments, register
from leed_agentic.experiments.figures import fleet_panels, steps_panels, time_panels
from leed_agentic.experiments.run import Arm, Request, is_elsewhere
from leed_agentic.experiments.table2 import LONG_TRIPS, Table2
from leed_agentic.registry import nearest

LEED = Arm("leed", {"learning.algorithm": "leed"})
"""Arms set the algorithm that they are named for: a setting for all arms must not make another of them."""


def without_demonstrations(algorithm: str) -> Arm:
    """A baseline."""
    return Arm(algorithm, {"learning.algorithm": algorithm, "learning.source": "none"})


def also(arm: Arm, label: str, settings: Mapping[str, Any]) -> Arm:
    """The arm with further settings."""
    return Arm(label, {**arm.settings, **settings})


def _leed(label: str, settings: Mapping[str, Any]) -> Arm:
    return also(LEED, label, settings)


# -- what else learns from demonstrations ------------------------------------------------------------------------------
DEMONSTRATED = (
    *(Arm(name, {"learning.algorithm": name}) for name in ("bc", "bc-then-ppo", "dapg", "sil")),
    Arm("qmix with demonstrations", {"learning.algorithm": "qmix", "learning.qmix.demonstrations": 0.25}),
)
"""They get the demonstrations that LEED gets: against arms without any, having them is compared, not the method."""

# -- the paper's -------------------------------------------------------------------------------------------------------
BASELINES = (LEED, *(without_demonstrations(name) for name in ("ippo", "mappo", "qmix")))

register(
    Experiment(
        name="fig3",
        question="Reward against steps and against time, LEED and baselines",
        arms=(*BASELINES, *DEMONSTRATED),
        common=LONG_TRIPS,
        references=True,
        panels=lambda results: steps_panels(results) + time_panels(results),
    )
)
register(
    Experiment(
        name="fig4a",
        question="Reward of the final model against the number of agents",
        arms=BASELINES,
        maps=TWO_MAPS[:1],
        common=LONG_TRIPS,
        fleets=(5, 10, 15, 20),
        test_episodes=20,
        references=True,
        panels=fleet_panels,
    )
)
register(
    Experiment(
        name="fig4b",
        question="LEED with one thing taken away: fixed alpha, logit demonstrations, none",
        arms=(
            LEED,
            *(
                _leed(f"alpha {a}", {"learning.leed.alpha": "fixed", "learning.leed.alpha_fixed": a})
                for a in (0.2, 0.5)
            ),
            _leed("logit-ppo", {"learning.source": "logit"}),
            without_demonstrations("ippo"),
            *DEMONSTRATED[:3],
        ),
        maps=TWO_MAPS[:1],
        common=LONG_TRIPS,
        references=True,
        panels=steps_panels,
    )
)
register(Table2())


@dataclass(frozen=True)
class Collection:
    """Experiments run as one, so that what they have in common is made once; each reports for itself."""

    name: str
    question: str
    names: tuple[str, ...]
    maps: tuple[str, ...] = TWO_MAPS

    @property
    def compared(self) -> list[str]:
        return list(self.names)

    def members(self, request: Request) -> list[tuple[Member, Request]]:
        """A member for one map gets the first of several; one that has none of the named arms is left out."""
        listed = [experiments.get(name) for name in self.names]
        known = list(dict.fromkeys(label for one in listed for label in one.compared))
        for label in request.arms:
            if label not in known and not is_elsewhere(label):
                raise UsageError(f"Experiment {self.name} has no arm {label!r}: {nearest(label, known)}")
        found: list[tuple[Member, Request]] = []
        for one in listed:
            arms = tuple(label for label in request.arms if label in one.compared or label not in known)
            if request.arms and (not arms or isinstance(one, Table2)):
                continue
            maps = request.maps[:1] if len(one.maps) == 1 else request.maps
            found += one.members(replace(request, maps=maps, arms=arms))
        return found


register(Collection("paper", "Every figure and table of the paper", ("fig3", "fig4a", "fig4b", "table2")))


# -- what the paper leaves open ----------------------------------------------------------------------------------------
def _choice(name: str, question: str, *arms: Arm, references: bool = False) -> None:
    register(Experiment(name, question, arms, common=LONG_TRIPS, references=references))


_choice(
    "demonstrations",
    "LEED against other ways to learn from the same demonstrations, their plan driven as it is, and none of them",
    LEED,
    *DEMONSTRATED,
    without_demonstrations("ippo"),
    references=True,
)
_choice(
    "advantage",
    "Advantage of expert data in (7)",
    _leed("as printed", {"learning.leed.objective": "paper"}),
    *(
        _leed(name, {"learning.leed.expert_advantage": name})
        for name in ("filtered", "constant", "agent-critic", "positive", "scaled", "raw")
    ),
)
WEAK = {"learning.source": "logit", "learning.logit_temperature": 60.0}
_choice(
    "weak-expert",
    "Advantage of expert data in (7) when the expert drives detours (a logit model, 60 s of temperature)",
    *(
        _leed(name, {"learning.leed.expert_advantage": name, **WEAK})
        for name in ("filtered", "constant", "agent-critic")
    ),
    _leed("alpha by regret", {"learning.leed.alpha": "regret", "learning.leed.alpha_ceiling": 1.0, **WEAK}),
    _leed("fixed alpha 0.5", {"learning.leed.alpha": "fixed", **WEAK}),
    _leed("own best as expert", {"learning.leed.expert": "best", **WEAK}),
    *(also(arm, arm.label, WEAK) for arm in DEMONSTRATED[:4]),
    references=True,
)
_choice(
    "alpha",
    "Schedule of alpha in (8)",
    *(_leed(name, {"learning.leed.alpha": name}) for name in ("aligned", "annealed", "normalised", "paper")),
    _leed("aligned, up to 1", {"learning.leed.alpha": "aligned", "learning.leed.alpha_ceiling": 1.0}),
    *(_leed(f"fixed {a}", {"learning.leed.alpha": "fixed", "learning.leed.alpha_fixed": a}) for a in (0.2, 0.5)),
)
_choice("epochs", "Gradient steps per episode", *(_leed(str(n), {"learning.epochs": n}) for n in (1, 2, 4, 8)))
_choice(
    "entropy", "Entropy weight beta in (9)", *(_leed(str(b), {"learning.beta": b}) for b in (0.0, 0.001, 0.01, 0.03))
)
