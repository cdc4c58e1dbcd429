"""QMIX's mixing network: the team's value as a monotonic function of the agents' (Rashid et al. 2018)."""

from __future__ import annotations

import math

import torch
from torch import nn


class MonotonicMixer(nn.Module):
    """Q_tot(s, Q_1 ... Q_n) with dQ_tot/dQ_i >= 0: two layers whose weights are absolute values of what s says.

    Two-layer hypernetworks on the state make both layers' weights and the last bias, a one-layer one the first bias, as
    in section 4 and appendix of Rashid et al. 2018 (arXiv 1803.11485). Their four first layers are one product here.

    Args:
        state: size of the central input.
        embed: units of the mixing layer.
        hyper: hidden units of each of the two weight hypernetworks.
        generator: makes the first weights.
    """

    def __init__(self, agents: int, state: int, embed: int, hyper: int, generator: torch.Generator) -> None:
        super().__init__()
        self._agents, self._embed, self._sizes = agents, embed, [hyper, hyper, embed, embed]
        self.first = _linear(state, sum(self._sizes), generator)
        self.weight1 = _linear(hyper, agents * embed, generator)
        self.weight2 = _linear(hyper, embed, generator)
        self.value = _linear(embed, 1, generator)

    def forward(self, values: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Q_tot, shape (S,), for the agents' values of shape (S, n) and states of shape (S, state)."""
        hidden1, hidden2, hidden_value, bias1 = self.first(states).split(self._sizes, dim=1)
        weight1 = self.weight1(torch.relu(hidden1)).abs().view(-1, self._agents, self._embed)
        weight2 = self.weight2(torch.relu(hidden2)).abs()
        hidden = nn.functional.elu(torch.bmm(values[:, None], weight1)[:, 0] + bias1)
        return (hidden * weight2).sum(1) + self.value(torch.relu(hidden_value))[:, 0]


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """torch's own first weights, but from the generator alone."""
    layer, bound = nn.Linear(inputs, outputs), 1.0 / math.sqrt(inputs)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer
