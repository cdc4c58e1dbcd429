"""n independent networks as stacked tensors: one batched product per layer computes and updates them all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

PARTS = ("weight0", "bias0", "weight1", "bias1", "weight2", "bias2")


class StackedNetworks(nn.Module):
    """n perceptrons with two hidden layers of equal shape and separate weights.

    Weights start orthogonal, biases at zero, the last layer scaled by `last_gain` (0.01 makes a first policy uniform).
    Network i's weights come from the generator alone and in order, so that fewer networks are a prefix of more.
    """

    def __init__(
        self,
        count: int,
        inputs: int,
        hidden: int,
        outputs: int,
        generator: torch.Generator,
        last_gain: float = 1.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.activation = activation
        sizes = [(inputs, hidden), (hidden, hidden), (hidden, outputs)]
        gains = [math.sqrt(2.0), math.sqrt(2.0), last_gain]
        layers: list[list[torch.Tensor]] = [[], [], []]
        for _ in range(count):
            for layer, shape, gain in zip(layers, sizes, gains, strict=True):
                weight = torch.empty(shape)
                nn.init.orthogonal_(weight, gain, generator=generator)
                layer.append(weight)
        self.weight0, self.weight1, self.weight2 = (nn.Parameter(torch.stack(layer)) for layer in layers)
        self.bias0, self.bias1, self.bias2 = (nn.Parameter(torch.zeros(count, 1, outputs_)) for _, outputs_ in sizes)

    def forward(self, inputs: torch.Tensor, owner: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs of shape (n, T, outputs) for inputs of shape (n, T, inputs).

        Args:
            owner: shape (p,), the network that computes each of p inputs of shape (p, T, inputs); None: one each.
        """
        w0, b0, w1, b1, w2, b2 = (getattr(self, name) for name in PARTS)
        if owner is not None:
            w0, b0, w1, b1, w2, b2 = (part.index_select(0, owner) for part in (w0, b0, w1, b1, w2, b2))
        act = torch.relu if self.activation == "relu" else torch.tanh
        x = act(torch.baddbmm(b0, inputs, w0))
        x = act(torch.baddbmm(b1, x, w1))
        return torch.baddbmm(b2, x, w2)


class RolloutNetworks:
    """The same networks for one input at a time, in numpy: a tenth of the time a torch call takes.

    Call `refresh` after every change of the weights.
    """

    def __init__(self, networks: StackedNetworks) -> None:
        self._networks = networks
        self.refresh()

    def refresh(self) -> None:
        """Take up the weights as they are now."""
        arrays = {name: getattr(self._networks, name).detach().cpu().numpy() for name in PARTS}
        count = len(arrays["weight0"])
        self._layers = [
            tuple(arrays[name][i] if name.startswith("weight") else arrays[name][i, 0] for name in PARTS)
            for i in range(count)
        ]
        self._relu = self._networks.activation == "relu"
        size = arrays["weight1"].shape[-1]
        self._hidden = np.empty(size, np.float32), np.empty(size, np.float32)
        self._zeros = np.zeros(size, np.float32)
        self.memory: dict[Any, Any] = {}
        """What the caller worked out from these weights and may need again; empty after `refresh`."""

    def __call__(self, index: int, inputs: np.ndarray) -> np.ndarray:
        """Network `index`'s outputs, shape (outputs,), for inputs of shape (inputs,)."""
        w0, b0, w1, b1, w2, b2 = self._layers[index]
        # Two arrays for all calls: with vectors this short, making new ones costs as much as the products.
        x, y = self._hidden
        np.dot(inputs, w0, out=x)
        np.add(x, b0, out=x)
        self._activate(x)
        np.dot(x, w1, out=y)
        np.add(y, b1, out=y)
        self._activate(y)
        return np.dot(y, w2) + b2

    def _activate(self, x: np.ndarray) -> None:
        if self._relu:
            np.maximum(x, self._zeros, out=x)
        else:
            np.tanh(x, out=x)
