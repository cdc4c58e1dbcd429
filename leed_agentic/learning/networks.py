"""n independent networks as stacked tensors, which one batched product per layer computes, and drawing actions from
them one decision at a time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from leed_agentic.errors import UsageError
from leed_agentic.learning.encoding import Encoding

WEIGHTS = ("weight0", "bias0", "weight1", "bias1", "weight2", "bias2")
GATHER = 8
"""What copying one network's weights for one more piece costs, in rows computed (measured with two layers of 128)."""
SIZES = (16, 32, 64, 128)
REMEMBERED = 20_000
"""Odds kept between two updates; an episode of 50 agents needs less."""
_ADAM = ("step", "exp_avg", "exp_avg_sq")


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
        w0, b0, w1, b1, w2, b2 = (getattr(self, name) for name in WEIGHTS)
        if owner is not None:
            w0, b0, w1, b1, w2, b2 = (x.index_select(0, owner) for x in (w0, b0, w1, b1, w2, b2))
        act = torch.relu if self.activation == "relu" else torch.tanh
        x = act(torch.baddbmm(b0, inputs, w0))
        x = act(torch.baddbmm(b1, x, w1))
        return torch.baddbmm(b2, x, w2)


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
        for agent, inputs_of in enumerate(rows):
            start = first[agent] * size
            inputs[start : start + len(inputs_of)] = inputs_of
            index[agent, : len(inputs_of)] = np.arange(start, start + len(inputs_of))
        self.inputs = torch.from_numpy(inputs.reshape(first[-1], size, -1)).to(device)
        self.index = torch.from_numpy(index).to(device)
        owner = torch.from_numpy(np.repeat(np.arange(len(rows)), pieces)).to(device)
        self.owner = None if len(owner) == len(rows) else owner

    def places(self, first: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
        """Where each agent's rows from its `first` on lie, `lengths` of them, shape (n, longest); flat, for `compute`.

        Behind an agent's end stands the place of its row 0.
        """
        steps = np.arange(int(lengths.max(initial=0)))
        rows = np.where(steps < lengths[:, None], first[:, None] + steps, 0)
        return self.index.gather(1, torch.from_numpy(rows).to(self.index.device)).flatten()

    def compute(self, networks: StackedNetworks, *places: torch.Tensor) -> list[torch.Tensor]:
        """Every agent's rows through its network; the outputs at each of `places`, shape (n, longest, outputs)."""
        outputs = networks(self.inputs, self.owner).flatten(0, 1)
        agents = len(self.index)
        return [outputs.index_select(0, x).view(agents, x.numel() // agents, outputs.shape[1]) for x in places]


def _pieces(lengths: np.ndarray, size: int) -> np.ndarray:
    return np.maximum(-(-lengths // size), 1)


def _cost(lengths: np.ndarray, size: int) -> int:
    pieces = int(_pieces(lengths, size).sum())
    return pieces * (size + GATHER * (pieces > len(lengths)))


# -- drawing actions ---------------------------------------------------------------------------------------------------
class _Odds(NamedTuple):
    """What an agent draws from."""

    legal: list[int]
    likeliest: int
    cumulative: list[float]
    """Of the legal actions' weights, which do not sum to 1."""
    total: np.float32
    """The last of them. The draw is scaled by it in single precision, as the weights are."""


class Actor:
    """n agents that act by networks whose outputs are logits, or by the largest output; in numpy, which takes a tenth
    of the time that a torch call does.

    Args:
        networks: one per agent; call `refresh` after every change of their weights.
        generator: draws the actions.
    """

    def __init__(self, networks: StackedNetworks, encoding: Encoding, generator: np.random.Generator) -> None:
        self._networks, self._encoding, self._generator = networks, encoding, generator
        self.refresh()

    def refresh(self) -> None:
        """Take up the weights as they are now."""
        arrays = {name: getattr(self._networks, name).detach().cpu().numpy() for name in WEIGHTS}
        self._layers = [
            tuple(arrays[name][i] if name.startswith("weight") else arrays[name][i, 0] for name in WEIGHTS)
            for i in range(len(arrays["weight0"]))
        ]
        self._relu = self._networks.activation == "relu"
        size = arrays["weight1"].shape[-1]
        self._hidden = np.empty(size, np.float32), np.empty(size, np.float32)
        self._zeros = np.zeros(size, np.float32)
        self._known: dict[tuple[int, bytes, bytes], _Odds] = {}

    def outputs(self, agent: int, inputs: np.ndarray) -> np.ndarray:
        """The agent's network on encoded inputs of shape (inputs,): shape (outputs,)."""
        w0, b0, w1, b1, w2, b2 = self._layers[agent]
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

    # -- acting --------------------------------------------------------------------------------------------------------
    def probabilities(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """pi^i(. | o), shape (m,); 0 for masked actions."""
        legal = np.flatnonzero(mask)
        logits = self.outputs(agent, self._encoding.one(observation))[legal]
        weights = np.exp(logits - logits.max())
        result = np.zeros(len(mask))
        result[legal] = weights / weights.sum()
        return result

    def draw(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        """An action by its probability."""
        odds = self._odds(agent, observation, mask)
        if len(odds.legal) == 1:
            return odds.likeliest
        drawn = bisect_right(odds.cumulative, float(self._generator.random() * odds.total))
        return odds.legal[min(drawn, len(odds.legal) - 1)]

    def best(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        """The legal action with the largest output."""
        return self._odds(agent, observation, mask).likeliest

    def explore(self, agent: int, observation: np.ndarray, mask: np.ndarray, epsilon: float) -> int:
        """The legal action with the largest output; with probability epsilon any legal one."""
        odds = self._odds(agent, observation, mask)
        if len(odds.legal) == 1 or self._generator.random() >= epsilon:
            return odds.likeliest
        return odds.legal[int(self._generator.integers(len(odds.legal)))]

    def _odds(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> _Odds:
        # Between two updates a third of the decisions are one that the agent met before: it went around a block.
        key = (agent, observation.tobytes(), mask.tobytes())
        odds = self._known.get(key)
        if odds is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            odds = self._known[key] = self._computed(agent, observation, mask)
        return odds

    def _computed(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> _Odds:
        # Lists and plain floats wherever there are only a few numbers: a numpy call costs more than the sum it does.
        legal = [action for action, allowed in enumerate(mask.tolist()) if allowed]
        if len(legal) == 1:
            return _Odds(legal, legal[0], [], np.float32(0))
        logits = self.outputs(agent, self._encoding.one(observation))
        logits = logits[: len(legal)] if legal[-1] == len(legal) - 1 else logits[legal]
        listed = logits.tolist()
        highest = max(listed)
        cumulative = np.add.accumulate(np.exp(logits - highest))
        return _Odds(legal, legal[listed.index(highest)], cumulative.tolist(), cumulative[-1])


# -- all agents share one network --------------------------------------------------------------------------------------
def with_identity(inputs: torch.Tensor, agents_of: np.ndarray, agents: int, identity: bool) -> torch.Tensor:
    """Rows of network inputs with their agent's one-hot behind them, where it is wanted."""
    if not identity:
        return inputs
    return torch.cat([inputs, torch.eye(agents, device=inputs.device)[torch.from_numpy(agents_of)]], dim=1)


def spread(shared: StackedNetworks, copies: StackedNetworks) -> None:
    """Give every agent a copy of the shared network that sees the agent's observation alone.

    A one-hot input only adds a row of weights to the first bias, so the copies need none: they act faster, and one of
    them is a policy like any other.
    """
    size = copies.weight0.shape[1]
    with torch.no_grad():
        for name in WEIGHTS:
            target, source = getattr(copies, name), getattr(shared, name)
            target.copy_(source[:, :size] if name == "weight0" else source)
        identity = shared.weight0[0, size:]
        if len(identity):
            copies.bias0.add_(identity[:, None, :].to(copies.bias0.device))


# -- checkpoints -------------------------------------------------------------------------------------------------------
def named_tensors(networks: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Every parameter as `<network>.<parameter>` and Adam's moments as `adam.<network>.<parameter>.<moment>`."""
    named = {}
    for key, parameter in named_parameters(networks):
        named[key] = parameter.detach()
        for moment, value in optimiser.state.get(parameter, {}).items():
            named[f"adam.{key}.{moment}"] = value
    return named


def load_named(
    networks: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Take up what `named_tensors` gave. Raises UsageError when a parameter is missing or of another shape."""
    for key, parameter in named_parameters(networks):
        parameter.data.copy_(fitting(tensors, key, parameter))
        state = {p: tensors[f"adam.{key}.{p}"].clone() for p in _ADAM if f"adam.{key}.{p}" in tensors}
        if state:
            optimiser.state[parameter] = state


def fitting(tensors: Mapping[str, torch.Tensor], key: str, like: torch.Tensor) -> torch.Tensor:
    """The tensor of that name. Raises UsageError when it is missing or not of the shape of `like`."""
    stored = tensors.get(key)
    if stored is None or stored.shape != like.shape:
        raise UsageError(f"The checkpoint does not fit: {key} is missing or of another shape.")
    return stored


def named_parameters(networks: Mapping[str, nn.Module]) -> list[tuple[str, nn.Parameter]]:
    return [(f"{name}.{key}", p) for name, network in networks.items() for key, p in network.named_parameters()]
