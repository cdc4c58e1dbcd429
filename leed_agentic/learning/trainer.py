"""The training loop: Algorithm 1, on any world, with any algorithm and any source of demonstrations."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from leed_agentic.errors import LeedError, UnavailableError, UsageError
from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from leed_agentic.learning.rollout import Driven, RouteWorld, World
from leed_agentic.learning.run_folder import CsvLog, write_text
from leed_agentic.learning.sources import DemonstrationSource
from leed_agentic.settings import LearningSettings
from leed_agentic.traffic.trajectory import load_trajectories, save_trajectories

PER_EPISODE = [
    *("episode", "reward_mean", "arrival_rate", "decisions", "simulated_seconds", "travel_seconds_mean"),
    *("teleports", "collisions", "missed", "alpha_mean", "dtw_mean", "expert_reward_mean", "expert_advantage"),
    *("expert_probability", "policy_loss_agent", "policy_loss_expert", "value_loss_agent", "value_loss_expert"),
    *("entropy", "kl", "clip_agent", "clip_expert", "triggers", "source_failures"),
    *("calls", "input_tokens", "output_tokens"),
]
TIMING = ["episode", "seconds_simulation", "seconds_demonstrations", "seconds_learning", "seconds"]
_SPENT = ("calls", "input_tokens", "output_tokens")
SEED_STRIDE = 1_000_003
"""Episode k of seed s resets the world with seed 1000003 s + k."""


class Trainer:
    """Trains an algorithm's agents in a world.

    Args:
        folder: a run folder; None keeps nothing but the rows.
        warn: told in one line when the source fails.
        watch: called with the metrics of every episode.
    """

    def __init__(
        self,
        world: World,
        algorithm: Algorithm,
        settings: LearningSettings,
        seed: int = 0,
        source: DemonstrationSource | None = None,
        folder: Path | None = None,
        warn: Callable[[str], Any] = lambda line: None,
        watch: Callable[[Mapping[str, Any]], Any] = lambda row: None,
    ) -> None:
        self.world, self.algorithm, self.settings, self.seed = world, algorithm, settings, seed
        self.source = source if algorithm.uses_demonstrations else None
        self.folder, self.warn, self.watch = folder, warn, watch
        self.episode = 0
        self.experts: dict[int, Any] = {}
        self.triggers = 0
        self.failures = 0
        self._spent_before = dict.fromkeys(_SPENT, 0)

    def run(self) -> list[dict[str, Any]]:
        """Train to the last episode; returns the metrics of the episodes of this call.

        Raises:
            UnavailableError: the run folder can no longer be written; the last checkpoint is whole.
        """
        rows = []
        metrics = timing = board = None
        if self.folder:
            agents = range(self.world.agents)
            columns = [*PER_EPISODE, *(f"reward_{i}" for i in agents), *(f"alpha_{i}" for i in agents)]
            metrics = CsvLog(self.folder / "metrics.csv", columns, self.episode)
            timing = CsvLog(self.folder / "timing.csv", TIMING, self.episode)
            board = _tensorboard(self.folder) if self.settings.tensorboard else None
            if self.episode == 0:
                self._checkpoint(None)
        while self.episode < self.settings.episodes:
            row, seconds, driven = self._one_episode()
            self.episode += 1
            rows.append(row)
            if metrics and timing:
                metrics.write(row)
                timing.write({"episode": row["episode"], **seconds})
                if board:
                    for name in PER_EPISODE[1:]:
                        board.add_scalar(name, row[name], row["episode"])
                if self.episode % self.settings.checkpoint_every == 0 or self.episode == self.settings.episodes:
                    self._checkpoint(driven)
            self.watch({**row, **seconds})
        for log in (metrics, timing, board):
            if log:
                log.close()
        return rows

    def _one_episode(self) -> tuple[dict[str, Any], dict[str, float], Driven]:
        clock = [time.perf_counter()]
        driven = self.world.episode(self.algorithm.choose, SEED_STRIDE * self.seed + self.episode)
        clock.append(time.perf_counter())
        if self.source is not None and self.episode % self.settings.q == 0:
            self._ask(driven)
        clock.append(time.perf_counter())
        learnt = self.algorithm.update(driven.experiences, self.experts, self.episode)
        clock.append(time.perf_counter())
        seconds = dict(zip(TIMING[1:], [*np.diff(clock).tolist(), clock[-1] - clock[0]], strict=True))
        return self._row(driven, learnt), seconds, driven

    def _ask(self, driven: Driven) -> None:
        """Ask the source; whatever goes wrong with it, the last good demonstrations stay."""
        if self.source is None or not isinstance(self.world, RouteWorld):
            return
        self.triggers += 1
        try:
            found = dict(self.source.demonstrations(self.episode, driven.experiences, self.world.env))
            if not found:
                raise UsageError("it gave no demonstration")
            self.experts = found
        except LeedError as error:
            self.failures += 1
            kept = f"the {len(self.experts)} last good demonstrations" if self.experts else "none so far"
            self.warn(f"Episode {self.episode}: no new demonstrations ({error}); training goes on with {kept}.")
            return
        if self.folder:
            routes = {str(agent): list(t.route) for agent, t in sorted(found.items())}
            data = {
                "format": "leed-demonstrations",
                "version": 1,
                "scenario": self.world.env.scenario.to_json(),
                "routes": routes,
                "rewards": {str(agent): t.total_reward for agent, t in sorted(found.items())},
                "provenance": {"source": self.source.name, "episode": self.episode},
            }
            write_text(self.folder / "triggers" / f"{self.episode:06d}.json", json.dumps(data, indent=1) + "\n")

    def _row(self, driven: Driven, learnt: Mapping[str, Any]) -> dict[str, Any]:
        own = driven.experiences
        rewards = {agent: float(np.sum(e.rewards)) for agent, e in own.items()}
        travelled = [t for e in own.values() if (t := getattr(e, "travel_seconds", None)) is not None]
        row: dict[str, Any] = {
            "episode": self.episode,
            "reward_mean": float(np.mean(list(rewards.values()))),
            "arrival_rate": float(np.mean([e.arrived for e in own.values()])),
            "decisions": sum(len(e.actions) for e in own.values()),
            "simulated_seconds": driven.seconds,
            "travel_seconds_mean": float(np.mean(travelled)) if travelled else "",
            "expert_reward_mean": float(np.mean([np.sum(e.rewards) for e in self.experts.values()]))
            if self.experts
            else "",
            "triggers": self.triggers,
            "source_failures": self.failures,
            **(driven.notes or {}),
            **self.spent(),
        }
        for name, values in learnt.items():
            key = f"{name}_mean" if name in ("alpha", "dtw") else name
            known = np.asarray(values, dtype=np.float64)
            known = known[np.isfinite(known)]
            row[key] = float(known.mean()) if len(known) else ""
        row |= {f"reward_{agent}": reward for agent, reward in rewards.items()}
        row |= {f"alpha_{agent}": float(a) for agent, a in enumerate(learnt.get("alpha", ()))}
        return row

    def spent(self) -> dict[str, int]:
        """Calls and tokens of the whole run, earlier processes included."""
        now = self.source.usage if self.source is not None else {}
        return {name: self._spent_before[name] + int(now.get(name, 0)) for name in _SPENT}

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def _checkpoint(self, driven: Driven | None) -> None:
        if self.folder is None:
            return
        files = {}
        if isinstance(self.world, RouteWorld):
            scenario = self.world.env.scenario.to_json()
            if driven is not None:
                _write_trajectories(self.folder / "trajectories.json", driven.experiences, scenario)
            with TemporaryDirectory() as temporary:
                file = Path(temporary) / "experts.json"
                save_trajectories(file, self.experts, scenario)
                files["experts.json"] = file.read_text(encoding="utf-8")
        state = {
            **self._identity(),
            "random": self.algorithm.random_state(),
            "triggers": self.triggers,
            "source_failures": self.failures,
            "spent": self.spent(),
            "source": self.source.name if self.source else None,
            "source_state": self.source.state() if self.source else {},
        }
        save_checkpoint(self.folder / "checkpoints", self.episode, self.algorithm.tensors(), state, files)

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that takes it up."""
        scenario = self.world.env.scenario.to_json() if isinstance(self.world, RouteWorld) else None
        # Through JSON, as it comes back from a file: tuples are lists there.
        return json.loads(json.dumps({"algorithm": self.settings.algorithm, "seed": self.seed, "scenario": scenario}))

    def resume(self) -> None:
        """Go back to the run folder's latest checkpoint.

        Raises:
            UsageError: there is none, it is damaged, or it was written for another scenario, algorithm or version.
        """
        if self.folder is None:
            raise UsageError("Only a run with a folder can be resumed.")
        known = checkpoints(self.folder / "checkpoints")
        if not known:
            raise UsageError(f"{self.folder} holds no checkpoint; train anew with another --out.")
        tensors, state = load_checkpoint(known[-1])
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise UsageError(f"The checkpoint {known[-1]} was written for another {name}; it cannot go on here.")
        try:
            self.algorithm.load_tensors(tensors)
            self.algorithm.load_random_state(state["random"])
            self.episode = int(state["episode"])
            self.triggers, self.failures = int(state["triggers"]), int(state["source_failures"])
            self._spent_before = {name: int(state["spent"][name]) for name in _SPENT}
            if isinstance(self.world, RouteWorld):
                self.experts = dict(load_trajectories(known[-1] / "experts.json")[0])
            if self.source is not None:
                if state["source"] != self.source.name:
                    raise UsageError(f"The checkpoint {known[-1]} was written with another source of demonstrations.")
                self.source.load_state(state["source_state"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"The checkpoint {known[-1]} is damaged ({type(error).__name__}: {error}); delete it to resume from "
                "the one before."
            ) from error


def _write_trajectories(file: Path, experiences: Mapping[int, Any], scenario: Mapping[str, Any]) -> None:
    partial = file.with_name(file.name + ".partial")
    try:
        save_trajectories(partial, experiences, scenario)
        partial.replace(file)
    except OSError as error:
        raise UnavailableError(f"Cannot write {file} ({error.strerror}); free some space and resume.") from error


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("learning.tensorboard needs TensorBoard: pip install tensorboard.") from error
    return SummaryWriter(str(folder / "tensorboard"))
