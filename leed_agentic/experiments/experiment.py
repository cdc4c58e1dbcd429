"""What an experiment is: arms to compare, each a few settings, on some maps, over seeds; and the list of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from leed_agentic import __version__
from leed_agentic.errors import UsageError
from leed_agentic.experiments.task import Task
from leed_agentic.registry import Registry, nearest
from leed_agentic.settings import Settings, load_settings

if TYPE_CHECKING:
    from leed_agentic.experiments.evidence import Evidence
    from leed_agentic.experiments.picture import Panel

TWO_MAPS = ("braunschweig", "berlin")
REFERENCE_EPISODES = 20
"""Of random driving, and of every other reference driver where there is driver noise."""


@dataclass(frozen=True)
class Request:
    """What the caller of an experiment decides; an experiment's own settings go before `changes`."""

    maps: tuple[str, ...] = ()
    """Empty: the experiment's own; likewise below."""
    seeds: int | None = None
    fleets: tuple[int, ...] = ()
    arms: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the command line, such as `learning.episodes`."""
    assignments: tuple[str, ...] = ()
    """`a.b=value`, for every arm."""
    policy_episodes: int = 0
    """Of training before a policy is compared with demonstrations (table2)."""


@dataclass(frozen=True)
class Outcome:
    """What an experiment shows for itself."""

    text: str
    """Markdown."""
    data: dict[str, Any]
    """For `--json`."""
    files: list[Path]


class Part(Protocol):
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


class Study(Protocol):
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

    def parts(self, request: Request) -> list[tuple[Part, Request]]:
        """The figures and tables it consists of, each with what is asked of it."""


experiments: Registry[Study] = Registry("experiment")


@dataclass(frozen=True)
class Arm:
    """One thing that is compared: a label for figures, and the settings that make it."""

    label: str
    settings: Mapping[str, Any]
    """Dotted name to value."""


@dataclass(frozen=True)
class Run:
    """One training run of an experiment."""

    arm: str
    map: str
    seed: int
    settings: Settings
    by_fleet: bool = False
    """Whether the experiment compares numbers of agents."""

    @property
    def key(self) -> str:
        """Folder name; equal settings give the same one, so that experiments share runs."""
        return self._folder(self.settings.learning.algorithm, self.settings.model_dump(mode="json"))

    @property
    def reference_key(self) -> str:
        """Folder name of the drivers that learn nothing, in this run's world."""
        world = self.settings.model_dump(mode="json", include={"seed", "map", "scenario", "environment"})
        return self._folder("references", {**world, "episodes": REFERENCE_EPISODES})

    def _folder(self, what: str, content: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps({"version": __version__, **content}, sort_keys=True).encode()).hexdigest()
        where = re.sub(r"[^A-Za-z0-9-]+", "-", self.map.rsplit("/", 1)[-1])[:30]
        return f"{where}_{what}_s{self.seed}_{digest[:10]}"

    @property
    def place(self) -> str:
        """What the run's figures are pooled by: its map, with the number of agents where that is compared."""
        name = Path(self.map).name.split(".")[0]
        return f"{name}_{self.settings.scenario.agents}_agents" if self.by_fleet else name


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
    fleets: tuple[int, ...] = ()
    """Numbers of agents that are compared; empty: one, as the settings say."""
    test_episodes: int = 0
    """Episodes that every run's final policies drive on seeds that training did not use."""
    references: bool = False
    """Whether drivers that learn nothing are shown too."""
    panels: Callable[[Evidence], Sequence[Panel]] | None = None
    """The picture in the paper's arrangement."""

    @property
    def compared(self) -> list[str]:
        return [arm.label for arm in self.arms]

    def parts(self, request: Request) -> list[tuple[Part, Request]]:
        return [(self.only(request.arms), request)]

    def only(self, labels: Sequence[str]) -> Experiment:
        """With these arms alone, in the experiment's own order; all when none is named."""
        for label in labels:
            if label not in self.compared:
                raise UsageError(f"Experiment {self.name} has no arm {label!r}: {nearest(label, self.compared)}")
        return replace(self, arms=tuple(arm for arm in self.arms if arm.label in labels)) if labels else self

    def runs(self, request: Request) -> list[Run]:
        """Every training run, seeds first, so that all arms have their first result early.

        Raises:
            UsageError: a setting is unknown or out of range.
        """
        found = []
        fleets: Sequence[int | None] = request.fleets or self.fleets or (None,)
        by_fleet = len(fleets) > 1 or bool(self.fleets)
        for seed in range(self.seeds if request.seeds is None else request.seeds):
            for place in request.maps or self.maps:
                for fleet in fleets:
                    for arm in self.arms:
                        own = {"scenario.agents": fleet, **arm.settings, "map.name": place, "seed": seed}
                        tree = {**self.common, **request.changes, **own}
                        settings = load_settings(assignments=request.assignments, overrides=tree)
                        found.append(Run(arm.label, place, seed, settings, by_fleet))
        return found

    def tasks(self, request: Request) -> list[Task]:
        """Training runs, and once per world the drivers that learn nothing."""
        tasks = []
        planned = self._plan_arm()
        for run in self.runs(request):
            extras = {"test_episodes": self.test_episodes, "plan": int(self.references and run.arm == planned)}
            label = f"{run.arm}, {run.place}, seed {run.seed}"
            tasks.append(Task(label, run.key, "train", run.settings, {k: v for k, v in extras.items() if v}))
            if self.references:
                label = f"references, {run.place}, seed {run.seed}"
                extras = {"episodes": REFERENCE_EPISODES}
                tasks.append(Task(label, run.reference_key, "references", run.settings, extras))
        return tasks

    def _plan_arm(self) -> str | None:
        """The arm whose demonstrations are also driven alone."""
        asking = [a.label for a in self.arms if a.settings.get("learning.source", "graph") == "graph"]
        return asking[0] if asking else None

    def report(
        self, request: Request, failed: Mapping[str, str], parent: Path, folder: Path, command: str
    ) -> Outcome | None:
        from leed_agentic.experiments.report import write_report

        runs = self.runs(request)
        # An arm without its failed runs would look better or worse than it is.
        broken = {(run.arm, run.place) for run in runs if run.key in failed}
        whole = [run for run in runs if (run.arm, run.place) not in broken]
        return write_report(self, whole, parent, folder, command, failed) if whole else None


def register(experiment: Study) -> None:
    """File an experiment under its own name."""
    experiments.register(experiment.name)(experiment)
