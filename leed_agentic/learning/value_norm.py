"""Running mean and deviation of returns, so that a critic learns values of order 1."""

from __future__ import annotations

import torch
from torch import nn

from leed_agentic.learning.networks import StackedNetworks

DECAY = 0.99999
"""Of the running means, as in the code of Yu et al. 2022."""


class ValueNorm(nn.Module):
    """Value normalisation of Yu et al. 2022 (arXiv 2103.01955): exponential means, unbiased from the start."""

    def __init__(self) -> None:
        super().__init__()
        # Buffers in float64: with so slow a decay, float32 would lose the first updates.
        for name in ("mean", "square", "weight"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    mean: torch.Tensor
    square: torch.Tensor
    weight: torch.Tensor

    def take(self, returns: torch.Tensor, critic: StackedNetworks) -> None:
        """Count these returns in, and keep what the critic's values mean (PopArt, van Hasselt et al. 2016).

        The code of Yu et al. leaves the critic as it is, and takes the end of an episode for the end of all reward.
        Where a return bootstraps from a value, that is a loop: a wider deviation makes larger values, these larger
        returns, and these a wider deviation. On simple_spread values passed 10^16 in 5000 episodes.
        """
        before = self._moments()
        seen = returns.double()
        self.mean.mul_(DECAY).add_(seen.mean() * (1 - DECAY))
        self.square.mul_(DECAY).add_((seen**2).mean() * (1 - DECAY))
        self.weight.mul_(DECAY).add_(1 - DECAY)
        mean, deviation = self._moments()
        with torch.no_grad():
            critic.weight2.mul_(before[1] / deviation)
            critic.bias2.mul_(before[1] / deviation).add_((before[0] - mean) / deviation)

    def normalise(self, returns: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._moments()
        return ((returns - mean) / deviation).float()

    def restore(self, values: torch.Tensor) -> torch.Tensor:
        """What a critic's normalised values mean; before any return was taken, the values themselves."""
        mean, deviation = self._moments()
        return (values * deviation + mean).float()

    def _moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        if float(self.weight) == 0.0:
            return torch.zeros_like(self.mean), torch.ones_like(self.mean)
        mean = self.mean / self.weight
        # Not below 0.1, as in the code of Yu et al.: equal returns have no deviation.
        return mean, (self.square / self.weight - mean**2).clamp(min=1e-2).sqrt()
