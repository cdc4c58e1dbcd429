"""Drawing actions from stacked networks, one decision at a time."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.networks import StackedNetworks
from leed_agentic.learning.policy import layer_norm

REMEMBERED = 20_000
"""Odds kept between two updates; an episode of 50 agents needs less."""


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
        self._arrays = self._networks.arrays()
        self._layers: dict[int, tuple[np.ndarray, ...]] = {}
        """By agent, those alone that act: the layers' weights, and the norms'."""
        self._relu = self._networks.activation == "relu"
        size = self._arrays["weight1"].shape[-1]
        self._hidden = np.empty(size, np.float32), np.empty(size, np.float32)
        self._zeros = np.zeros(size, np.float32)
        self._known: dict[tuple[int, bytes, bytes], _Odds] = {}

    def outputs(self, agent: int, inputs: np.ndarray) -> np.ndarray:
        """The agent's network on encoded inputs of shape (inputs,): shape (outputs,)."""
        layers = self._layers.get(agent)
        if layers is None:
            weights = self._networks.of(self._arrays, agent)
            layers = self._layers[agent] = tuple(weights[name] for name in self._networks.names)
        w0, b0, w1, b1, w2, b2, *norms = layers
        # Two arrays for all calls: with vectors this short, making new ones costs as much as the products.
        x, y = self._hidden
        np.dot(inputs, w0, out=x)
        np.add(x, b0, out=x)
        self._activate(x)
        if norms:
            x[:] = layer_norm(x, *norms[:2])
        np.dot(x, w1, out=y)
        np.add(y, b1, out=y)
        self._activate(y)
        if norms:
            y[:] = layer_norm(y, *norms[2:])
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
