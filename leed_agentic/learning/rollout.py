"""Episodes as padded tensors, and the worlds they are driven in: RouteEnv or any ParallelEnv with discrete actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.folding import Folding, Rows, behind
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Choose, Trajectory, drive

SEED_STRIDE = 1_000_003
"""Episode k of seed s resets the world with seed 1000003 s + k."""


@dataclass(frozen=True)
class Driven:
    """One episode of all agents."""

    experiences: Mapping[int, Trajectory]
    """By agent number."""
    seconds: float = 0.0
    """Simulated."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What is worth a column of the metrics besides, such as teleports."""


class World(Protocol):
    """What the trainer needs of an environment."""

    env: Any
    agents: int
    actions: int
    scenario: Scenario | None
    """The first trips; None: none of ours, and so no demonstrations."""

    def encoding(self, settings: LearningSettings) -> Encoding: ...
    def episode(self, choose: Choose, seed: int) -> Driven: ...


class RouteWorld:
    """Route choice in SUMO.

    Args:
        draw: trips from a seed, for training on ever new ones; None: those that the environment was made for.
        every: episodes for which drawn trips stay the same.
    """

    def __init__(self, env: RouteEnv, draw: Callable[[int], Scenario] | None = None, every: int = 1) -> None:
        self.env = env
        self.scenario: Scenario | None = env.scenario
        self.agents = len(env.possible_agents)
        self.actions = env.network.max_successors
        self._draw, self._every = draw, every
        self._drawn: tuple[int, Scenario] | None = None

    def encoding(self, settings: LearningSettings) -> Encoding:
        size, numbers = self.env.observation_size, self.env.junction_columns
        places = np.array([(junction.x, junction.y) for junction in self.env.network.junctions])
        return Encoding(
            size, numbers, len(places), settings.encoding, settings.code_size, plain=not numbers, places=places
        )

    def episode(self, choose: Choose, seed: int) -> Driven:
        options = {"scenario": self._scenario_at(seed)} if self._draw else None
        driven = drive(self.env, choose, seed, options)
        counters = driven.counters
        counts = {"teleports": counters.teleports, "collisions": counters.collisions, "missed": counters.missed}
        return Driven(driven.trajectories, driven.seconds, counts)

    def _scenario_at(self, seed: int) -> Scenario:
        assert self._draw is not None  # noqa: S101 - asked only then
        first = scenario_seed(seed, self._every)
        if self._drawn is None or self._drawn[0] != first:
            self._drawn = first, self._draw(first)
        return self._drawn[1]


def scenario_seed(seed: int, every: int) -> int:
    """Seed of the trips of an episode: that of the first episode that has them."""
    return seed - seed % SEED_STRIDE % every


class ParallelWorld:
    """Any PettingZoo ParallelEnv with flat observations and Discrete actions; every agent decides at every step.

    An `action_mask` in an agent's info is respected. All agents need the same observation and action space.

    Raises:
        UsageError: the spaces do not allow it.
    """

    def __init__(self, env: Any) -> None:
        from gymnasium import spaces

        self.env = env
        self.scenario: Scenario | None = None
        self.names = list(env.possible_agents)
        self.agents = len(self.names)
        shapes = {env.observation_space(name).shape for name in self.names}
        acts = [env.action_space(name) for name in self.names]
        discrete = all(isinstance(a, spaces.Discrete) and a.n == acts[0].n and a.start == 0 for a in acts)
        if len(shapes) != 1 or None in shapes or not discrete:
            raise UsageError(
                "The trainer needs one observation shape and one Discrete action space from 0 for all agents; flatten "
                "or discretise them with a wrapper."
            )
        self.size = int(np.prod(next(iter(shapes))))
        self.actions = int(acts[0].n)

    def encoding(self, settings: LearningSettings) -> Encoding:
        return Encoding(self.size, plain=True)

    def episode(self, choose: Choose, seed: int) -> Driven:
        observations, infos = self.env.reset(seed=seed)
        rows: dict[str, list[Any]] = {name: [] for name in self.names}
        last = {name: np.zeros(self.size, np.float32) for name in self.names}
        terminated = dict.fromkeys(self.names, False)
        free = np.ones(self.actions, dtype=np.int8)
        last_mask, now = dict.fromkeys(self.names, free), 0
        while self.env.agents:
            actions = {}
            for name in self.env.agents:
                observation = np.asarray(observations[name], dtype=np.float32).ravel()
                mask = np.asarray(infos.get(name, {}).get("action_mask", free))
                actions[name] = choose(self.env, self.names.index(name), observation, mask)
                rows[name].append([observation, mask, actions[name], 0.0, now])
            observations, rewards, ended, _, infos = self.env.step(actions)
            for name in actions:
                rows[name][-1][3] = float(rewards[name])
                last[name] = np.asarray(observations[name], dtype=np.float32).ravel()
                last_mask[name] = np.asarray(infos.get(name, {}).get("action_mask", free))
                terminated[name] = bool(ended[name])
            now += 1
        return Driven(
            {
                i: self._trajectory(i, rows[name], terminated[name], last[name], last_mask[name])
                for i, name in enumerate(self.names)
            }
        )

    def _trajectory(
        self, agent: int, rows: list[Any], terminated: bool, last: np.ndarray, last_mask: np.ndarray
    ) -> Trajectory:
        """An agent's decisions; times are the environment's steps, and there is no street."""
        return Trajectory(
            agent=agent,
            observations=np.array([r[0] for r in rows], dtype=np.float32).reshape(-1, self.size),
            masks=np.array([r[1] for r in rows], dtype=np.int8).reshape(-1, self.actions),
            actions=np.array([r[2] for r in rows], dtype=np.int64),
            rewards=np.array([r[3] for r in rows], dtype=np.float64),
            times=np.array([r[4] for r in rows], dtype=np.int64),
            route=(),
            positions=np.zeros((0, 2)),
            arrived=terminated,
            travel_seconds=None,
            last_observation=last,
            last_mask=last_mask,
        )


@dataclass(frozen=True)
class Batch:
    """n agents' decisions, padded to the longest."""

    rows: Rows
    """Network inputs, T + 1 of each agent: its decisions' and o_T's; one of zeros for an agent without data."""
    masks: torch.Tensor
    """Shape (n, longest, m), bool; all true behind an agent's end."""
    actions: torch.Tensor
    """Shape (n, longest), 0 behind an agent's end."""
    rewards: torch.Tensor
    """Shape (n, longest), scaled, 0 behind an agent's end."""
    lengths: torch.Tensor
    """Shape (n,): T per agent, 0 for an agent without data."""
    weights: torch.Tensor
    """Shape (n, longest): weights of a mean over each agent's own decisions."""
    terminated: torch.Tensor
    """Shape (n,), 1 where nothing follows and the return does not bootstrap."""

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of values of shape (n, longest) over each agent's own decisions, shape (n,)."""
        return (values * self.weights).sum(1)

    def arrays(self) -> dict[str, Any]:
        """For a checkpoint: everything by name, the rows one agent behind the other."""
        return {"rows": self.rows.inputs, **{name: getattr(self, name) for name in _TENSORS}}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, torch.Tensor], device: str) -> Batch:
        """What `arrays` gave. Raises UsageError when something is missing or does not fit."""
        try:
            rows = Rows(arrays["rows"].to(device), arrays["lengths"].numpy() + 1)
            return cls(rows, *(arrays[name].to(device) for name in _TENSORS))
        except KeyError as error:
            raise UsageError(f"The checkpoint does not fit: {error.args[0]} is missing.") from error


_TENSORS = ("masks", "actions", "rewards", "lengths", "weights", "terminated")


class Rollout:
    """n agents' decisions of one or more episodes, those of the second behind those of the first.

    Args:
        parts: the episodes.
    """

    def __init__(self, parts: Sequence[Batch]) -> None:
        self.parts = tuple(parts)
        self.rows = behind([p.rows for p in parts])
        self.masks, self.actions = (torch.cat([getattr(p, name) for p in parts], 1) for name in ("masks", "actions"))
        total = torch.stack([p.lengths for p in parts]).sum(0).clamp(min=1)
        self.weights = torch.cat([p.weights * (p.lengths / total)[:, None] for p in parts], 1)
        """Weights of a mean over each agent's own decisions, shape (n, T) as the others."""
        counts = [p.lengths.cpu().numpy() for p in parts]
        self._counts = counts
        self._first = np.cumsum([np.zeros_like(counts[0]), *(count + 1 for count in counts)], axis=0)

    @property
    def row_counts(self) -> np.ndarray:
        """Rows per agent, shape (n,)."""
        return np.array(self._first[-1])

    def places(self, folding: Folding, with_last: bool = False) -> list[torch.Tensor]:
        """Where each episode's decisions lie in a folding that begins with these rows; `with_last`: and its o_T."""
        return [
            folding.places(first, count + with_last) for first, count in zip(self._first, self._counts, strict=False)
        ]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of values of shape (n, T) over each agent's own decisions, shape (n,)."""
        return (values * self.weights).sum(1)


def batch_of(
    experiences: Mapping[int, Trajectory],
    agents: int,
    actions: int,
    encoding: Encoding,
    reward_scale: float = 1.0,
    device: str = "cpu",
) -> Batch:
    """Pad the agents' experiences.

    Raises:
        UsageError: NaN or infinite rewards or observations, an action outside its mask, an agent that does not exist.
    """
    check_all(experiences, agents)
    there = np.array(sorted(experiences), dtype=np.int64)
    taus = [experiences[agent] for agent in there.tolist()]
    counts = np.array([len(tau.actions) for tau in taus], dtype=np.int64)
    longest = int(counts.max(initial=0))
    lengths = np.zeros(agents, dtype=np.int64)
    lengths[there] = counts
    masks = np.ones((agents, longest, actions), dtype=bool)
    taken = np.zeros((agents, longest), dtype=np.int64)
    rewards = np.zeros((agents, longest), dtype=np.float32)
    terminated = np.ones(agents, dtype=np.float32)
    valid = np.arange(longest) < lengths[:, None]
    encoded = np.zeros((0, encoding.size), dtype=np.float32)
    if taus:
        # All agents at once: an array's call costs as much as the sum over one agent's decisions.
        observed = [x for tau in taus for x in (tau.observations, tau.last_observation[None])]
        encoded = encoding(np.concatenate(observed))
        masks[valid] = np.concatenate([tau.masks for tau in taus])
        taken[valid] = np.concatenate([tau.actions for tau in taus])
        rewards[valid] = np.concatenate([tau.rewards for tau in taus]) * reward_scale
        terminated[there] = [tau.arrived for tau in taus]
    weights = valid.astype(np.float32) / np.maximum(lengths, 1).astype(np.float32)[:, None]
    if len(taus) < agents:
        absent = np.setdiff1d(np.arange(agents), there)
        encoded = np.insert(encoded, np.cumsum(lengths + np.isin(np.arange(agents), there))[absent], 0.0, axis=0)
    rows = Rows(torch.from_numpy(encoded).to(device), lengths + 1)
    arrays = (masks, taken, rewards, lengths, weights, terminated)
    return Batch(rows, *(torch.from_numpy(array).to(device) for array in arrays))


def check_all(experiences: Mapping[int, Trajectory], agents: int) -> None:
    """`check` of every agent, of all at once while nothing is wrong."""
    taus = list(experiences.values())
    if not taus:
        return
    actions, masks = (np.concatenate([getattr(tau, name) for tau in taus]) for name in ("actions", "masks"))
    inside = min(experiences) >= 0 and max(experiences) < agents
    if inside and ((actions >= 0) & (actions < masks.shape[1])).all() and masks[np.arange(len(actions)), actions].all():
        numbers = [x for tau in taus for x in (tau.rewards, tau.observations.ravel())]
        if np.isfinite(np.concatenate(numbers)).all():
            return
    for agent, experience in experiences.items():
        check(agent, experience, agents)


def check(agent: int, experience: Trajectory, agents: int) -> None:
    """Raises UsageError when an experience cannot be learnt from; `batch_of` lists why."""
    if not 0 <= agent < agents:
        raise UsageError(f"There is a trajectory of agent {agent}, but only {agents} agents; make it again.")
    if not (np.isfinite(experience.rewards).all() and np.isfinite(experience.observations).all()):
        raise UsageError(f"The trajectory of agent {agent} holds NaN or infinite rewards or observations.")
    rows = np.arange(len(experience.actions))
    inside = (experience.actions >= 0) & (experience.actions < experience.masks.shape[1])
    if not inside.all() or not experience.masks[rows, experience.actions].all():
        raise UsageError(
            f"The trajectory of agent {agent} takes an action its mask forbids; its log-probability would be -inf."
        )
