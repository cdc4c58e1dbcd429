"""A training run put together from settings: map, scenario, world, algorithm, source, folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.algorithms import Algorithm, algorithms
from leed_agentic.learning.checkpoint import checkpoints
from leed_agentic.learning.rollout import RouteWorld
from leed_agentic.learning.run_folder import read_run_file, write_run_file
from leed_agentic.learning.sources import DemonstrationSource, FileSource, LogitSource, ShortestPathSource
from leed_agentic.learning.trainer import Trainer
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.log import read_csv
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario

MakeGraphSource = Callable[[Settings, RouteEnv, Path | None], DemonstrationSource]
"""How the language model's source is made; handed in, because learning knows no language model."""
Line = Callable[[str], Any]
Row = Callable[[Mapping[str, Any]], Any]


@dataclass
class Session:
    """What a run consists of."""

    settings: Settings
    world: RouteWorld
    trainer: Trainer
    folder: Path | None

    def close(self) -> None:
        try:
            close = getattr(self.trainer.source, "close", None)
            if close:
                close()
        finally:
            self.world.env.close()


def make_world(settings: Settings, scenario: Scenario | None = None) -> RouteWorld:
    """The environment of the settings' map and scenario; the scenario is drawn from the seed when None is given."""
    network = open_map(settings.map.name, settings.map)
    if scenario is None:
        scenario = scenario_for(network, settings)
    if scenario.map != network.name:
        raise UsageError(f"The scenario was made for map {scenario.map}, not for {network.name}.")
    if settings.scenario.redraw != "never" and not settings.scenario.demand:
        every = 1 if settings.scenario.redraw == "episode" else settings.scenario.redraw
        draw = partial(scenario_for, network, settings)
        return RouteWorld(RouteEnv(network, draw, settings.environment, every, settings.seed))
    return RouteWorld(RouteEnv(network, scenario, settings.environment))


def make_algorithm(settings: Settings, world: RouteWorld) -> Algorithm:
    make = algorithms.get(settings.learning.algorithm)
    _check_device(settings.learning.device)
    return make(world.agents, world.actions, world.encoding(settings.learning), settings.learning, settings.seed)


def _check_device(name: str) -> None:
    """Raises UsageError when torch knows no such device or the machine has none."""
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"learning.device {name!r} cannot be used here ({reason}); leave it out or say cpu."
        ) from error


def make_source(
    settings: Settings, world: RouteWorld, folder: Path | None, graph: MakeGraphSource | None
) -> DemonstrationSource | None:
    """The source that the settings name; None for `none`."""
    learning = settings.learning
    if learning.source == "shortest-path":
        return ShortestPathSource()
    if learning.source == "logit":
        return LogitSource(learning.logit_temperature, settings.seed)
    if learning.source == "file":
        if learning.demonstrations is None:
            raise UsageError("Source file needs a file: -s learning.demonstrations=FILE.")
        return FileSource(learning.demonstrations, world.env)
    if learning.source == "graph":
        if graph is None:
            raise UsageError("Source graph is not at hand here; choose shortest-path, logit, file or none.")
        return graph(settings, world.env, folder)
    return None


def begin(
    settings: Settings,
    folder: Path | None,
    graph: MakeGraphSource | None = None,
    warn: Line = lambda line: None,
    watch: Row = lambda row: None,
) -> Session:
    """A new run in an empty folder. Raises UsageError or UnavailableError before anything is trained."""
    world = make_world(settings)
    with ExitStack() as on_error:
        on_error.callback(world.env.close)
        algorithm = make_algorithm(settings, world)
        source = make_source(settings, world, folder, graph) if algorithm.uses_demonstrations else None
        trainer = Trainer(world, algorithm, settings.learning, settings.seed, source, folder, warn, watch)
        if folder:
            # Last: with this file a folder is a run, which can be resumed.
            write_run_file(folder, settings, world.env.scenario)
        on_error.pop_all()
    return Session(settings, world, trainer, folder)


def take_up(
    folder: Path,
    graph: MakeGraphSource | None = None,
    warn: Line = lambda line: None,
    watch: Row = lambda row: None,
    with_source: bool = True,
) -> Session:
    """A run as of its latest checkpoint.

    Args:
        with_source: False for a run that shall only drive; it needs neither its source nor the device it learned on.

    Raises:
        UsageError: the folder or its checkpoint is not usable.
    """
    settings, scenario = read_run_file(folder)
    if not with_source:
        settings.learning.device = "cpu"
    world = make_world(settings, scenario)
    with ExitStack() as on_error:
        on_error.callback(world.env.close)
        algorithm = make_algorithm(settings, world)
        wanted = with_source and algorithm.uses_demonstrations
        source = make_source(settings, world, folder, graph) if wanted else None
        trainer = Trainer(world, algorithm, settings.learning, settings.seed, source, folder, warn, watch)
        trainer.resume()
        on_error.pop_all()
    return Session(settings, world, trainer, folder)


def finished_summary(folder: Path) -> dict[str, Any] | None:
    """The summary that a run wrote at its end; None while there are episodes to train or a summary to write.

    Raises:
        UsageError: the folder is not a training run.
    """
    settings, _ = read_run_file(folder)
    known = checkpoints(folder / "checkpoints")
    if not known or int(known[-1].name) < settings.learning.episodes:
        return None
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Stopped between the last checkpoint and the summary, which is made again.
        return None
    return found if isinstance(found, dict) and "episodes" in found else None


def summary(session: Session) -> dict[str, Any]:
    """The figures of a finished run, from its own metrics.csv and timing.csv."""
    if session.folder is None:
        raise UsageError("A run without a folder keeps no metrics to sum up.")
    metrics, timing = read_csv(session.folder / "metrics.csv"), read_csv(session.folder / "timing.csv")
    rewards = [float(row["reward_mean"]) for row in metrics]
    total = {name: sum(float(row[name]) for row in timing) for name in timing[0] if name != "episode"}
    decisions = sum(int(row["decisions"]) for row in metrics)
    source = session.trainer.source
    return {
        "run": str(session.folder),
        "algorithm": session.settings.learning.algorithm,
        "source": source.name if source else "none",
        "map": session.world.env.network.name,
        "agents": session.world.agents,
        "episodes": len(metrics),
        "reward_first20": float(np.mean(rewards[:20])),
        "reward_last20": float(np.mean(rewards[-20:])),
        "arrival_rate_last20": float(np.mean([float(row["arrival_rate"]) for row in metrics[-20:]])),
        "decisions": decisions,
        "simulated_seconds": sum(float(row["simulated_seconds"]) for row in metrics),
        **total,
        "decisions_per_second": decisions / total["seconds"],
        "triggers": session.trainer.triggers,
        "source_failures": session.trainer.failures,
        **session.trainer.spent(),
    }
