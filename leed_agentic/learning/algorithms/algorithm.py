"""What the trainer asks of an algorithm, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from leed_agentic.learning.encoding import Encoding
from leed_agentic.registry import Registry
from leed_agentic.settings import LearningSettings


class Algorithm(Protocol):
    """n agents that act and learn."""

    uses_demonstrations: bool

    def choose(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        """Draw an action, or take the likeliest while `deterministic` is set."""

    deterministic: bool

    def update(self, experiences: Mapping[int, Any], experts: Mapping[int, Any], episode: int) -> dict[str, Any]:
        """Learn from one episode; returns what to log: numbers, or one number per agent."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Networks and optimiser, by name, for a checkpoint."""

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take them up again. Raises UsageError when names or shapes do not fit."""

    def random_state(self) -> dict[str, Any]:
        """State of the generator that draws actions."""

    def load_random_state(self, state: Mapping[str, Any]) -> None: ...


MakeAlgorithm = Callable[[int, int, Encoding, LearningSettings, int], Algorithm]
"""(agents, actions, encoding, settings, seed) -> algorithm."""

algorithms: Registry[MakeAlgorithm] = Registry("algorithm")
