"""Episodes to learn from again: the newest ones, drawn at random, in the checkpoint with everything else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.joint import JointEpisode, on_one_clock

_NAMES = tuple(field.name for field in fields(JointEpisode))


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
        """All episodes as `replay.<part>`: their rows one behind the other, each different sight of the world once.

        On Braunschweig's free streets agents see the same again and again: without repetition an episode of ten agents
        takes 40 kB in place of 200 kB.
        """
        if not self._episodes:
            return {}
        whole = {name: np.concatenate([getattr(e, name) for e in self._episodes]) for name in _STORED}
        lengths = np.stack([e.lengths for e in self._episodes])
        sights = np.concatenate([whole.pop("observations").view(np.uint8), whole.pop("masks").view(np.uint8)], axis=1)
        different, which = np.unique(np.ascontiguousarray(sights).view(f"V{sights.shape[1]}"), return_inverse=True)
        parts = {
            "sights": np.frombuffer(different.tobytes(), np.uint8).reshape(len(different), -1).copy(),
            "which": which.reshape(-1).astype(np.int32),
            "step": whole.pop("step").astype(np.int32),
            "actions": whole.pop("actions").astype(np.int32),
            "lengths": lengths,
            **whole,
        }
        return {f"replay.{name}": torch.from_numpy(array) for name, array in parts.items()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor], actions: int) -> None:
        """Take up what `tensors` gave, for a world with so many actions. Raises UsageError when a part is missing."""
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
        parts = (np.split(x, ends) for x in (observations, masks, taken, stored["earned"], step))
        terminated = stored["terminated"].reshape(lengths.shape)
        for seen, legal, did, paid, when, over, own in zip(*parts, terminated, lengths, strict=True):
            self._episodes.append(on_one_clock(seen, legal, did, paid, when, over, own))


_STORED = ("observations", "masks", "actions", "earned", "step", "terminated")
"""What the rest of a joint episode follows from, with `lengths`."""


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
