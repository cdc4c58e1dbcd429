"""Returns of whole episodes, for all agents and steps at once: equations (3), (4) and (6)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import lfilter


def discounted_returns(
    rewards: torch.Tensor, lengths: torch.Tensor, last_values: torch.Tensor, gamma: float
) -> torch.Tensor:
    """Bootstrapped finite-horizon returns (4): R_t = sum_{k=0}^{T-t-1} gamma^k r_{t+k} + gamma^{T-t} V(o_T).

    R_t = r_t + gamma R_{t+1} with R_T = V(o_T) is a first-order recursive filter over the reversed rewards; scipy runs
    it in C, for all agents at once and in float64.

    Args:
        rewards: shape (n, longest), 0 behind an agent's end.
        lengths: shape (n,): T per agent.
        last_values: shape (n,): V(o_T); 0 for an agent that terminated.

    Returns:
        Shape (n, longest), 0 behind an agent's end.
    """
    agents, longest = rewards.shape
    ends = lengths.cpu().numpy()
    paid = np.zeros((agents, longest + 1))
    paid[:, :longest] = rewards.cpu().numpy()
    paid[np.arange(agents), ends] += last_values.cpu().numpy()
    returns = lfilter([1.0], [1.0, -gamma], paid[:, ::-1], axis=1)[:, ::-1][:, :longest]
    returns = np.where(np.arange(longest) < ends[:, None], returns, 0.0).astype(np.float32)
    return torch.from_numpy(returns).to(rewards.device)


def values_and_returns(
    values: torch.Tensor, rewards: torch.Tensor, lengths: torch.Tensor, terminated: torch.Tensor, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """V(o_t) of (3) without o_T's column, and the returns (4) that bootstrap from it where nothing terminated.

    Args:
        values: shape (n, longest + 1), V(o_T) in column T.
    """
    last = values.gather(1, lengths[:, None])[:, 0] * (1.0 - terminated)
    return values[:, :-1], discounted_returns(rewards, lengths, last, gamma)


def generalised_advantages(
    values: torch.Tensor,
    rewards: torch.Tensor,
    lengths: torch.Tensor,
    terminated: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """GAE (Schulman et al. 2016): A_t = sum_k (gamma lambda)^k delta_{t+k}, delta_t = r_t + gamma V_{t+1} - V_t.

    With lambda 1 that is the return (4) minus the value, the advantage (6).

    Args:
        values: shape (n, longest + 1), V(o_T) in column T, anything behind it.
        rewards: shape (n, longest), 0 behind an agent's end.

    Returns:
        Shape (n, longest), 0 behind an agent's end.
    """
    steps = torch.arange(rewards.shape[1], device=rewards.device)
    is_last = steps == lengths[:, None] - 1
    following = torch.where(is_last & (terminated[:, None] > 0), 0.0, values[:, 1:])
    deltas = torch.where(steps < lengths[:, None], rewards + gamma * following - values[:, :-1], 0.0)
    # The same recursion as of returns: A_t = delta_t + gamma lambda A_{t+1}.
    return discounted_returns(deltas, lengths, deltas.new_zeros(len(deltas)), gamma * gae_lambda)
