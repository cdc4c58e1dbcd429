"""The training loop: Algorithm 1, on any world, with any algorithm and any source of demonstrations."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.errors import LeedError, UnwritableError, UsageError
from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from leed_agentic.learning.logbook import TIMING, Logbook, summary_writer
from leed_agentic.learning.rollout import Driven, RouteWorld, World
from leed_agentic.learning.sources import DemonstrationSource, report_of, tell
from leed_agentic.learning.trigger_log import REPORTED, SPENT, mean_dtw
from leed_agentic.runs.files import whole_file, write_text
from leed_agentic.runs.log import read_csv
from leed_agentic.settings import LearningSettings
from leed_agentic.traffic.trajectory import load_trajectories, save_trajectories

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
        self._spent_before = dict.fromkeys(SPENT, 0)
        self._logbook: Logbook | None = None
        if settings.tensorboard:
            # Found missing here, before anything is written.
            summary_writer()

    def run(self) -> list[dict[str, Any]]:
        """Train to the last episode; returns the metrics of the episodes of this call.

        Raises:
            UnwritableError: the run folder can no longer be written; the last checkpoint is whole.
        """
        if self.folder is None:
            return self._run()
        triggers = None if self.source is None else self.triggers
        try:
            with closing(
                Logbook(self.folder, self.world.agents, self.episode, triggers, self.settings.tensorboard)
            ) as self._logbook:
                return self._run()
        except UnwritableError as error:
            raise UnwritableError(f"{error} Then go on with `leed train --resume {self.folder}`.") from error

    def _run(self) -> list[dict[str, Any]]:
        rows = []
        if self.episode == 0:
            self._checkpoint(None)
        while self.episode < self.settings.episodes:
            row, seconds, driven = self._one_episode()
            self.episode += 1
            rows.append(row)
            if self._logbook:
                self._logbook.write(row, seconds)
            if self.episode % self.settings.checkpoint_every == 0 or self.episode == self.settings.episodes:
                self._checkpoint(driven)
            self.watch({**row, **seconds})
        return rows

    def _one_episode(self) -> tuple[dict[str, Any], dict[str, float], Driven]:
        clock = [time.perf_counter()]
        driven = self.world.episode(self.algorithm.choose, SEED_STRIDE * self.seed + self.episode)
        clock.append(time.perf_counter())
        if self.source is not None and self.episode % self.settings.q == 0:
            self._ask(driven)
        clock.append(time.perf_counter())
        learnt = self.algorithm.update(driven.experiences, self.experts, self.episode)
        if self.source is not None:
            earned = {agent: float(np.sum(e.rewards)) for agent, e in driven.experiences.items()}
            tell(self.source, earned, learnt.get("kl"))
        clock.append(time.perf_counter())
        seconds = dict(zip(TIMING[1:], [*np.diff(clock).tolist(), clock[-1] - clock[0]], strict=True))
        return self._row(driven, learnt), seconds, driven

    def _ask(self, driven: Driven) -> None:
        """Ask the source; whatever goes wrong with it, the last good demonstrations stay."""
        if self.source is None or not isinstance(self.world, RouteWorld):
            return
        self.triggers += 1
        before, started = self.spent(), time.perf_counter()
        row: dict[str, Any] = {"episode": self.episode, "source": self.source.name, "failure": ""}
        row["dtw_before"] = mean_dtw(driven.experiences, self.experts, self.settings.dtw)
        found: dict[int, Any] = {}
        try:
            found = dict(self.source.demonstrations(self.episode, driven.experiences, self.world.env))
            if not found:
                raise UsageError("it gave no demonstration")
            self.experts = found
        except UnwritableError:
            raise
        except LeedError as error:
            self.failures += 1
            row["failure"] = " ".join(str(error).split())
            kept = f"the {len(self.experts)} last good demonstrations" if self.experts else "none so far"
            self.warn(f"Episode {self.episode}: no new demonstrations ({error}); training goes on with {kept}.")
        row["seconds"] = round(time.perf_counter() - started, 3)
        row |= {"ok": int(bool(found)), "agents": len(self.experts), "expert_reward_mean": self._expert_reward()}
        row |= {name: now - before[name] for name, now in self.spent().items()}
        row |= {name: value for name, value in report_of(self.source).items() if name in REPORTED}
        if self._logbook:
            self._logbook.write_trigger(row)
        if found and self.folder:
            self._keep(found, self.source.name, self.world.env.scenario.to_json())

    def _keep(self, found: Mapping[int, Any], source: str, scenario: Mapping[str, Any]) -> None:
        """The demonstrations of this trigger, as a file that `--source file` reads. A trajectory knows only what was
        driven: a route that the episode's end cut short stands apart, because nobody could follow it to its end."""
        assert self.folder is not None  # noqa: S101 - asked for only where there is one
        data = {
            "format": "leed-demonstrations",
            "version": 1,
            "scenario": scenario,
            "routes": {str(agent): list(t.route) for agent, t in sorted(found.items()) if t.arrived},
            "cut_short": {str(agent): list(t.route) for agent, t in sorted(found.items()) if not t.arrived},
            "rewards": {str(agent): t.total_reward for agent, t in sorted(found.items())},
            "provenance": {"source": source, "episode": self.episode},
        }
        write_text(self.folder / "triggers" / f"{self.episode:06d}.json", json.dumps(data, indent=1) + "\n")

    def _expert_reward(self) -> float | str:
        return float(np.mean([np.sum(e.rewards) for e in self.experts.values()])) if self.experts else ""

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
            "expert_reward_mean": self._expert_reward(),
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
        return {name: self._spent_before[name] + int(now.get(name, 0)) for name in SPENT}

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def _checkpoint(self, driven: Driven | None) -> None:
        if self.folder is None:
            return
        files = {}
        if isinstance(self.world, RouteWorld):
            scenario = self.world.env.scenario.to_json()
            if driven is not None:
                with whole_file(self.folder / "trajectories.json") as file:
                    save_trajectories(file, driven.experiences, scenario)
            files["experts.json"] = partial(save_trajectories, trajectories=self.experts, scenario=scenario)
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
        """Go back to the run folder's latest checkpoint, or to the beginning when the run was stopped before its first.

        Raises:
            UsageError: it is gone, damaged, or it was written for another scenario, algorithm or version.
        """
        if self.folder is None:
            raise UsageError("Only a run with a folder can be resumed.")
        known = checkpoints(self.folder / "checkpoints")
        if not known:
            if read_csv(self.folder / "metrics.csv"):
                raise UsageError(f"{self.folder} holds no checkpoint any more; train anew with another --out.")
            self.warn(f"{self.folder} was stopped before its first checkpoint; it starts from the first episode.")
            return
        tensors, state = load_checkpoint(known[-1])
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise UsageError(f"The checkpoint {known[-1]} was written for another {name}; it cannot go on here.")
        try:
            self.algorithm.load_tensors(tensors)
            self.algorithm.load_random_state(state["random"])
            self.episode = int(state["episode"])
            self.triggers, self.failures = int(state["triggers"]), int(state["source_failures"])
            self._spent_before = {name: int(state["spent"][name]) for name in SPENT}
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
