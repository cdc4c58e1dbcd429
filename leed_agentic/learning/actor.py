"""Drawing actions from n agents' policies, one decision at a time."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.networks import RolloutNetworks, StackedNetworks

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
    """n agents that act by networks whose outputs are logits, or by the largest output.

    Args:
        networks: one per agent; call `refresh` after every change of their weights.
        generator: draws the actions.
    """

    def __init__(self, networks: StackedNetworks, encoding: Encoding, generator: np.random.Generator) -> None:
        self._encoding, self._generator = encoding, generator
        self._rollout = RolloutNetworks(networks)

    def refresh(self) -> None:
        """Take up the weights as they are now."""
        self._rollout.refresh()

    def probabilities(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """pi^i(. | o), shape (m,); 0 for masked actions."""
        legal = np.flatnonzero(mask)
        logits = self._rollout(agent, self._encoding.one(observation))[legal]
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
        key, memory = (agent, observation.tobytes(), mask.tobytes()), self._rollout.memory
        odds = memory.get(key)
        if odds is None:
            if len(memory) >= REMEMBERED:
                memory.clear()
            odds = memory[key] = self._computed(agent, observation, mask)
        return odds

    def _computed(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> _Odds:
        # Lists and plain floats wherever there are only a few numbers: a numpy call costs more than the sum it does.
        legal = [action for action, allowed in enumerate(mask.tolist()) if allowed]
        if len(legal) == 1:
            return _Odds(legal, legal[0], [], np.float32(0))
        logits = self._rollout(agent, self._encoding.one(observation))
        logits = logits[: len(legal)] if legal[-1] == len(legal) - 1 else logits[legal]
        listed = logits.tolist()
        highest = max(listed)
        cumulative = np.add.accumulate(np.exp(logits - highest))
        return _Odds(legal, legal[listed.index(highest)], cumulative.tolist(), cumulative[-1])
