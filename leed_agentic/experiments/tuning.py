"""The same random search for every arm, on scenarios that no result is made on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from leed_agentic.errors import check_count
from leed_agentic.experiments.experiment import TWO_MAPS, Experiment, Member, register
from leed_agentic.experiments.fair import IPPO, MAPPO, QMIX
from leed_agentic.experiments.paper import DEMONSTRATED, LEED
from leed_agentic.experiments.report import Outcome
from leed_agentic.experiments.results import read_results
from leed_agentic.experiments.run import Arm, Request, choose_arms
from leed_agentic.experiments.table2 import LONG_TRIPS
from leed_agentic.runs.files import write_text

FIRST_SEED = 1000
"""Results are made on seeds from 0 on."""
TUNED = "tuned.yaml"
_DRAWS = 0x7E57


def drawn(arm: Arm, trial: int) -> dict[str, Any]:
    """The settings of a trial, the same draw for every arm; those of trial 0 are the defaults."""
    if trial == 0:
        return {}
    chance = np.random.default_rng([_DRAWS, trial])
    rate = float(10 ** chance.uniform(-4, -2.5))
    first, second, third, fourth = (int(x) for x in chance.integers(0, (3, 3, 3, 4)))
    group = f"learning.{str(arm.settings['learning.algorithm']).replace('-', '_')}"
    found: dict[str, Any] = {"learning.learning_rate": float(f"{rate:.2g}")}
    if group == "learning.qmix":
        return found | {
            f"{group}.updates": (8, 16, 32)[first],
            f"{group}.steps": (100, 200, 400)[second],
            f"{group}.target_update": (50, 200, 800)[third],
            f"{group}.epsilon_steps": (10_000, 25_000, 50_000, 100_000)[fourth],
        }
    return found | {
        "learning.epochs": (2, 4, 8)[first],
        f"{group}.batch_episodes": (1, 2, 4)[second],
        f"{group}.gae_lambda": (0.9, 0.95, 1.0)[third],
        "learning.beta": (0.0, 0.003, 0.01, 0.03)[fourth],
    }


@dataclass(frozen=True)
class Search(Experiment):
    """Trials of one arm; its report says which was best and leaves it as a file of arms."""

    arm: Arm = LEED

    def report(
        self, request: Request, failed: Mapping[str, str], parent: Path, folder: Path, command: str
    ) -> Outcome | None:
        outcome = super().report(request, failed, parent, folder, command)
        if outcome is None:
            return None
        broken = {run.arm for run in self.runs(request) if run.key in failed}
        whole = [run for run in self.runs(request) if run.arm not in broken]
        if not whole:
            return outcome
        places = read_results(self.question, self.compared, whole, parent, 0, False).groups
        labels = dict.fromkeys(run.arm for run in whole)
        curves = {label: [groups[label].curves["reward_mean"] for groups in places.values()] for label in labels}
        areas = {label: float(np.mean([curve.mean() for curve in found])) for label, found in curves.items()}
        best = max(areas, key=lambda label: areas[label])
        given = dict(next(arm for arm in self.arms if arm.label == best).settings)
        file = folder / TUNED
        write_text(file, yaml.safe_dump({f"{self.arm.label}, tuned": given}, sort_keys=True))
        said = ", ".join(f"{n} {v}" for n, v in given.items() if n not in self.arm.settings) or "the defaults"
        text = f"{outcome.text}\nBest of {len(areas)} trials by area, {areas[best]:.1f}: {best} ({said}). {file}\n"
        data = {**outcome.data, "best": best, "settings": given, "trials": len(areas)}
        return Outcome(text, data, [*outcome.files, file])


@dataclass(frozen=True)
class Tuning:
    """A search per arm, with as many trials each (`--trials`)."""

    name: str = "tuning"
    question: str = "Which settings suit each arm: the same random search for all, on scenarios of no result"
    maps: tuple[str, ...] = TWO_MAPS

    @property
    def known(self) -> tuple[Arm, ...]:
        return (LEED, *DEMONSTRATED[:4], IPPO, MAPPO, QMIX)

    @property
    def compared(self) -> list[str]:
        return [arm.label for arm in self.known]

    def members(self, request: Request) -> list[tuple[Member, Request]]:
        check_count("--trials", request.trials)
        chosen = choose_arms(self.name, self.known, request.arms)
        return [(self._search(arm, request.trials), replace(request, arms=())) for arm in chosen]

    def _search(self, arm: Arm, trials: int) -> Search:
        arms = tuple(Arm(f"trial {k}", {**arm.settings, **drawn(arm, k)}) for k in range(trials))
        return Search(
            f"tuning-{arm.label}",
            f"Settings of {arm.label}: {trials} trials of a random search, seeds from {FIRST_SEED} on",
            arms,
            common=LONG_TRIPS,
            seeds=2,
            first_seed=FIRST_SEED,
            arm=arm,
        )


register(Tuning())
