"""A training run put together from settings: map, scenario, world, algorithm, source, folder."""

from __future__ import annotations

import html
import importlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leed_agentic import __version__
from leed_agentic.errors import UnwritableError, UsageError
from leed_agentic.learning.algorithms import algorithm_class, with_options
from leed_agentic.learning.policy import Policy
from leed_agentic.learning.rollout import SEED_STRIDE, RouteWorld
from leed_agentic.learning.run import SUMMARY, read_run_file, summary_of, write_run_file
from leed_agentic.learning.sources import MakeSource, check_source_name, sources
from leed_agentic.learning.trainer import NoDemonstrationError, Trainer, one_thread
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.files import read_json, write_json
from leed_agentic.runs.folder import create_run_folder
from leed_agentic.runs.lock import alone
from leed_agentic.runs.log import read_csv
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.similarity import dtw_methods

Watch = Callable[[Mapping[str, Any]], Any]


@dataclass
class Session:
    """What a run consists of."""

    settings: Settings
    world: RouteWorld
    trainer: Trainer
    folder: Path | None
    opened: ExitStack
    """What `close` closes."""

    def close(self) -> None:
        self.opened.close()

    def summary(self) -> dict[str, Any]:
        """The figures of a finished run, from its own metrics.csv and timing.csv."""
        if self.folder is None:
            raise UsageError("A run without a folder keeps no metrics to sum up.")
        trainer = self.trainer
        return {
            "run": str(self.folder),
            "algorithm": self.settings.learning.algorithm,
            "source": trainer.source.name if trainer.source else "none",
            "map": self.world.env.network.name,
            "agents": self.world.agents,
            **summary_of(self.folder),
            "triggers": trainer.triggers,
            "source_failures": trainer.failures,
            **trainer.usage(),
            **({"failure": trainer.lack} if trainer.lack else {}),
        }

    def policy(self, agent: int) -> Policy:
        """One agent's policy as it is now.

        Raises:
            UsageError: no such agent, or an algorithm without a policy network per agent.
        """
        settings, world, algorithm = self.settings, self.world, self.trainer.algorithm
        if not 0 <= agent < world.agents:
            raise UsageError(f"There is no agent {agent}; {self.folder} has agents 0 to {world.agents - 1}.")
        encoding, network = world.encoding(settings.learning), world.env.network
        networks = algorithm.policy
        fitting, shape = (world.agents, encoding.size, world.actions), None
        if networks is not None and agent < networks.agents:
            weights = networks.of(networks.arrays(), agent)
            shape = networks.agents, len(weights["weight0"]), len(weights["bias2"])
        if networks is None or shape != fitting:
            raise UsageError(
                f"Algorithm {settings.learning.algorithm} has no policy network per agent that sees the agent's own "
                "observation alone; export a run of another one, such as leed or ippo."
            )
        tensors = {name: np.ascontiguousarray(array) for name, array in weights.items()}
        trip = world.env.scenario.agents[agent]
        facts = {
            "map": network.name,
            "agent": agent,
            "start_edge": trip.start_edge,
            "destination": trip.destination,
            "algorithm": settings.learning.algorithm,
            "trained_episodes": self.trainer.episode,
            "seed": settings.seed,
            "observation": settings.environment.observation,
            "score": settings.environment.score,
            "actions": world.actions,
            "activation": networks.activation,
            "encoding": {
                "kind": encoding.kind,
                "columns": encoding.columns,
                "numbers": encoding.numbers.tolist(),
                "plain": encoding.plain,
            },
            "junctions": [j.id for j in network.junctions],
            "leed_agentic": __version__,
        }
        return Policy({**tensors, "table": encoding.table}, facts)


def check_learning(settings: Settings) -> Settings:
    """The settings with all that the chosen algorithm takes, for run.json.

    Raises:
        UsageError: a name that the learning settings hold means nothing, or cannot be used on this machine.
    """
    learning = with_options(settings.learning)
    check_source_name(learning.source)
    dtw_methods.get(learning.dtw)
    if learning.source == "file" and settings.scenario.redraw != "never":
        raise UsageError(
            "Source file holds demonstrations of one scenario, and scenario.redraw draws others; choose another source "
            "than that, or leave scenario.redraw out."
        )
    try:
        torch.zeros(1, device=learning.device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"learning.device {learning.device!r} cannot be used here ({reason}); leave it out or say cpu."
        ) from error
    return settings.model_copy(update={"learning": learning})


def make_world(settings: Settings, scenario: Scenario | None = None) -> RouteWorld:
    """The environment of the settings' map and scenario, the first one where training draws others (scenario.redraw);
    drawn from the seed when None is given."""
    network = open_map(settings.map.name, settings.map)
    # A demand of the user's own is the same trips every time.
    redraw = "never" if settings.scenario.demand else settings.scenario.redraw
    draw = partial(scenario_for, network, settings)
    if scenario is None:
        scenario = draw() if redraw == "never" else draw(SEED_STRIDE * settings.seed)
    if scenario.map != network.name:
        raise UsageError(f"The scenario was made for map {scenario.map}, not for {network.name}.")
    env = RouteEnv(network, scenario, settings.environment)
    return RouteWorld(env) if redraw == "never" else RouteWorld(env, draw, 1 if redraw == "episode" else redraw)


def begin(
    settings: Settings, folder: Path | None, graph: MakeSource | None = None, watch: Watch = lambda row: None
) -> Session:
    """A new run in an empty folder, which is this process's alone until the session is closed.

    Args:
        graph: makes the source of that name in place of the registered class.

    Raises:
        UsageError, UnavailableError: before anything is trained.
    """
    settings = check_learning(settings)
    with ExitStack() as opened:
        session = _session(settings, make_world(settings), folder, graph, watch, opened)
        if folder:
            opened.enter_context(alone(folder))
            # Last: with this file a folder is a run, which can be resumed.
            write_run_file(folder, settings, session.world.env.scenario, session.trainer.algorithm.metrics)
        session.opened = opened.pop_all()
    return session


def take_up(
    folder: Path,
    graph: MakeSource | None = None,
    watch: Watch = lambda row: None,
    with_source: bool = True,
    given: Mapping[str, Any] | None = None,
    trust: bool = False,
    drives: bool = True,
) -> Session:
    """A run as of its latest checkpoint.

    Args:
        with_source: False for a run that shall only drive; it needs neither its source nor the device it learned on,
            and other processes may train it meanwhile.
        given, trust: what the caller vouches for of the settings that lie in the folder (see `settings_to_go_on`).
        drives: False where only its policies are wanted: SUMO starts when it is first needed, in a process of its own.

    Raises:
        UsageError: the folder or its checkpoint is not usable, or another process trains there.
    """
    settings, scenario = read_run_file(folder, given, trust)
    settings = check_learning(settings) if with_source else settings.changed({"learning.device": "cpu"})
    if not drives:
        settings = settings.changed({"environment.backend": "process"})
    with ExitStack() as opened:
        if with_source:
            opened.enter_context(alone(folder))
        session = _session(settings, make_world(settings, scenario), folder, graph, watch, opened, with_source)
        session.trainer.resume()
        session.opened = opened.pop_all()
    return session


def _session(
    settings: Settings,
    world: RouteWorld,
    folder: Path | None,
    graph: MakeSource | None,
    watch: Watch,
    opened: ExitStack,
    with_source: bool = True,
) -> Session:
    opened.callback(world.env.close)
    learning, source = settings.learning, None
    with one_thread():
        algorithm = algorithm_class(learning.algorithm)(
            world.agents, world.actions, world.encoding(learning), learning, settings.seed
        )
    if with_source and algorithm.uses_demonstrations and learning.source != "none":
        make = graph if graph and learning.source == "graph" else sources.get(learning.source)
        source = make(settings, world.env, folder)
        opened.callback(source.close)
    trainer = Trainer(world, algorithm, learning, settings.seed, source, folder, watch)
    return Session(settings, world, trainer, folder, opened)


# -- from start to end -------------------------------------------------------------------------------------------------
def for_training(settings: Settings) -> Settings:
    """The stand-in where no model was chosen: the shipped recording answers one scenario's questions, and training asks
    new ones."""
    if "name" in settings.model.model_fields_set:
        return settings
    return settings.changed({"model.name": "stand-in"})


def finish(session: Session) -> dict[str, Any]:
    """Train to the end and write summary.json; returns what it holds.

    Raises:
        NoDemonstrationError: the algorithm uses demonstrations and never had one; the summary says so.
        UnwritableError: the disk is full or cannot be written; the message says how to go on.
    """
    failure = None
    try:
        try:
            session.trainer.run()
        except NoDemonstrationError as error:
            failure = error
        result = session.summary()
        if session.folder:
            write_json(session.folder / SUMMARY, result)
    except UnwritableError as error:
        raise UnwritableError(f"{error} Then go on with `leed train --resume {session.folder}`.") from error
    if failure:
        raise failure
    return result


@dataclass(frozen=True)
class Run:
    """A training run as it lies in its folder."""

    folder: Path
    settings: Settings
    scenario: Scenario

    @cached_property
    def metrics(self) -> dict[str, np.ndarray]:
        """The columns of metrics.csv, each of shape (episodes,), float64; NaN where an episode has no figure."""
        rows = read_csv(self.folder / "metrics.csv")
        return {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else ())}

    def _repr_html_(self) -> str:
        """The map and the summary, in a notebook."""
        pairs = ((html.escape(name), html.escape(str(value))) for name, value in self.summary.items())
        rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in pairs)
        return f"{open_map(self.settings.map.name, self.settings.map)._repr_html_()}<table>{rows}</table>"

    def frame(self) -> Any:
        """The metrics as a pandas DataFrame. Raises UsageError when pandas is not installed."""
        try:
            pd = importlib.import_module("pandas")
        except ImportError as error:
            raise UsageError("A frame needs pandas: pip install pandas, or take `metrics`, which does not.") from error
        return pd.DataFrame(self.metrics)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What summary.json holds; empty until the run is finished."""
        file = self.folder / SUMMARY
        return read_json(file, "the summary of a training run") if file.is_file() else {}

    def policy(self, agent: int) -> Policy:
        """An agent's policy as of the latest checkpoint.

        Raises:
            UsageError: no such agent, or an algorithm without a policy network per agent.
        """
        # Its settings were vouched for when it was loaded.
        with closing(take_up(self.folder, with_source=False, trust=True, drives=False)) as session:
            return session.policy(agent)

    def policies(self) -> list[Policy]:
        """Every agent's policy as of the latest checkpoint. Raises UsageError as `policy`."""
        with closing(take_up(self.folder, with_source=False, trust=True, drives=False)) as session:
            return [session.policy(agent) for agent in range(session.world.agents)]


def load_run(folder: str | Path, trust: bool = False) -> Run:
    """A run that `leed train` or `train` made.

    Args:
        trust: whether its settings may name code of yours, such as an algorithm, and the server of its model.

    Raises:
        UsageError: the folder is not a run, or names code without `trust`.
    """
    return Run(Path(folder), *read_run_file(Path(folder), trust=trust))


def train(
    settings: Settings,
    out: str | Path | None = None,
    graph: MakeSource | None = None,
    watch: Watch = lambda row: None,
) -> Run:
    """What `leed train` does.

    Args:
        out: a new folder; runs/<time>_<map>_<algorithm> when None.
        watch: called with the metrics of every episode.

    Raises:
        LeedError: as `begin` and `finish`.
    """
    settings = for_training(settings)
    folder = create_run_folder(Path(out) if out else None, settings.map.name, settings.learning.algorithm)
    with closing(begin(settings, folder, graph, watch)) as session:
        finish(session)
    return load_run(folder, trust=True)
