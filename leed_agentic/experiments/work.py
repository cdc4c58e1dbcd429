"""The work of an experiment, done in a process of its own: train a run, drive what learned nothing, refine plans."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from leed_agentic.errors import LeedError, UsageError
from leed_agentic.experiments.task import (
    FAILURE,
    HELD_OUT,
    OTHERS_HELD_OUT,
    PLAN,
    REFERENCES,
    REFINEMENT,
    SUMMARY,
    Failure,
    stages_file,
    tests_file,
)
from leed_agentic.runs.files import write_json
from leed_agentic.settings import Settings


def make(work: str, settings_json: str, folder_name: str, extras: Mapping[str, Any]) -> Failure | None:
    """Do one task. A failure is returned, and left in the folder: an error's type may not survive the way between
    processes."""
    folder = Path(folder_name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        works[work](Settings.model_validate_json(settings_json), folder, extras)
        (folder / FAILURE).unlink(missing_ok=True)
    except (LeedError, OSError) as error:
        failure = Failure(str(error), error.exit_code if isinstance(error, LeedError) else LeedError.exit_code)
        try:
            failure.leave_in(folder)
        except LeedError:
            # A full disk is the failure; that it cannot be noted there is no news.
            return failure
        return failure
    return None


def train(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """Train from where the folder stands, then drive the final policies and the final plan where that is wanted.

    Raises:
        LeedError: its source never gave a demonstration: the run is none of its arm's.
    """
    from leed_agentic.learning.evaluation import drive_all, evaluation_seeds, plan_of_run, trained_driver
    from leed_agentic.learning.session import take_up

    _one_thread()
    if not (folder / SUMMARY).is_file():
        _train(settings, folder)
    tests = extras.get("test_episodes", 0)
    test, plan = folder / tests_file(tests), folder / PLAN
    if (not tests or test.is_file()) and (not extras.get("plan") or plan.is_file()):
        return
    # From the checkpoint, as `leed evaluate` does it: a run that was finished earlier gives the same figures.
    with closing(take_up(folder, with_source=False, given=settings.vouched_for())) as session:
        env = session.world.env
        if tests:
            seeds = evaluation_seeds(settings.seed, tests)
            write_json(test, {"seeds": seeds, "driver": drive_all(env, [trained_driver(session)], seeds)[0]})
        if extras.get("plan"):
            try:
                seeds = evaluation_seeds(settings.seed, _repeats(settings))
                found: dict[str, Any] = {"driver": drive_all(env, [plan_of_run(session)], seeds)[0]}
            except UsageError as error:
                found = {"driver": None, "why": str(error)}
            write_json(plan, found)


def _train(settings: Settings, folder: Path) -> None:
    from leed_agentic.learning.checkpoint import checkpoints
    from leed_agentic.learning.session import begin, take_up
    from leed_agentic.learning.trainer import NoDemonstrationError

    begun = checkpoints(folder / "checkpoints")
    vouched = settings.vouched_for()
    with closing(take_up(folder, given=vouched) if begun else begin(settings, folder)) as session:
        try:
            session.trainer.run()
        except NoDemonstrationError:
            # Without its checkpoints the next call begins the run again.
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
            raise
        write_json(folder / SUMMARY, session.summary())


def references(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """Random and shortest path in one run's world, and in traffic duaIterate."""
    from leed_agentic.learning.evaluation import (
        RANDOM,
        SHORTEST_PATH,
        drive_all,
        equilibrium_driver,
        evaluation_seeds,
        reference_drivers,
    )
    from leed_agentic.learning.session import make_world
    from leed_agentic.traffic.demand import in_traffic

    _one_thread()
    world = make_world(settings)
    try:
        by_name = {driver.name: driver for driver in reference_drivers(world.agents)}
        if in_traffic(settings) and settings.scenario.redraw == "never":
            by_name["equilibrium"] = equilibrium_driver(world.env)
        seeds = evaluation_seeds(settings.seed, extras["episodes"])
        drawn = drive_all(world.env, [by_name.pop(RANDOM), by_name[SHORTEST_PATH]], seeds)[:1]
        fixed = drive_all(world.env, list(by_name.values()), seeds[: _repeats(settings, len(seeds))])
    finally:
        world.env.close()
    write_json(folder / REFERENCES, {"seeds": seeds, "drivers": [*drawn, *fixed]})


def refinement(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """One scenario's demonstrations after given numbers of refinements."""
    from leed_agentic.experiments.refinement import measure

    if extras.get("policy_episodes") is not None:
        _one_thread()
    write_json(folder / stages_file(extras["rounds"]), measure(settings, folder, extras))


def held_out(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """Training on ever new trips, and drives of others."""
    from leed_agentic.experiments.held_out import train_and_measure

    _one_thread()
    train_and_measure(settings, folder, extras)


def others_held_out(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """The same drives by drivers that learn nothing."""
    from leed_agentic.experiments.held_out import measure_others

    measure_others(settings, folder, extras)


works: dict[str, Callable[[Settings, Path, Mapping[str, Any]], None]] = {
    "train": train,
    "references": references,
    REFINEMENT: refinement,
    HELD_OUT: held_out,
    OTHERS_HELD_OUT: others_held_out,
}


def _one_thread() -> None:
    """As many tasks as cores: more threads would fight, and the last bit of a sum depends on their number."""
    import torch

    torch.set_num_threads(1)


def _repeats(settings: Settings, most: int = 20) -> int:
    """Without driver noise every episode of a driver that draws nothing is the same one."""
    return most if settings.environment.driver_noise else 1
