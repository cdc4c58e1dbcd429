"""One piece of work that an experiment needs: a folder to fill, by a named function, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leed_agentic.errors import LeedError, UnavailableError, UsageError
from leed_agentic.runs.files import read_json, write_json
from leed_agentic.settings import Settings

SUMMARY = "summary.json"
REFERENCES = "references.json"
PLAN = "plan.json"
FAILURE = "failure.json"
CALLS = "calls.jsonl"
REFINEMENT = "refinement"
"""The work of a comparison and of Table II: one scenario's demonstrations, measured after numbers of refinements."""
HELD_OUT = "held-out"
"""Training on ever new trips, and drives of others after numbers of episodes."""
OTHERS_HELD_OUT = "held-out references"
"""The same drives by drivers that learn nothing."""


def tests_file(episodes: int) -> str:
    """Name of the file of a run's test runs."""
    return f"test_{episodes}.json"


def held_out_file(episodes: int) -> str:
    """Name of the file of a run's drives of other trips after so many episodes."""
    return f"held-out-{episodes}.json"


def stages_file(rounds: Sequence[int]) -> str:
    """Name of the file of the figures after these numbers of refinements."""
    return f"rounds_{'-'.join(map(str, rounds))}.json"


@dataclass(frozen=True)
class Failure:
    """Why a task failed, and the exit code that goes with it."""

    problem: str
    exit_code: int = LeedError.exit_code

    def error(self, before: str = "") -> LeedError:
        """To be raised in the process that asked for the task."""
        kinds = {kind.exit_code: kind for kind in (LeedError, UsageError, UnavailableError)}
        return kinds.get(self.exit_code, LeedError)(before + self.problem)

    def leave_in(self, folder: Path) -> None:
        write_json(folder / FAILURE, {"problem": self.problem, "exit_code": self.exit_code})


@dataclass(frozen=True)
class Task:
    """Equal folders are the same work, whichever experiment asks for it."""

    label: str
    """For people: arm, place, seed."""
    folder: str
    """Its name among the shared runs."""
    work: str
    """A key of `work.works`, which says what each does."""
    settings: Settings
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What the work needs to know besides the settings, such as `test_episodes`."""

    @property
    def files(self) -> list[str]:
        """What it leaves behind; all there means done."""
        if self.work == REFINEMENT:
            return [stages_file(self.extras["rounds"])]
        if self.work in ("references", OTHERS_HELD_OUT):
            return [REFERENCES]
        if self.work == HELD_OUT:
            return [held_out_file(episodes) for episodes in self.extras["lengths"]]
        tests = self.extras.get("test_episodes")
        return [SUMMARY, *([tests_file(tests)] if tests else []), *([PLAN] if self.extras.get("plan") else [])]

    @property
    def trains(self) -> bool:
        """Whether its folder is that of a training run."""
        return self.work in ("train", HELD_OUT)

    @property
    def asks_a_model(self) -> bool:
        """Whether language models answer in it."""
        return self.work == REFINEMENT or (self.trains and self.settings.learning.source == "graph")

    def done(self, parent: Path) -> bool:
        """Whether its result is there already."""
        # What is played from the record is for measuring it again.
        again = self.work == REFINEMENT and self.extras["record"] == "only"
        return not again and all((parent / self.folder / name).is_file() for name in self.files)

    def effort(self, parent: Path) -> float:
        """How long it takes, roughly, in episodes; for the time left."""
        if self.work == "train" and not (parent / self.folder / SUMMARY).is_file():
            return self.settings.learning.episodes
        if self.work == HELD_OUT:
            return max(self.extras["lengths"])
        return 10.0

    def check(self, parent: Path) -> None:
        """Raises UsageError when the folder was made by another version of this program."""
        from leed_agentic.learning.run import read_run_file, read_versions
        from leed_agentic.versions import package_versions

        folder = parent / self.folder
        if not self.trains or not (folder / "run.json").is_file():
            return
        read_run_file(folder, self.settings.vouched_for())
        made, here = read_versions(folder).get("leed-agentic"), package_versions()["leed-agentic"]
        if made != here:
            raise UsageError(
                f"{folder} was made by leed-agentic {made}, and this is {here}: figures of two versions do not go "
                "together; delete the folder or choose another --out."
            )


def merged(tasks: Sequence[Task]) -> list[Task]:
    """Each folder once, with all that anybody wants of it, in the order of first mention."""
    found: dict[str, Task] = {}
    for task in tasks:
        known = found.get(task.folder)
        found[task.folder] = replace(known, extras={**known.extras, **task.extras}) if known else task
    return list(found.values())


def read_stages(file: Path) -> dict[str, Any]:
    """What a refinement left. Raises UsageError when the file is damaged."""
    try:
        data = read_json(file, "what a refinement found")
        if not isinstance(data["stages"], list):
            raise UsageError(f"{file} holds no stages.")
    except (UsageError, KeyError) as error:
        raise UsageError(f"{file} is damaged ({error}); delete it and call again.") from error
    return data
