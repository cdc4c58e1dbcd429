"""One network for all agents, told by a one-hot which of them it computes for."""

from __future__ import annotations

import numpy as np
import torch

from leed_agentic.learning.networks import PARTS, StackedNetworks


def with_identity(inputs: torch.Tensor, owner: np.ndarray, agents: int, identity: bool) -> torch.Tensor:
    """Rows of network inputs with their agent's one-hot behind them, where it is wanted."""
    if not identity:
        return inputs
    return torch.cat([inputs, torch.eye(agents, device=inputs.device)[torch.from_numpy(owner)]], dim=1)


def spread(shared: StackedNetworks, own: StackedNetworks) -> None:
    """Give every agent its own copy of the shared network, which sees the agent's observation alone.

    A one-hot input only adds a row of weights to the first bias, so the copies need none: they act faster, and one of
    them is a policy like any other.
    """
    size = own.weight0.shape[1]
    with torch.no_grad():
        for name in PARTS:
            target, source = getattr(own, name), getattr(shared, name)
            target.copy_(source[:, :size] if name == "weight0" else source)
        identity = shared.weight0[0, size:]
        if len(identity):
            own.bias0.add_(identity[:, None, :].to(own.bias0.device))
