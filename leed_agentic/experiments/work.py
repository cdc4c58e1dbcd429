"""The work of an experiment, done in a process of its own: train a run, drive what learned nothing, plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from leed_agentic.errors import LeedError, UsageError
from leed_agentic.experiments.task import PLAN, QUALITY, REFERENCES, SUMMARY, TRIAL, stages_file, tests_file
from leed_agentic.settings import Settings


def execute(work: str, settings_json: str, folder_name: str, extras: Mapping[str, Any]) -> None:
    """Do one task. Raises RuntimeError with the sentence of what went wrong."""
    if work != TRIAL:
        import torch

        # As many tasks as cores: more threads would fight, and the last bit of a sum depends on their number.
        torch.set_num_threads(1)
    folder = Path(folder_name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        works[work](Settings.model_validate_json(settings_json), folder, extras)
    except (LeedError, OSError) as error:
        # Its own type may not survive the way between processes; the sentence does.
        raise RuntimeError(str(error)) from None


def train(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """Train from where the folder stands, then drive the final policies and the final plan where that is wanted."""
    from leed_agentic.learning.evaluation import drive_all, evaluation_seeds, plan_driver, plan_of_run, trained_driver
    from leed_agentic.learning.session import take_up

    if not (folder / SUMMARY).is_file():
        _train(settings, folder)
    tests = extras.get("test_episodes", 0)
    test, plan = folder / tests_file(tests), folder / PLAN
    if (not tests or test.is_file()) and (not extras.get("plan") or plan.is_file()):
        return
    # From the checkpoint, as `leed evaluate` does it: a run that was finished earlier gives the same figures.
    session = take_up(folder, with_source=False)
    try:
        env = session.world.env
        if tests:
            seeds = evaluation_seeds(settings.seed, tests)
            _write(test, {"seeds": seeds, "driver": drive_all(env, [trained_driver(session)], seeds)[0]})
        if extras.get("plan"):
            try:
                seeds = evaluation_seeds(settings.seed, _repeats(settings))
                _write(plan, {"driver": drive_all(env, [plan_driver(plan_of_run(session))], seeds)[0]})
            except UsageError as error:
                _write(plan, {"driver": None, "why": str(error)})
    finally:
        session.close()


def _train(settings: Settings, folder: Path) -> None:
    from leed_agentic.demonstrations.source import GraphSource
    from leed_agentic.learning.checkpoint import checkpoints
    from leed_agentic.learning.session import begin, summary, take_up

    if checkpoints(folder / "checkpoints"):
        session = take_up(folder, GraphSource)
    else:
        session = begin(settings, folder, GraphSource)
    try:
        session.trainer.run()
        result = summary(session)
    finally:
        session.close()
    _write(folder / SUMMARY, result)


def references(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """Random, shortest path and its re-planned form in one run's world."""
    from leed_agentic.learning.evaluation import RANDOM, SHORTEST_PATH, drive_all, evaluation_seeds, reference_drivers
    from leed_agentic.learning.session import make_world

    world = make_world(settings)
    try:
        by_name = {driver.name: driver for driver in reference_drivers(world.agents)}
        seeds = evaluation_seeds(settings.seed, extras["episodes"])
        drawn = drive_all(world.env, [by_name.pop(RANDOM), by_name[SHORTEST_PATH]], seeds)[:1]
        fixed = drive_all(world.env, list(by_name.values()), seeds[: _repeats(settings, len(seeds))])
    finally:
        world.env.close()
    _write(folder / REFERENCES, {"seeds": seeds, "drivers": [*drawn, *fixed]})


def quality(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """One scenario's demonstrations at the initial prompt and after refinements."""
    from leed_agentic.experiments.quality import measure

    _write(folder / QUALITY, measure(settings, folder, extras["policy_episodes"]))


def trial(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """One scenario's demonstrations by one model of a comparison."""
    from leed_agentic.experiments.trial import FAILURE, measure, note_failure

    try:
        found = measure(settings, folder, extras)
    except LeedError as error:
        note_failure(folder, error)
        raise
    _write(folder / stages_file(extras["rounds"]), found)
    (folder / FAILURE).unlink(missing_ok=True)


works: dict[str, Callable[[Settings, Path, Mapping[str, Any]], None]] = {
    "train": train,
    "references": references,
    "quality": quality,
    TRIAL: trial,
}


def _repeats(settings: Settings, most: int = 20) -> int:
    """Without driver noise every episode of a driver that draws nothing is the same one."""
    return most if settings.environment.driver_noise else 1


def _write(file: Path, data: Mapping[str, Any]) -> None:
    from leed_agentic.runs.files import write_text

    write_text(file, json.dumps(data, indent=1) + "\n")
