"""All agents' decisions on one clock, for a centralised critic or a mixing network, and past episodes to learn from."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal

import numpy as np
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.rollout import check
from leed_agentic.traffic.trajectory import Trajectory

Clock = Literal["time", "decisions"]
"""What makes decisions one joint step: their moment, or being their agents' k-th ones."""


@dataclass(frozen=True)
class JointEpisode:
    """One episode of n agents in S = L + 1 joint steps: the L moments at which anybody decides, and the end.

    RouteEnv's agents decide apart from each other. As in macro-action methods (Xiao et al. 2020, arXiv 2004.08646), a
    joint step is a moment at which somebody decides, and an agent in mid-edge stands there with the decision that it is
    still carrying out. Several decisions that take no simulated time (short edges) are joint steps of their own, in
    order. Where everybody decides at every step, joint steps are the environment's steps.

    Rows are agent by agent its decisions and then o_T, R of them in all.
    """

    observations: np.ndarray
    """Shape (R, d), float32; zeros for an agent that took no part."""
    masks: np.ndarray
    """Shape (R, m), bool."""
    actions: np.ndarray
    """Shape (R,), int64; 0 in the rows of o_T."""
    earned: np.ndarray
    """Shape (R,), float32: scaled reward until the next decision; 0 in the rows of o_T."""
    step: np.ndarray
    """Shape (R,), int64: the joint step of each row; S - 1 for o_T."""
    row: np.ndarray
    """Shape (S, n), int64: the row an agent stands with, that of its latest decision, so that `state()` is these rows'
    observations one after the other. Before its first decision that of the first; at the end o_T where cut off."""
    decides: np.ndarray
    """Shape (S, n), bool; at the end true for agents cut off, who would go on."""
    active: np.ndarray
    """Shape (S, n), bool: from the first decision to the last, or where the agent was cut off, to the end. What follows
    an arriving agent's last decision is certain, so it leaves with it."""
    rewards: np.ndarray
    """Shape (S, n), float32: what a decision earned until the next one, in the joint step before the next one: while an
    agent carries its action out, that action's value is still all to come. An arriving agent's last: in its step."""
    terminated: np.ndarray
    """Shape (n,), bool: arrived, or took no part; the others were cut off. Joined like `lengths`."""
    lengths: np.ndarray
    """Shape (n,), int64: decisions per agent. Of several episodes joined one behind the other, (n times episodes,)."""

    @property
    def lives(self) -> np.ndarray:
        """Who is under way with a decision, shape (S, n): `active` but for those that stand with o_T."""
        last = np.zeros(len(self.actions), dtype=bool)
        last[self.first + self.lengths] = True
        return self.active & ~last[self.row]

    @property
    def first(self) -> np.ndarray:
        """Row of each agent's first decision, shaped as `lengths`."""
        return np.cumsum(self.lengths + 1) - (self.lengths + 1)

    @property
    def owner(self) -> np.ndarray:
        """Whose each row is, shape (R,)."""
        return np.repeat(np.arange(len(self.lengths)) % self.row.shape[1], self.lengths + 1)

    @property
    def is_end(self) -> np.ndarray:
        """Which joint steps are the end of an episode, shape (S,)."""
        found = np.zeros(len(self.row), dtype=bool)
        found[self.step[self.first + self.lengths]] = True
        return found


def joint_episode(
    experiences: Mapping[int, Trajectory],
    agents: int,
    actions: int,
    columns: int,
    reward_scale: float = 1.0,
    clock: Clock = "time",
) -> JointEpisode:
    """Put the agents' experiences on one clock.

    Args:
        columns: size d of an observation.
        clock: time; or each agent's own count of decisions, so that the k-th ones of all are one joint step, in which
            everybody under way decides.

    Raises:
        UsageError: NaN or infinite rewards or observations, an action outside its mask, an agent that does not exist.
    """
    for agent, experience in experiences.items():
        check(agent, experience, agents)
    everyone = range(agents)
    lengths = np.array([len(experiences[a].actions) if a in experiences else 0 for a in everyone], dtype=np.int64)
    present = [a for a in everyone if a in experiences]
    terminated = np.array([a not in experiences or experiences[a].arrived for a in everyone])
    last_row = np.cumsum(lengths + 1) - 1
    first = last_row - lengths
    decisions = np.concatenate([np.arange(f, f + n) for f, n in zip(first, lengths, strict=True)])
    who = np.repeat(np.arange(agents), lengths)
    rows = int(last_row[-1]) + 1
    observations, masks = np.zeros((rows, columns), np.float32), np.ones((rows, actions), bool)
    taken, earned = np.zeros(rows, np.int64), np.zeros(rows, np.float64)
    for a in present:
        e, rows_of, end = experiences[a], slice(first[a], last_row[a]), last_row[a]
        observations[rows_of], observations[end] = e.observations, e.last_observation
        masks[rows_of], taken[rows_of], earned[rows_of] = e.masks, e.actions, e.rewards * reward_scale
        if e.last_mask is not None:
            masks[end] = e.last_mask
    by = {a: experiences[a].times if clock == "time" else np.arange(lengths[a]) for a in present}
    times = np.concatenate([by[a] for a in present]) if present else np.zeros(0)
    moments, step = _moments(times, who)
    steps = np.full(rows, len(moments), dtype=np.int64)
    steps[decisions] = step
    return on_one_clock(observations, masks, taken, earned.astype(np.float32), steps, terminated, lengths, clock)


def on_one_clock(
    observations: np.ndarray,
    masks: np.ndarray,
    actions: np.ndarray,
    earned: np.ndarray,
    step: np.ndarray,
    terminated: np.ndarray,
    lengths: np.ndarray,
    clock: Clock = "time",
) -> JointEpisode:
    """A joint episode from its rows: what follows from them, joint step by joint step, is worked out."""
    agents, end = len(lengths), int(step.max())
    last_row = np.cumsum(lengths + 1) - 1
    first, who = last_row - lengths, np.repeat(np.arange(agents), lengths)
    decisions = np.flatnonzero(step < end)
    taken_at = step[decisions]
    decides = np.zeros((end + 1, agents), dtype=bool)
    decides[taken_at, who] = True
    decides[end] = ~terminated & (lengths > 0)
    made = np.cumsum(decides[:end], axis=0, dtype=np.int64)
    row = np.empty((end + 1, agents), dtype=np.int64)
    row[:end] = first + np.clip(made - 1, 0, None)
    row[end] = np.where(terminated, first + np.maximum(lengths - 1, 0), last_row)
    active = np.empty_like(decides)
    # A terminated agent leaves with its last decision.
    active[:end] = (made >= 1) & ((made < lengths) | decides[:end] | ~terminated)
    active[end] = decides[end]
    # What a decision earns counts just before the agent's next one; the last one's at the end, or where it terminated.
    following = np.append(taken_at[1:] - 1, end - 1)[: len(taken_at)]
    is_last = np.append(who[1:] != who[:-1], True)[: len(who)]
    counted_at = np.where(is_last, np.where(terminated[who], taken_at, end - 1), following)
    if clock == "decisions":
        counted_at = taken_at
        cut_off = np.flatnonzero(~terminated & (lengths > 0) & (lengths < end))
        for agent in cut_off:
            last = lengths[agent]
            row[last:, agent], decides[last:, agent], active[last:, agent] = last_row[agent], False, False
            decides[last, agent] = active[last, agent] = True
    rewards = np.zeros((end + 1, agents))
    np.add.at(rewards, (counted_at, who), earned[decisions])
    rewards32 = rewards.astype(np.float32)
    return JointEpisode(
        observations, masks, actions, earned, step, row, decides, active, rewards32, terminated, lengths
    )


def _moments(times: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moments at which anybody decides, in order, shape (L, 2), and which one each decision belongs to.

    A moment is a time and how often the same agent has decided at that time before.
    """
    if not len(times):
        return np.zeros((0, 2)), np.zeros(0, np.int64)
    counts = np.arange(len(times))
    fresh = np.concatenate([[True], (times[1:] != times[:-1]) | (who[1:] != who[:-1])])
    again = counts - np.maximum.accumulate(np.where(fresh, counts, 0))
    moments, step = np.unique(np.stack([times, again], axis=1), axis=0, return_inverse=True)
    return moments, step.reshape(-1).astype(np.int64)


def central_inputs(inputs: torch.Tensor, row: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
    """The encoded `state()` of each joint step and who is under way, shape (S, n * size + n).

    Arrived agents' last observations stay in `state()`, so it alone does not say who is still on the road.

    Args:
        inputs: encoded observations, shape (R, size).
    """
    steps = len(row)
    return torch.cat([inputs[row].reshape(steps, -1), active.to(inputs.dtype)], dim=1)


# -- episodes to learn from again --------------------------------------------------------------------------------------
class Replay:
    """The last `capacity` episodes, all on one kind of clock."""

    def __init__(self, capacity: int, clock: Clock = "time") -> None:
        self._clock: Clock = clock
        self._episodes: deque[JointEpisode] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._episodes)

    def add(self, episode: JointEpisode) -> None:
        """Keep a step, in place of the oldest one where it is full."""
        self._episodes.append(episode)

    @property
    def last(self) -> JointEpisode | None:
        """The newest steps."""
        return self._episodes[-1] if self._episodes else None

    def clear(self) -> None:
        """Forget all."""
        self._episodes.clear()

    def all(self) -> JointEpisode:
        """Every episode, one behind the other; there must be one."""
        return joined(list(self._episodes))

    def sample(self, count: int, generator: np.random.Generator) -> JointEpisode:
        """So many different episodes, or all there are, one behind the other."""
        drawn = generator.choice(len(self._episodes), size=min(count, len(self._episodes)), replace=False)
        return joined([self._episodes[i] for i in drawn])

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        """All episodes as `replay.<name>`: their rows one behind the other, each different sight of the world once.

        On Braunschweig's free streets agents see the same again and again: without repetition an episode of ten agents
        takes 40 kB in place of 200 kB.
        """
        if not self._episodes:
            return {}
        whole = {name: np.concatenate([getattr(e, name) for e in self._episodes]) for name in _STORED}
        lengths = np.stack([e.lengths for e in self._episodes])
        sights = np.concatenate([whole.pop("observations").view(np.uint8), whole.pop("masks").view(np.uint8)], axis=1)
        different, which = np.unique(np.ascontiguousarray(sights).view(f"V{sights.shape[1]}"), return_inverse=True)
        arrays = {
            "sights": np.frombuffer(different.tobytes(), np.uint8).reshape(len(different), -1).copy(),
            "which": which.reshape(-1).astype(np.int32),
            "step": whole.pop("step").astype(np.int32),
            "actions": whole.pop("actions").astype(np.int32),
            "lengths": lengths,
            **whole,
        }
        return {f"replay.{name}": torch.from_numpy(array) for name, array in arrays.items()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor], actions: int) -> None:
        """Take up what `tensors` gave, for a world with so many actions. Raises UsageError when one is missing."""
        self._episodes.clear()
        if "replay.lengths" not in tensors:
            return
        names = ("sights", "which", "step", "actions", "lengths", "earned", "terminated")
        try:
            stored = {name: tensors[f"replay.{name}"].numpy() for name in names}
        except KeyError as error:
            raise UsageError(f"The checkpoint does not fit: {error.args[0]} is missing.") from error
        sights, lengths = stored["sights"][stored["which"]], stored["lengths"]
        observations = np.ascontiguousarray(sights[:, :-actions]).view(np.float32)
        masks = np.ascontiguousarray(sights[:, -actions:]).view(bool)
        taken, step = stored["actions"].astype(np.int64), stored["step"].astype(np.int64)
        ends = np.cumsum((lengths + 1).sum(1))[:-1]
        rows = (np.split(x, ends) for x in (observations, masks, taken, stored["earned"], step))
        terminated = stored["terminated"].reshape(lengths.shape)
        make = partial(on_one_clock, clock=self._clock)
        self._episodes.extend(map(make, *rows, terminated, lengths))


_STORED = ("observations", "masks", "actions", "earned", "step", "terminated")
"""What the rest of a joint episode follows from, with `lengths`."""


def joined(episodes: Sequence[JointEpisode]) -> JointEpisode:
    """Several episodes as one; `row` and `step` then count on, and `lengths` has one line per episode and agent."""
    if len(episodes) == 1:
        return episodes[0]
    rows = np.cumsum([0] + [len(e.actions) for e in episodes])
    steps = np.cumsum([0] + [len(e.row) for e in episodes])
    whole = {f.name: np.concatenate([getattr(e, f.name) for e in episodes]) for f in fields(JointEpisode)}
    whole["row"] = np.concatenate([e.row + start for e, start in zip(episodes, rows, strict=False)])
    whole["step"] = np.concatenate([e.step + start for e, start in zip(episodes, steps, strict=False)])
    return JointEpisode(**whole)
