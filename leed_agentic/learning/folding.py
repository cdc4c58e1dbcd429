"""Ragged sequences as equal pieces, so that one long trajectory does not pad all the others."""

from __future__ import annotations

import numpy as np
import torch

from leed_agentic.learning.networks import StackedNetworks

GATHER = 8
"""What copying one network's weights for one more piece costs, in rows computed (measured with two layers of 128)."""
SIZES = (16, 32, 64, 128)


class Folding:
    """n agents' rows cut into pieces of one length, each computed by its agent's network.

    An agent that drives in circles decides hundreds of times while the others decide ten times; padded to the longest,
    nine tenths of all products would be of zeros.

    Args:
        rows: one array of network inputs per agent, shape (rows of that agent, inputs), float32.
        device: torch device.
    """

    def __init__(self, rows: list[np.ndarray], device: str = "cpu") -> None:
        lengths = np.array([len(r) for r in rows])
        longest = max(int(lengths.max(initial=0)), 1)
        size = min([s for s in SIZES if s < longest] + [longest], key=lambda s: _cost(lengths, s))
        pieces = _pieces(lengths, size)
        first = np.concatenate([[0], np.cumsum(pieces)])
        inputs = np.zeros((first[-1] * size, rows[0].shape[1]), dtype=np.float32)
        index = np.zeros((len(rows), longest), dtype=np.int64)
        for agent, own in enumerate(rows):
            start = first[agent] * size
            inputs[start : start + len(own)] = own
            index[agent, : len(own)] = np.arange(start, start + len(own))
        self.inputs = torch.from_numpy(inputs.reshape(first[-1], size, -1)).to(device)
        self.index = torch.from_numpy(index).to(device)
        owner = torch.from_numpy(np.repeat(np.arange(len(rows)), pieces)).to(device)
        self.owner = None if len(owner) == len(rows) else owner

    def part(self, first: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
        """Where each agent's rows from its `first` on lie, `lengths` of them, shape (n, longest); flat, for `compute`.

        Behind an agent's end stands the place of its row 0.
        """
        steps = np.arange(int(lengths.max(initial=0)))
        rows = np.where(steps < lengths[:, None], first[:, None] + steps, 0)
        return self.index.gather(1, torch.from_numpy(rows).to(self.index.device)).flatten()

    def compute(self, networks: StackedNetworks, *parts: torch.Tensor) -> list[torch.Tensor]:
        """Every agent's rows through its network; for each part its rows' outputs, shape (n, longest, outputs)."""
        outputs = networks(self.inputs, self.owner).flatten(0, 1)
        agents = len(self.index)
        return [outputs.index_select(0, part).view(agents, part.numel() // agents, outputs.shape[1]) for part in parts]


def _pieces(lengths: np.ndarray, size: int) -> np.ndarray:
    return np.maximum(-(-lengths // size), 1)


def _cost(lengths: np.ndarray, size: int) -> int:
    pieces = int(_pieces(lengths, size).sum())
    return pieces * (size + GATHER * (pieces > len(lengths)))
