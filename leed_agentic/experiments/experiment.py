"""What an experiment is: arms to compare, each a few settings, on some maps, over seeds; and the list of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from leed_agentic.errors import UsageError
from leed_agentic.experiments.picture import Panel
from leed_agentic.experiments.report import ExperimentRun, Manifest, Outcome, manifest, write_report
from leed_agentic.experiments.results import Results, read_results
from leed_agentic.experiments.run import REFERENCE_EPISODES, Arm, Request, Run, choose_arms, leaves
from leed_agentic.experiments.task import Task
from leed_agentic.models.providers import STAND_IN
from leed_agentic.registry import Registry
from leed_agentic.settings import given_settings, load_settings

TWO_MAPS = ("braunschweig", "berlin")
DEFAULTS = {"model.name": STAND_IN}
"""Settings of every experiment, before its own: no language model is called unless one is named."""
OPTIONS = {"map.name": "--maps", "seed": "--seeds", "scenario.agents": "--agents"}
"""Settings that an experiment varies, and how to choose them."""


class Member(Protocol):
    """One figure or table: the tasks it needs, and a report on those that are done."""

    @property
    def name(self) -> str: ...

    def tasks(self, request: Request) -> list[Task]:
        """All that must be made. Raises UsageError for a request that cannot be met."""

    def report(
        self, request: Request, failed: Mapping[str, str], parent: Path, folder: Path, command: str
    ) -> Outcome | None:
        """Read the finished tasks' folders in `parent` and write to `folder`; None where there is nothing to show.

        Args:
            failed: folder name of a task that failed, and why.
        """


class Listed(Protocol):
    """What `leed experiment` lists and runs."""

    @property
    def name(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def maps(self) -> tuple[str, ...]: ...
    @property
    def compared(self) -> list[str]:
        """Labels of what is compared."""

    def members(self, request: Request) -> list[tuple[Member, Request]]:
        """The figures and tables it consists of, each with what is asked of it."""


experiments: Registry[Listed] = Registry("experiment")


@dataclass(frozen=True)
class Experiment:
    """Training runs whose arms share everything but their own settings."""

    name: str
    question: str
    """What it answers, in one sentence; the title of its report."""
    arms: tuple[Arm, ...]
    maps: tuple[str, ...] = TWO_MAPS
    common: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 5
    first_seed: int = 0
    fleets: tuple[int, ...] = ()
    """Numbers of agents that are compared; empty: one, as the settings say."""
    test_episodes: int = 0
    """Episodes that every run's final policies drive on seeds that training did not use."""
    references: bool = False
    """Whether drivers that learn nothing are drawn too."""
    plans: bool = False
    """Whether the demonstrations of every run that has some are driven without learning."""
    panels: Callable[[Results], Sequence[Panel]] | None = None
    """The picture in the paper's arrangement."""

    @property
    def compared(self) -> list[str]:
        return [arm.label for arm in self.arms]

    def members(self, request: Request) -> list[tuple[Member, Request]]:
        return [(self.only(request.arms), request)]

    def only(self, words: Sequence[str]) -> Experiment:
        """With these arms alone, as `choose_arms` finds them; all its own when none is named."""
        return replace(self, arms=choose_arms(self.name, self.arms, words))

    def runs(self, request: Request) -> list[Run]:
        """Every training run, seeds first, so that all arms have their first result early.

        Raises:
            UsageError: a setting is unknown or out of range, or one of `assignments` contradicts an arm.
        """
        found = []
        fleets: Sequence[int | None] = request.fleets or self.fleets or (None,)
        by_fleet = len(fleets) > 1 or bool(self.fleets)
        given = leaves(given_settings(request.assignments))
        fixed = OPTIONS if by_fleet else {n: option for n, option in OPTIONS.items() if n != "scenario.agents"}
        for name in fixed.keys() & given.keys():
            raise UsageError(f"-s {name} contradicts the experiment, which sets it; use {fixed[name]}.")
        count = self.seeds if request.seeds is None else request.seeds
        for seed in range(self.first_seed, self.first_seed + count):
            for place in request.maps or self.maps:
                for fleet in fleets:
                    for arm in self.arms:
                        _check_arm(arm, given)
                        own = {"scenario.agents": fleet, **arm.settings, "map.name": place, "seed": seed}
                        base = {n: v for n, v in {**DEFAULTS, **self.common}.items() if n not in given}
                        tree = {**base, **request.changes, **own}
                        settings = load_settings(assignments=request.assignments, overrides=tree)
                        found.append(Run(arm.label, place, seed, settings, by_fleet))
        return found

    def tasks(self, request: Request) -> list[Task]:
        """Training runs, and once per world the drivers that learn nothing."""
        tasks = []
        runs = self.runs(request)
        planned = next((run.arm for run in runs if run.settings.learning.source == "graph"), None)
        for run in runs:
            plan = run.demonstrated if self.plans else self.references and run.arm == planned
            extras = {"test_episodes": self.test_episodes, "plan": int(plan)}
            label = f"{run.arm}, {run.place}, seed {run.seed}"
            tasks.append(Task(label, run.key, "train", run.settings, {k: v for k, v in extras.items() if v}))
            if self.references:
                tasks.append(references_task(run))
        return tasks

    def report(
        self, request: Request, failed: Mapping[str, str], parent: Path, folder: Path, command: str
    ) -> Outcome | None:
        # An arm without its failed runs would look better or worse than it is.
        runs = self.runs(request)
        broken = {(run.arm, run.place) for run in runs if run.key in failed}
        whole = [run for run in runs if (run.arm, run.place) not in broken]
        if not whole:
            return None
        results = read_results(self.question, self.compared, whole, parent, self.test_episodes, self.references)
        return write_report(
            results,
            self.panels(results) if self.panels else None,
            folder,
            self._manifest(whole, parent, failed, command),
        )

    def _manifest(self, runs: Sequence[Run], parent: Path, failed: Mapping[str, str], command: str) -> Manifest:
        from leed_agentic.learning.run import read_versions

        # Runs may have been made at other times: their versions stand here where they differ from the report's.
        made_with = {json.dumps(read_versions(parent / run.key), sort_keys=True) for run in runs}
        references = dict.fromkeys(run.reference_key for run in runs) if self.references else ()
        made: list[ExperimentRun] = [
            {"arm": r.arm, "map": r.map, "agents": r.settings.scenario.agents, "seed": r.seed, "folder": r.key}
            for r in runs
        ]
        about = manifest(self.name, self.question, command, [run.seed for run in runs], made, failed)
        about["arms"] = {arm.label: dict(arm.settings) for arm in self.arms}
        about["versions_of_runs"] = [json.loads(text) for text in sorted(made_with)]
        about["references"] = [key for key in references if (parent / key).is_dir()]
        return about


def references_task(run: Run) -> Task:
    """The drivers that learn nothing, in a run's world."""
    label = f"references, {run.place}, seed {run.seed}"
    return Task(label, run.reference_key, "references", run.settings, {"episodes": REFERENCE_EPISODES})


def register(experiment: Listed) -> None:
    """File an experiment under its own name."""
    experiments.register(experiment.name)(experiment)


def _check_arm(arm: Arm, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in arm.settings and arm.settings[name] != value:
            raise UsageError(
                f"-s {name}={value} contradicts arm {arm.label!r}, which is {name}={arm.settings[name]}; leave it out, "
                "or leave the arm out (--arm)."
            )
