"""Episodes as padded tensors, and the worlds they are driven in: RouteEnv or any ParallelEnv with discrete actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.encoding import Encoding
from leed_agentic.settings import LearningSettings
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.trajectory import drive

Choose = Callable[[int, np.ndarray, np.ndarray], int]
"""A policy: (agent, observation, action mask) -> action."""


class Experience(Protocol):
    """One agent's decisions; `traffic.trajectory.Trajectory` is one."""

    @property
    def observations(self) -> np.ndarray: ...
    @property
    def masks(self) -> np.ndarray: ...
    @property
    def actions(self) -> np.ndarray: ...
    @property
    def rewards(self) -> np.ndarray: ...
    @property
    def arrived(self) -> bool:
        """Whether the episode terminated for the agent; otherwise it was cut off and its return bootstraps."""

    @property
    def last_observation(self) -> np.ndarray: ...
    @property
    def last_mask(self) -> np.ndarray | None:
        """What is legal at `last_observation`; None: everything."""

    @property
    def times(self) -> np.ndarray:
        """When each decision was taken, on one clock for all agents."""


@dataclass(frozen=True)
class Driven:
    """One episode of all agents."""

    experiences: Mapping[int, Any]
    """By agent number; a RouteEnv's are Trajectories."""
    seconds: float = 0.0
    """Simulated."""
    notes: Mapping[str, float] | None = None
    """Counts worth a column of the metrics, such as teleports."""


class World(Protocol):
    """What the trainer needs of an environment."""

    agents: int
    actions: int

    def encoding(self, settings: LearningSettings) -> Encoding: ...
    def episode(self, choose: Choose, seed: int) -> Driven: ...


class RouteWorld:
    """Route choice in SUMO."""

    def __init__(self, env: RouteEnv) -> None:
        self.env = env
        self.agents = len(env.possible_agents)
        self.actions = env.network.max_successors

    def encoding(self, settings: LearningSettings) -> Encoding:
        size = self.env.state_space.shape[0] // self.agents
        table1 = self.env.settings.observation == "table1"
        numbers = [0, 1, *range(3, size, 2)] if table1 else []
        return Encoding(
            size, numbers, len(self.env.network.junctions), settings.encoding, settings.code_size, plain=not table1
        )

    def episode(self, choose: Choose, seed: int) -> Driven:
        driven = drive(self.env, lambda _, agent, seen, mask: choose(agent, seen, mask), seed=seed)
        counters = driven.counters
        notes = {"teleports": counters.teleports, "collisions": counters.collisions, "missed": counters.missed}
        return Driven(driven.trajectories, driven.seconds, notes)


@dataclass
class Recorded:
    """One agent's decisions in any environment."""

    observations: np.ndarray
    masks: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    arrived: bool
    last_observation: np.ndarray
    last_mask: np.ndarray
    times: np.ndarray
    """The environment's steps, counted from 0."""


class ParallelWorld:
    """Any PettingZoo ParallelEnv with flat observations and Discrete actions; every agent decides at every step.

    An `action_mask` in an agent's info is respected. All agents need the same observation and action space.

    Raises:
        UsageError: the spaces do not allow it.
    """

    def __init__(self, env: Any) -> None:
        from gymnasium import spaces

        self.env = env
        self.names = list(env.possible_agents)
        self.agents = len(self.names)
        seen = {env.observation_space(name).shape for name in self.names}
        acts = [env.action_space(name) for name in self.names]
        discrete = all(isinstance(a, spaces.Discrete) and a.n == acts[0].n and a.start == 0 for a in acts)
        if len(seen) != 1 or None in seen or not discrete:
            raise UsageError(
                "The trainer needs one observation shape and one Discrete action space from 0 for all agents; flatten "
                "or discretise them with a wrapper."
            )
        self.size = int(np.prod(next(iter(seen))))
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
                seen = np.asarray(observations[name], dtype=np.float32).ravel()
                mask = np.asarray(infos.get(name, {}).get("action_mask", free))
                actions[name] = choose(self.names.index(name), seen, mask)
                rows[name].append([seen, mask, actions[name], 0.0, now])
            observations, rewards, ended, _, infos = self.env.step(actions)
            for name in actions:
                rows[name][-1][3] = float(rewards[name])
                last[name] = np.asarray(observations[name], dtype=np.float32).ravel()
                last_mask[name] = np.asarray(infos.get(name, {}).get("action_mask", free))
                terminated[name] = bool(ended[name])
            now += 1
        recorded = {n: self._recorded(rows[n], terminated[n], last[n], last_mask[n]) for n in self.names}
        return Driven(dict(enumerate(recorded.values())))

    def _recorded(self, rows: list[Any], arrived: bool, last: np.ndarray, last_mask: np.ndarray) -> Recorded:
        return Recorded(
            observations=np.array([r[0] for r in rows], dtype=np.float32).reshape(-1, self.size),
            masks=np.array([r[1] for r in rows], dtype=np.int8).reshape(-1, self.actions),
            actions=np.array([r[2] for r in rows], dtype=np.int64),
            rewards=np.array([r[3] for r in rows], dtype=np.float64),
            arrived=arrived,
            last_observation=last,
            last_mask=last_mask,
            times=np.array([r[4] for r in rows], dtype=np.int64),
        )


@dataclass(frozen=True)
class Batch:
    """n agents' decisions, padded to the longest."""

    rows: list[np.ndarray]
    """Network inputs per agent, shape (T + 1, inputs): its decisions' and o_T's; one row for an agent without data."""
    masks: torch.Tensor
    """Shape (n, longest, m), bool; all true behind an agent's end."""
    actions: torch.Tensor
    """Shape (n, longest), 0 behind an agent's end."""
    rewards: torch.Tensor
    """Shape (n, longest), scaled, 0 behind an agent's end."""
    lengths: torch.Tensor
    """Shape (n,): T per agent, 0 for an agent without data."""
    valid: torch.Tensor
    """Shape (n, longest), 1 for a decision and 0 behind an agent's end."""
    weights: torch.Tensor
    """Shape (n, longest): weights of a mean over each agent's own decisions."""
    terminated: torch.Tensor
    """Shape (n,), 1 where nothing follows and the return does not bootstrap."""


def batch_of(
    experiences: Mapping[int, Experience],
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
    for agent, experience in experiences.items():
        check(agent, experience, agents)
    longest = max((len(e.actions) for e in experiences.values()), default=0)
    rows = [np.zeros((1, encoding.size), dtype=np.float32)] * agents
    masks = np.ones((agents, longest, actions), dtype=bool)
    chosen = np.zeros((agents, longest), dtype=np.int64)
    rewards = np.zeros((agents, longest), dtype=np.float32)
    lengths = np.zeros(agents, dtype=np.int64)
    terminated = np.ones(agents, dtype=np.float32)
    for agent, e in experiences.items():
        count = len(e.actions)
        rows[agent] = encoding(np.concatenate([e.observations, e.last_observation[None]]))
        masks[agent, :count] = e.masks
        chosen[agent, :count] = e.actions
        rewards[agent, :count] = e.rewards * reward_scale
        lengths[agent] = count
        terminated[agent] = float(e.arrived)
    valid = (np.arange(longest)[None, :] < lengths[:, None]).astype(np.float32)
    weights = valid / np.maximum(lengths, 1).astype(np.float32)[:, None]
    arrays = (masks, chosen, rewards, lengths, valid, weights, terminated)
    return Batch(rows, *(torch.from_numpy(array).to(device) for array in arrays))


def check(agent: int, experience: Experience, agents: int) -> None:
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
