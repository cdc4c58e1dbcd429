"""The losses of policy optimisation, equations (5) to (9), and the choices that the paper leaves open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from leed_agentic.registry import Registry

NEVER = -1e9
"""Logit of a masked action: its probability is exactly 0 in float32."""


def log_probabilities(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """log pi(u | o) of every action, shape (n, T, m); masked actions have probability 0."""
    return torch.log_softmax(logits.masked_fill(~masks, NEVER), dim=-1)


def chosen(log_probability: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """log pi(u_t | o_t) of the actions taken, shape (n, T)."""
    return log_probability.gather(-1, actions[..., None])[..., 0]


def value_loss(values: torch.Tensor, returns: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean squared error of each agent's critic (5), shape (n,)."""
    return (weights * (values - returns) ** 2).sum(1)


def surrogate(
    log_new: torch.Tensor, log_old: torch.Tensor, advantages: torch.Tensor, weights: torch.Tensor, clip: float
) -> torch.Tensor:
    """Clipped surrogate of each agent (7), to be maximised, shape (n,)."""
    ratio = torch.exp(log_new - log_old)
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return (weights * torch.minimum(ratio * advantages, clipped * advantages)).sum(1)


def entropy(log_probability: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean entropy of each agent's policy on its own observations, shape (n,); the last term of (9)."""
    return -(weights * (log_probability.exp() * log_probability).sum(-1)).sum(1)


def full_objective(
    agent: torch.Tensor, expert: torch.Tensor, alpha: torch.Tensor, entropies: torch.Tensor, beta: float
) -> torch.Tensor:
    """alpha L^a + (1 - alpha) L^e (8) plus beta times the entropy (9), per agent, to be maximised."""
    return alpha * agent + (1.0 - alpha) * expert + beta * entropies


# -- alpha of (8) ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Progress:
    """What a schedule of alpha may look at, per agent."""

    episode: int
    episodes: int
    dtw: np.ndarray
    """DTW(tau^a, tau^e), shape (n,)."""
    length: np.ndarray
    """Length of the expert's path in the same unit, shape (n,)."""
    fixed: float


alphas: Registry[Callable[[Progress], np.ndarray]] = Registry("alpha schedule")


@alphas.register("paper")
def printed_alpha(progress: Progress) -> np.ndarray:
    """exp(-(k/K) DTW) as printed: 1 in the first episode, and 0 from the second on where DTW is in metres."""
    return np.exp(-(progress.episode / progress.episodes) * progress.dtw)


@alphas.register("normalised")
def normalised_alpha(progress: Progress) -> np.ndarray:
    """exp(-(k/K) DTW / expert's path length)."""
    return np.exp(-(progress.episode / progress.episodes) * progress.dtw / progress.length)


@alphas.register("aligned")
def aligned_alpha(progress: Progress) -> np.ndarray:
    """exp(-DTW / expert's path length): small while the two differ, whatever the episode; 1 when they agree."""
    return np.exp(-progress.dtw / progress.length)


@alphas.register("annealed")
def annealed_alpha(progress: Progress) -> np.ndarray:
    """exp(-(1 - k/K) DTW / expert's path length): the expert leads early, the agent's own experience in the end."""
    return np.exp(-(1.0 - progress.episode / progress.episodes) * progress.dtw / progress.length)


@alphas.register("fixed")
def fixed_alpha(progress: Progress) -> np.ndarray:
    """The setting alpha_fixed, always."""
    return np.full_like(progress.dtw, progress.fixed)


# -- A^e of (7) --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ExpertData:
    """What an expert advantage may look at; shapes (n, T), weights of a mean per agent."""

    returns: torch.Tensor
    values: torch.Tensor
    """V^e(o^e)."""
    agent_values: torch.Tensor
    """V^a(o^e): what the agent's own critic expects where the expert was."""
    weights: torch.Tensor


expert_advantages: Registry[Callable[[ExpertData], torch.Tensor]] = Registry("expert advantage")


@expert_advantages.register("raw")
def raw_advantage(data: ExpertData) -> torch.Tensor:
    """R^e - V^e(o^e), equation (6)."""
    return data.returns - data.values


@expert_advantages.register("scaled")
def scaled_advantage(data: ExpertData) -> torch.Tensor:
    """Equation (6) over its root mean square per agent; not centred, which would push half of the actions down."""
    raw = data.returns - data.values
    return raw / ((data.weights * raw**2).sum(1, keepdim=True).sqrt() + 1e-8)


@expert_advantages.register("positive")
def positive_advantage(data: ExpertData) -> torch.Tensor:
    """The positive part of equation (6): an expert's action is never pushed down."""
    return (data.returns - data.values).clamp(min=0.0)


@expert_advantages.register("agent-critic")
def agent_critic_advantage(data: ExpertData) -> torch.Tensor:
    """The positive part of R^e - V^a(o^e): how much better the expert does than the agent expects to."""
    return (data.returns - data.agent_values).clamp(min=0.0)


@expert_advantages.register("filtered")
def filtered_advantage(data: ExpertData) -> torch.Tensor:
    """1 where R^e > V^a(o^e), else 0: imitation of what does better than the agent expects to.

    The filter of Nair et al. (2018, arXiv 1709.10089) with a value in place of a Q function.
    """
    return (data.returns > data.agent_values).float()


@expert_advantages.register("constant")
def constant_advantage(data: ExpertData) -> torch.Tensor:
    """1: plain imitation, for comparison."""
    return torch.ones_like(data.returns)


def normalised(advantages: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Advantages centred and divided by their deviation, per agent, over its own decisions only."""
    mean = (weights * advantages).sum(1, keepdim=True)
    variance = (weights * (advantages - mean) ** 2).sum(1, keepdim=True)
    return (advantages - mean) / (variance.sqrt() + 1e-8)
