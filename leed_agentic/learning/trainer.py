"""The training loop: Algorithm 1, on any world, with any algorithm and any source of demonstrations."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leed_agentic.errors import LeedError, UnavailableError, UnwritableError, UsageError
from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from leed_agentic.learning.metrics import METRICS, REPORTED, USAGE, cells
from leed_agentic.learning.rollout import SEED_STRIDE, Driven, World
from leed_agentic.learning.run import TIMING, Logbook
from leed_agentic.learning.sources import DemonstrationSource
from leed_agentic.runs.files import whole_file
from leed_agentic.runs.log import read_csv
from leed_agentic.runs.trackers import check_trackers
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.demonstration import DemonstrationSet, Round
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.similarity import dtw_distances
from leed_agentic.traffic.trajectory import Trajectory, load_trajectories, save_trajectories

log = logging.getLogger(__name__)


class NoDemonstrationError(LeedError):
    """The algorithm uses demonstrations and never had one: whatever it learned is not what it is named after."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread within the block: more get in each other's way with networks this small, and the last bit of
    a sum, first weights included, depends on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Trainer:
    """Trains an algorithm's agents in a world.

    Args:
        folder: a run folder; None keeps nothing but the rows.
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
        watch: Callable[[Mapping[str, Any]], Any] = lambda row: None,
    ) -> None:
        self.world, self.algorithm, self.settings, self.seed = world, algorithm, settings, seed
        self.source = source if algorithm.uses_demonstrations and world.scenario else None
        self.folder, self.watch = folder, watch
        self.metrics = (*METRICS, *algorithm.metrics)
        self.episode = 0
        self.experts: dict[int, Trajectory] = {}
        self._demonstrated = world.scenario
        """The scenario that the experts are of."""
        self.triggers = 0
        self.failures = 0
        self._trouble = ""
        self._usage_before = dict.fromkeys(USAGE, 0)
        self._logbook: Logbook | None = None
        # Found missing here, before anything is written.
        check_trackers(settings.trackers)

    def run(self) -> list[dict[str, Any]]:
        """Train to the last episode; returns the metrics of the episodes of this call.

        Raises:
            UsageError: the source cannot work as it is set up.
            UnavailableError: the source's model cannot be reached at the first question; later it is survived.
            NoDemonstrationError: the source never had one.
            UnwritableError: the run folder can no longer be written; the last checkpoint is whole.
        """
        rows = []
        with one_thread(), self._in_folder():
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
        if self.lack:
            raise NoDemonstrationError(self.lack)
        return rows

    @property
    def lack(self) -> str | None:
        """Why what was learned is not the algorithm's, once there was a question to the source; None where it is."""
        if self.source is None or self.failures < self.triggers or not self.triggers:
            return None
        last = f" The last answer: {self._trouble}" if self._trouble else ""
        return (
            f"The agents never had a demonstration in {self.triggers} questions to source {self.source.name}: they "
            f"learned from their own driving alone. Mend the source and train anew.{last}"
        )

    @contextmanager
    def _in_folder(self) -> Iterator[None]:
        """With the run folder's logbook open, where there is a folder."""
        if self.folder is None:
            yield
            return
        triggers, trackers = None if self.source is None else self.triggers, self.settings.trackers
        book = partial(Logbook, self.folder, self.world.agents, self.metrics, self.episode, triggers, trackers)
        with closing(book()) as self._logbook:
            yield

    def _one_episode(self) -> tuple[dict[str, Any], dict[str, float], Driven]:
        clock = [time.perf_counter()]
        seed = SEED_STRIDE * self.seed + self.episode
        every = self.settings.greedy_every
        # Before the episode that is learnt from, whose streets the source then finds as it left them.
        greedy = self._greedy_reward(seed) if every and self.episode % every == 0 else ""
        driven = self.world.episode(self.algorithm.act, seed)
        clock.append(time.perf_counter())
        if self.source is not None and (self._is_new_scenario() or self.episode % self.settings.q == 0):
            self._ask(self.source, driven)
        clock.append(time.perf_counter())
        learnt = self.algorithm.update(driven.experiences, self.experts, self.episode)
        if self.source is not None:
            rewards = {agent: e.total_reward for agent, e in driven.experiences.items()}
            kl = np.atleast_1d(learnt.get("kl", ()))
            # One number for all agents says nothing about any of them.
            self.source.learned(rewards, dict(enumerate(kl.tolist())) if len(kl) == len(rewards) else {})
        clock.append(time.perf_counter())
        seconds = dict(zip(TIMING[1:], [*np.diff(clock).tolist(), clock[-1] - clock[0]], strict=True))
        return {**self._row(driven, learnt), "greedy_reward": greedy}, seconds, driven

    def _greedy_reward(self, seed: int) -> float:
        self.algorithm.deterministic = True
        try:
            driven = self.world.episode(self.algorithm.act, seed)
        finally:
            self.algorithm.deterministic = False
        return float(np.mean([e.total_reward for e in driven.experiences.values()]))

    # -- demonstrations ------------------------------------------------------------------------------------------------
    def _is_new_scenario(self) -> bool:
        """Whether the trips are others than those that the demonstrations at hand are of; these are dropped then."""
        if self.world.env.scenario == self._demonstrated:
            return False
        self._demonstrated, self.experts = self.world.env.scenario, {}
        return True

    def _ask(self, source: DemonstrationSource, driven: Driven) -> None:
        """Ask the source; when it has nothing this time, the last good demonstrations stay."""
        self.triggers += 1
        before, started = self.usage(), time.perf_counter()
        row: dict[str, Any] = {"episode": self.episode, "source": source.name, "failure": ""}
        row["dtw_before"] = self._mean_dtw(driven.experiences)
        found: dict[int, Trajectory] = {}
        try:
            found = dict(source.demonstrations(self.episode, driven.experiences, self.world.env))
            if not found:
                raise LeedError("it gave no demonstration")
            self.experts = found
        except (UsageError, UnwritableError):
            # Neither passes: it is the user's to mend.
            raise
        except LeedError as error:
            if self.triggers == 1 and isinstance(error, UnavailableError):
                # What is down from the start is not mended by training on without it.
                raise
            self.failures += 1
            row["failure"] = self._trouble = " ".join(str(error).split())
            kept = f"the {len(self.experts)} last good demonstrations" if self.experts else "none so far"
            log.warning("Episode %s: no new demonstrations (%s); training goes on with %s.", self.episode, error, kept)
        row["seconds"] = round(time.perf_counter() - started, 3)
        row |= {"ok": int(bool(found)), "agents": len(self.experts), "expert_reward_mean": self._expert_reward()}
        row |= {name: now - before[name] for name, now in self.usage().items()}
        row |= {name: value for name, value in source.report().items() if name in REPORTED}
        if self._logbook:
            self._logbook.write_trigger(row)
        if found and self.folder:
            self._keep(source, found, self.world.env.scenario, self.folder)

    def _keep(self, source: DemonstrationSource, found: Mapping[int, Trajectory], scenario: Any, folder: Path) -> None:
        """demonstrations/<episode>.json, which `--source file` reads. A trajectory knows only what was driven: a route
        that the episode's end cut short stands apart, unless the source knows the whole of it."""
        record = source.record()
        whole = {agent: t.route for agent, t in found.items() if t.arrived} | dict(record.get("routes", {}))
        DemonstrationSet(
            scenario,
            {agent: list(route) for agent, route in whole.items()},
            [Round(**r) for r in record.get("rounds", ())],
            {"source": source.name, "episode": self.episode, **record.get("provenance", {})},
            cut_short={agent: list(t.route) for agent, t in found.items() if agent not in whole},
            rewards={agent: t.total_reward for agent, t in found.items()},
        ).save(folder / "demonstrations" / f"{self.episode:06d}.json")

    def _expert_reward(self) -> float | str:
        return float(np.mean([e.total_reward for e in self.experts.values()])) if self.experts else ""

    def _mean_dtw(self, experiences: Mapping[int, Trajectory]) -> float | str:
        """Mean DTW distance in metres between the agents and the demonstrations they have."""
        there = [agent for agent in self.experts if agent in experiences]
        pairs = [(experiences[agent].positions, self.experts[agent].positions) for agent in there]
        return float(np.mean(dtw_distances(pairs, self.settings.dtw))) if pairs else ""

    def usage(self) -> dict[str, int]:
        """Calls and tokens of the whole run, earlier processes included."""
        now = self.source.usage if self.source is not None else {}
        return {name: self._usage_before[name] + int(now.get(name, 0)) for name in USAGE}

    # -- metrics -------------------------------------------------------------------------------------------------------
    def _row(self, driven: Driven, learnt: Mapping[str, Any]) -> dict[str, Any]:
        experiences = driven.experiences
        rewards = {agent: e.total_reward for agent, e in experiences.items()}
        travelled = [e.travel_seconds for e in experiences.values() if e.travel_seconds is not None]
        return {
            "episode": self.episode,
            "reward_mean": float(np.mean(list(rewards.values()))),
            "arrival_rate": float(np.mean([e.arrived for e in experiences.values()])),
            "decisions": sum(len(e.actions) for e in experiences.values()),
            "simulated_seconds": driven.seconds,
            "travel_seconds_mean": float(np.mean(travelled)) if travelled else "",
            "expert_reward_mean": self._expert_reward(),
            "triggers": self.triggers,
            "source_failures": self.failures,
            **driven.counts,
            **self.usage(),
            **cells(learnt, self.metrics),
            **{f"reward_{agent}": reward for agent, reward in rewards.items()},
        }

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def _checkpoint(self, driven: Driven | None) -> None:
        if self.folder is None:
            return
        files = {}
        if self._demonstrated:
            if driven is not None:
                with whole_file(self.folder / "trajectories.json") as file:
                    save_trajectories(file, driven.experiences, self.world.env.scenario.to_json())
            scenario = self._demonstrated.to_json()
            files["experts.json"] = partial(save_trajectories, trajectories=self.experts, scenario=scenario)
        state = {
            **self._identity(),
            "random": self.algorithm.random_state(),
            "triggers": self.triggers,
            "source_failures": self.failures,
            "trouble": self._trouble,
            "usage": self.usage(),
            "source": self.source.name if self.source else None,
            "source_state": self.source.state() if self.source else {},
        }
        save_checkpoint(self.folder / "checkpoints", self.episode, self.algorithm.tensors(), state, files)

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that takes it up."""
        scenario = self.world.scenario.to_json() if self.world.scenario else None
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
            log.warning("%s was stopped before its first checkpoint; it starts from the first episode.", self.folder)
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
            self._trouble = str(state["trouble"])
            self._usage_before = {name: int(state["usage"][name]) for name in USAGE}
            if self.world.scenario:
                experts, scenario = load_trajectories(known[-1] / "experts.json")
                self.experts, self._demonstrated = dict(experts), Scenario.from_json(scenario)
            if self.source is not None:
                if state["source"] != self.source.name:
                    raise UsageError(f"The checkpoint {known[-1]} was written with another source of demonstrations.")
                self.source.load_state(state["source_state"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"The checkpoint {known[-1]} is damaged ({type(error).__name__}: {error}); delete it to resume from "
                "the one before."
            ) from error
