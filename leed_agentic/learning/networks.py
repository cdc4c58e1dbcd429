"""n independent networks as stacked tensors, which one batched product per layer computes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from leed_agentic.errors import UsageError
from leed_agentic.learning.adam import MOMENTS, Adam
from leed_agentic.learning.folding import Distinct, Folding, Rows
from leed_agentic.learning.policy import NORM_EPS

WEIGHTS = ("weight0", "bias0", "weight1", "bias1", "weight2", "bias2")
NORMS = ("scale0", "shift0", "scale1", "shift1")


class StackedNetworks(nn.Module):
    """n perceptrons with two hidden layers of equal shape and separate weights.

    Weights start orthogonal, biases at zero, the last layer scaled by `last_gain` (0.01 makes a first policy uniform).
    Network i's weights come from the generator alone and in order, so that fewer networks are a prefix of more.

    Args:
        layer_norm: normalise both hidden layers' units (Ba et al. 2016), behind the activation as Yu et al. 2022 do.
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
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.agents = count
        self.activation, self.layer_norm = activation, layer_norm
        self._copies: dict[str, torch.Tensor] = {}
        """Of weights on a GPU."""
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
        if layer_norm:
            self.scale0, self.scale1 = (nn.Parameter(torch.ones(count, 1, hidden)) for _ in range(2))
            self.shift0, self.shift1 = (nn.Parameter(torch.zeros(count, 1, hidden)) for _ in range(2))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters that make up one network."""
        return WEIGHTS + NORMS * self.layer_norm

    def forward(self, inputs: torch.Tensor, owner: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs of shape (n, T, outputs) for inputs of shape (n, T, inputs).

        Args:
            owner: shape (p,), the network that computes each of p inputs of shape (p, T, inputs); None: one each.
        """
        weights = {name: getattr(self, name) for name in self.names}
        if owner is not None:
            weights = {name: x.index_select(0, owner) for name, x in weights.items()}
        x = self._hidden(torch.baddbmm(weights["bias0"], inputs, weights["weight0"]), weights, 0)
        x = self._hidden(torch.baddbmm(weights["bias1"], x, weights["weight1"]), weights, 1)
        return torch.baddbmm(weights["bias2"], x, weights["weight2"])

    def fold(self, rows: Rows) -> Folding:
        """n agents' rows as these networks compute them best."""
        return Folding(rows)

    def rows(self, inputs: torch.Tensor, owner: np.ndarray) -> torch.Tensor:
        """Outputs of shape (R, outputs) for R rows of inputs and whose each is."""
        counts = np.bincount(owner, minlength=len(self.weight0))
        order = np.argsort(owner, kind="stable")
        place = np.empty(len(owner), np.int64)
        place[order] = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        longest = max(int(counts.max(initial=0)), 1)
        where = torch.from_numpy(owner * longest + place).to(inputs.device)
        padded = inputs.new_zeros(len(counts) * longest, inputs.shape[1]).index_copy(0, where, inputs)
        return self(padded.view(len(counts), longest, -1)).flatten(0, 1).index_select(0, where)

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights to act by, shapes (n, inputs, hidden) ... and (n, 1, units); they stay the networks' own, so that
        the next gradient step or call changes them."""
        return {name: self._near(name, getattr(self, name).detach()).numpy() for name in self.names}

    def _near(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor where numpy reads it; from a GPU through memory that stays, which it can write by itself."""
        if tensor.device.type == "cpu":
            return tensor
        if name not in self._copies:
            self._copies[name] = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
        return self._copies[name].copy_(tensor)

    def of(self, arrays: Mapping[str, np.ndarray], agent: int) -> dict[str, np.ndarray]:
        """What that agent acts by, out of `arrays`: shapes (inputs, hidden) ... and (units,)."""
        return {name: x[agent] if name.startswith("weight") else x[agent, 0] for name, x in arrays.items()}

    def _hidden(self, x: torch.Tensor, weights: Mapping[str, torch.Tensor], layer: int) -> torch.Tensor:
        x = torch.relu(x) if self.activation == "relu" else torch.tanh(x)
        if not self.layer_norm:
            return x
        return (
            nn.functional.layer_norm(x, x.shape[-1:], eps=NORM_EPS) * weights[f"scale{layer}"]
            + weights[f"shift{layer}"]
        )


class SharedNetwork(StackedNetworks):
    """One network for n agents; with `identity` it is told by a one-hot behind the inputs whose they are."""

    def __init__(self, agents: int, inputs: int, *shape: Any, identity: bool = True, **options: Any) -> None:
        super().__init__(1, inputs + agents * identity, *shape, **options)
        self.agents, self.inputs, self.identity = agents, inputs, identity

    def forward(self, inputs: torch.Tensor, owner: torch.Tensor | None = None) -> torch.Tensor:
        """As of n networks: outputs of shape (p, T, outputs), `owner` being the agent of each of p inputs."""
        weights = {name: getattr(self, name)[0] for name in self.names}
        bias = weights["bias0"]
        if self.identity:
            # A one-hot picks a row of weights.
            told = weights["weight0"][self.inputs :]
            bias = bias + (told if owner is None else told.index_select(0, owner))[:, None]
        x = self._hidden(inputs @ weights["weight0"][: self.inputs] + bias, weights, 0).flatten(0, 1)
        x = self._hidden(torch.addmm(weights["bias1"], x, weights["weight1"]), weights, 1)
        return torch.addmm(weights["bias2"], x, weights["weight2"]).unflatten(0, inputs.shape[:2])

    def fold(self, rows: Rows) -> Folding:
        return Distinct(rows, self.identity)

    def rows(self, inputs: torch.Tensor, owner: np.ndarray) -> torch.Tensor:
        if self.identity:
            one_hot = torch.eye(self.agents, device=inputs.device)[torch.from_numpy(owner)]
            inputs = torch.cat([inputs, one_hot], dim=1)
        return super().forward(inputs[None])[0]

    def of(self, arrays: Mapping[str, np.ndarray], agent: int) -> dict[str, np.ndarray]:
        """A one-hot only adds a row of weights to the first bias, so that what an agent acts by needs none."""
        whole = super().of(arrays, 0)
        first, told = whole["weight0"][: self.inputs], whole["weight0"][self.inputs :]
        return {**whole, "weight0": first, "bias0": whole["bias0"] + told[agent] if self.identity else whole["bias0"]}


def clip_gradients(networks: nn.Module, norm: float) -> None:
    """Shorten the gradient of each network of a stack, or of any other module as a whole, to `norm`."""
    if not isinstance(networks, StackedNetworks) or len(networks.weight0) == 1:
        nn.utils.clip_grad_norm_(networks.parameters(), norm)
        return
    gradients = [p.grad for p in networks.parameters() if p.grad is not None]
    if gradients:
        length = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        for gradient in gradients:
            gradient.mul_((norm / (length + 1e-6)).clamp(max=1.0)[:, None, None])


# -- checkpoints -------------------------------------------------------------------------------------------------------
def named_tensors(networks: Mapping[str, nn.Module], optimiser: Adam) -> dict[str, torch.Tensor]:
    """Every parameter as `<network>.<parameter>` and Adam's moments as `adam.<network>.<parameter>.<moment>`."""
    named = {}
    for key, parameter in named_parameters(networks):
        named[key] = parameter.detach()
        for moment, value in optimiser.state.get(parameter, {}).items():
            named[f"adam.{key}.{moment}"] = value
    return named


def load_named(networks: Mapping[str, nn.Module], optimiser: Adam, tensors: Mapping[str, torch.Tensor]) -> None:
    """Take up what `named_tensors` gave. Raises UsageError when a parameter is missing or of another shape."""
    for key, parameter in named_parameters(networks):
        parameter.data.copy_(fitting(tensors, key, parameter))
        state = {p: tensors[f"adam.{key}.{p}"].clone() for p in MOMENTS if f"adam.{key}.{p}" in tensors}
        if state:
            optimiser.state[parameter] = state


def fitting(tensors: Mapping[str, torch.Tensor], key: str, like: torch.Tensor) -> torch.Tensor:
    """The tensor of that name. Raises UsageError when it is missing or not of the shape of `like`."""
    stored = tensors.get(key)
    if stored is None or stored.shape != like.shape:
        raise UsageError(f"The checkpoint does not fit: {key} is missing or of another shape.")
    return stored


def named_parameters(networks: Mapping[str, nn.Module]) -> list[tuple[str, nn.Parameter]]:
    """Tensors by the names that checkpoints have for them."""
    return [(f"{name}.{key}", p) for name, network in networks.items() for key, p in network.named_parameters()]
