"""Returns of whole episodes, for all agents and steps at once: equations (3), (4) and (6)."""

from __future__ import annotations

import torch


def discounted_returns(
    rewards: torch.Tensor, lengths: torch.Tensor, last_values: torch.Tensor, gamma: float
) -> torch.Tensor:
    """Bootstrapped finite-horizon returns (4): R_t = sum_{k=0}^{T-t-1} gamma^k r_{t+k} + gamma^{T-t} V(o_T).

    One product with the upper triangle of discounts takes the place of a loop over steps.

    Args:
        rewards: shape (n, longest), 0 behind an agent's end.
        lengths: shape (n,): T per agent.
        last_values: shape (n,): V(o_T); 0 for an agent that terminated.

    Returns:
        Shape (n, longest), 0 behind an agent's end.
    """
    longest = rewards.shape[1]
    steps = torch.arange(longest, device=rewards.device)
    ahead = steps[None, :] - steps[:, None]
    discounts = torch.where(ahead >= 0, _power(gamma, ahead.clamp(min=0)), 0.0)
    left = lengths[:, None] - steps[None, :]
    bootstrap = _power(gamma, left.clamp(min=0)) * last_values[:, None]
    return (rewards @ discounts.T + bootstrap) * (left > 0)


def _power(gamma: float, exponents: torch.Tensor) -> torch.Tensor:
    return torch.pow(torch.tensor(gamma, device=exponents.device), exponents)


def values_and_returns(
    values: torch.Tensor, rewards: torch.Tensor, lengths: torch.Tensor, terminated: torch.Tensor, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """V(o_t) of (3) without o_T's column, and the returns (4) that bootstrap from it where nothing terminated.

    Args:
        values: shape (n, longest + 1), V(o_T) in column T.
    """
    last = values.gather(1, lengths[:, None])[:, 0] * (1.0 - terminated)
    return values[:, :-1], discounted_returns(rewards, lengths, last, gamma)
