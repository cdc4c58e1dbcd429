"""Episodes to learn from again: the newest ones, drawn at random, in the checkpoint with everything else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.joint import JointEpisode

_NAMES = tuple(field.name for field in fields(JointEpisode))
_PER_STEP = ("row", "decides", "active", "rewards")
_PER_ROW = ("observations", "masks", "actions", "earned", "step")


class Replay:
    """The last `capacity` episodes."""

    def __init__(self, capacity: int) -> None:
        self._episodes: deque[JointEpisode] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._episodes)

    def add(self, episode: JointEpisode) -> None:
        self._episodes.append(episode)

    def clear(self) -> None:
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
        """All episodes by `replay.<field>`, rows and steps of one episode behind those of the one before."""
        if not self._episodes:
            return {}
        stacked = {name: np.concatenate([getattr(e, name) for e in self._episodes]) for name in _NAMES}
        stacked["lengths"] = np.stack([e.lengths for e in self._episodes])
        stacked["steps"] = np.array([len(e.row) for e in self._episodes])
        return {f"replay.{name}": torch.from_numpy(array) for name, array in stacked.items()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave. Raises UsageError when a part is missing."""
        self._episodes.clear()
        if "replay.steps" not in tensors:
            return
        try:
            stored = {name: tensors[f"replay.{name}"].numpy() for name in (*_NAMES, "steps")}
        except KeyError as error:
            raise UsageError(f"The checkpoint does not fit: {error.args[0]} is missing.") from error
        lengths, steps = stored["lengths"], stored["steps"]
        ends = {name: np.cumsum(steps)[:-1] for name in _PER_STEP}
        ends |= {name: np.cumsum((lengths + 1).sum(1))[:-1] for name in _PER_ROW}
        parts = {name: np.split(stored[name], at) for name, at in ends.items()}
        for i, own in enumerate(lengths):
            self._episodes.append(JointEpisode(lengths=own, **{name: part[i] for name, part in parts.items()}))


def joined(episodes: Sequence[JointEpisode]) -> JointEpisode:
    """Several episodes as one; `row` and `step` then count on, and `lengths` has one line per episode and agent."""
    if len(episodes) == 1:
        return episodes[0]
    rows = np.cumsum([0] + [len(e.actions) for e in episodes])
    steps = np.cumsum([0] + [len(e.row) for e in episodes])
    parts = {name: np.concatenate([getattr(e, name) for e in episodes]) for name in _NAMES}
    parts["row"] = np.concatenate([e.row + start for e, start in zip(episodes, rows, strict=False)])
    parts["step"] = np.concatenate([e.step + start for e, start in zip(episodes, steps, strict=False)])
    return JointEpisode(**parts)
