"""Agents' decisions as rows that their networks compute in few products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

GATHER = 8
"""What copying one network's weights for one more piece costs, in rows computed (measured with two layers of 128)."""
SIZES = (16, 32, 64, 128)
Networks = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Outputs of inputs of shape (p, T, inputs), given whose network computes each of the p; None: one each."""


class Rows(NamedTuple):
    """n agents' network inputs, one agent's behind the other's."""

    inputs: torch.Tensor
    """Shape (R, inputs), float32."""
    counts: np.ndarray
    """Shape (n,): rows of each agent, R in all."""

    @property
    def owner(self) -> np.ndarray:
        """Whose each row is, shape (R,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def within(self) -> np.ndarray:
        """Which of its agent's rows each is, shape (R,)."""
        return np.arange(len(self.inputs)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)

    def padded(self) -> torch.Tensor:
        """Shape (n, longest, inputs), zeros behind an agent's end."""
        longest, device = int(self.counts.max(initial=0)), self.inputs.device
        place = torch.from_numpy(self.owner * longest + self.within).to(device)
        flat = self.inputs.new_zeros(len(self.counts) * longest, self.inputs.shape[1])
        return flat.index_copy_(0, place, self.inputs).view(len(self.counts), longest, -1)


def behind(parts: Sequence[Rows]) -> Rows:
    """Every agent's rows of the first part, those of the second behind them, and so on."""
    if len(parts) == 1:
        return parts[0]
    inputs = torch.cat([part.inputs for part in parts])
    order = np.argsort(np.concatenate([part.owner for part in parts]), kind="stable")
    counts = np.sum([part.counts for part in parts], axis=0)
    return Rows(inputs.index_select(0, torch.from_numpy(order).to(inputs.device)), counts)


class Folding:
    """n agents' rows cut into pieces of one length, each computed by its agent's network.

    An agent that drives in circles decides hundreds of times while the others decide ten times; padded to the longest,
    nine tenths of all products would be of zeros.
    """

    def __init__(self, rows: Rows) -> None:
        lengths, device = rows.counts, rows.inputs.device
        longest = max(int(lengths.max(initial=0)), 1)
        size = min([s for s in SIZES if s < longest] + [longest], key=lambda s: _cost(lengths, s))
        pieces = _pieces(lengths, size)
        first = np.cumsum(pieces) - pieces
        place = first[rows.owner] * size + rows.within
        inputs = rows.inputs.new_zeros(int(pieces.sum()) * size, rows.inputs.shape[1])
        inputs.index_copy_(0, torch.from_numpy(place).to(device), rows.inputs)
        self.inputs = inputs.view(-1, size, inputs.shape[1])
        steps = np.arange(longest)
        index = np.where(steps < lengths[:, None], first[:, None] * size + steps, 0)
        self.index = torch.from_numpy(index).to(device)
        owner = torch.from_numpy(np.repeat(np.arange(len(lengths)), pieces)).to(device)
        self.owner = None if len(owner) == len(lengths) else owner

    def places(self, first: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
        """Where each agent's rows from its `first` on lie, `lengths` of them, shape (n, longest); flat, for `compute`.

        Behind an agent's end stands the place of its row 0.
        """
        steps = np.arange(int(lengths.max(initial=0)))
        rows = np.where(steps < lengths[:, None], first[:, None] + steps, 0)
        return self.index.gather(1, torch.from_numpy(rows).to(self.index.device)).flatten()

    def compute(self, networks: Networks, *places: torch.Tensor) -> list[torch.Tensor]:
        """Every agent's rows through its network; the outputs at each of `places`, shape (n, longest, outputs)."""
        outputs = networks(self.inputs, self.owner).flatten(0, 1)
        agents = len(self.index)
        return [outputs.index_select(0, x).view(agents, x.numel() // agents, outputs.shape[1]) for x in places]


class Distinct(Folding):
    """n agents' rows for one network that all share: no piece is filled up, and equal rows are computed once, a
    third of what a wandering fleet meets.

    Args:
        identity: whether the network is told whose a row is: then rows of two agents are never equal.
    """

    def __init__(self, rows: Rows, identity: bool = True) -> None:
        device, owner = rows.inputs.device, rows.owner
        first, place = _distinct(rows.inputs.cpu().numpy(), owner * identity)
        index = np.zeros((len(rows.counts), max(int(rows.counts.max(initial=0)), 1)), dtype=np.int64)
        index[owner, rows.within] = place
        self.inputs = rows.inputs.index_select(0, torch.from_numpy(first).to(device))[:, None]
        self.index = torch.from_numpy(index).to(device)
        self.owner = torch.from_numpy(owner[first]).to(device)


def _distinct(inputs: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that differ, as indices, and which of them each row equals; by a hash that is checked."""
    factors = np.random.default_rng(0xD15).integers(0, 2**63, inputs.shape[1] + 1, dtype=np.uint64)
    bits = np.ascontiguousarray(inputs).view(np.uint32)
    # Whole numbers, which overflow alike: equal rows have equal sums, whatever the order of adding.
    keys = bits @ factors[:-1] + owner.astype(np.uint64) * factors[-1]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    place = place.ravel()
    if (inputs[first][place] == inputs).all() and (owner[first][place] == owner).all():
        return first, place
    every = np.arange(len(inputs))
    return every, every


def _pieces(lengths: np.ndarray, size: int) -> np.ndarray:
    return np.maximum(-(-lengths // size), 1)


def _cost(lengths: np.ndarray, size: int) -> int:
    pieces = int(_pieces(lengths, size).sum())
    return pieces * (size + GATHER * (pieces > len(lengths)))
