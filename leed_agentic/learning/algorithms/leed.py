"""LEED: decentralised PPO from own experience and from demonstrations (Algorithm 1, policy optimisation).

Superscripts are suffixes: _a is an agent's own episode tau^a, _e the expert's tau^e. What the paper leaves open is a
setting; `objective=paper` sets all of them as printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator

from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.networks import Folding, StackedNetworks
from leed_agentic.learning.objectives import (
    chosen,
    entropy,
    log_probabilities,
    normalised,
    surrogate,
    value_loss,
    values_and_returns,
)
from leed_agentic.learning.rollout import Batch, batch_of
from leed_agentic.registry import Registry
from leed_agentic.settings import AlgorithmSettings, LearningSettings
from leed_agentic.traffic.similarity import dtw_distance
from leed_agentic.traffic.trajectory import Trajectory

AS_PRINTED = {"alpha": "paper", "alpha_ceiling": 1.0, "expert_advantage": "raw", "agent_advantage": "raw"}


class IppoSettings(AlgorithmSettings):
    """Of algorithm ippo alone."""

    agent_advantage: str = Field(
        "raw",
        description="A^a of (7): raw as in (6), normalised (centred and divided by its deviation, per agent), or a "
        "dotted path.",
    )

    @field_validator("agent_advantage", "alpha", "expert_advantage", check_fields=False)
    @classmethod
    def _is_known(cls, name: str, field: ValidationInfo) -> str:
        # A dotted path is imported when the algorithm is made, not whenever settings are read.
        if "." not in name:
            CHOICES[field.field_name].get(name)
        return name


class LeedSettings(IppoSettings):
    """Of algorithm leed alone; its step size, clip, epochs, gamma and entropy weight are those of LearningSettings."""

    objective: Literal["chosen", "paper"] = Field(
        "chosen", description="paper: sets alpha, alpha_ceiling and both advantages to the form that is printed."
    )
    alpha: str = Field("aligned", description="Schedule of alpha in (8), by name or dotted path.")
    alpha_fixed: float = Field(0.5, ge=0, le=1, description="Alpha of the schedule fixed.")
    alpha_ceiling: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Every schedule but fixed is multiplied by this: the expert keeps at least the rest.",
    )
    expert_advantage: str = Field("filtered", description="A^e of (7), by name or dotted path.")
    dtw_points: Literal["positions", "observations"] = Field("positions", description="What DTW compares.")

    @model_validator(mode="before")
    @classmethod
    def _as_printed(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("objective") != "paper":
            return values
        for name, printed in AS_PRINTED.items():
            if values.get(name, printed) != printed:
                raise ValueError(f"objective=paper sets {name} to {printed}; leave one of the two out")
        return {**values, **AS_PRINTED}


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


# -- advantages of (7) -------------------------------------------------------------------------------------------------
agent_advantages: Registry[Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = Registry("agent advantage")
"""A^a from R^a - V^a(o^a) and the weights of a mean over each agent's decisions, both of shape (n, T)."""
agent_advantages.register("raw")(lambda advantages, weights: advantages)
agent_advantages.register("normalised")(normalised)


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


CHOICES: dict[str | None, Registry[Any]] = {
    "agent_advantage": agent_advantages,
    "alpha": alphas,
    "expert_advantage": expert_advantages,
}
"""Settings that name a function."""


# -- the method --------------------------------------------------------------------------------------------------------
class Leed(Algorithm):
    """n agents, each with its own policy pi^i, agent critic V^a_i and expert critic V^e_i."""

    Settings: ClassVar[type[AlgorithmSettings]] = LeedSettings
    uses_demonstrations = True
    policy: StackedNetworks

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        super().__init__(agents, actions, encoding, settings, seed)
        # Ippo has the first of these settings alone.
        o = self.options = LeedSettings(**self.options.model_dump())
        self._agent_advantage, self._alpha = agent_advantages.get(o.agent_advantage), alphas.get(o.alpha)
        self._expert_advantage = expert_advantages.get(o.expert_advantage)
        self.policy = self.stacked(agents, encoding.size, actions, last_gain=0.01)
        self.agent_critic = self.stacked(agents, encoding.size, 1)
        self.expert_critic = self.stacked(agents, encoding.size, 1)
        self.learn_with({"policy": self.policy, "agent_critic": self.agent_critic, "expert_critic": self.expert_critic})
        self.act_by(self.policy)

    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        """Equations (4) to (9) on one episode of the agents and the demonstrations at hand."""
        s = self.settings
        tau_a, tau_e = self._batch(experiences), self._batch(experts)
        observed_a, observed_e = Folding(tau_a.rows, s.device), Folding(tau_e.rows, s.device)
        # The policy computes an agent's own rows and its expert's behind them in one go.
        observed = Folding([np.concatenate(pair) for pair in zip(tau_a.rows, tau_e.rows, strict=True)], s.device)
        steps_a, steps_e = tau_a.lengths.cpu().numpy(), tau_e.lengths.cpu().numpy()
        start = np.zeros_like(steps_a)
        decisions_a, decisions_e = observed.places(start, steps_a), observed.places(steps_a + 1, steps_e)
        all_a, all_e = observed_a.places(start, steps_a + 1), observed_e.places(start, steps_e + 1)
        alpha, dtw = self.alpha(experiences, experts, episode)
        weight = torch.from_numpy(alpha.astype(np.float32)).to(s.device)

        for epoch in range(s.epochs):
            logits_a, logits_e = observed.compute(self.policy, decisions_a, decisions_e)
            log_pi = log_probabilities(logits_a, tau_a.masks)
            log_a = chosen(log_pi, tau_a.actions)
            v_a = observed_a.compute(self.agent_critic, all_a)[0][..., 0]
            if epoch == 0:
                # The policy has not changed since the rollout: pi_old and the critics of (4) and (6) are these.
                old_a = log_a.detach()
                values, returns_a = self._returns(tau_a, v_a)
                advantage_a = self._agent_advantage(returns_a - values, tau_a.weights)
            surrogate_a = surrogate(log_a, old_a, advantage_a, tau_a.weights, s.clip)
            entropies = entropy(log_pi, tau_a.weights)
            loss_a = value_loss(v_a[:, :-1], returns_a, tau_a.weights)
            loss = loss_a.sum()

            surrogate_e = loss_e = torch.zeros_like(surrogate_a)
            if experts:
                log_e = chosen(log_probabilities(logits_e, tau_e.masks), tau_e.actions)
                v_e = observed_e.compute(self.expert_critic, all_e)[0][..., 0]
                if epoch == 0:
                    # Recomputed at every update: stored once, the ratio would leave the clip range and freeze.
                    old_e = log_e.detach()
                    values, returns_e = self._returns(tau_e, v_e)
                    with torch.no_grad():
                        v_a_of_e = observed_e.compute(self.agent_critic, all_e)[0][:, :-1, 0]
                    advantage_e = self._expert_advantage(ExpertData(returns_e, values, v_a_of_e, tau_e.weights))
                surrogate_e = surrogate(log_e, old_e, advantage_e, tau_e.weights, s.clip)
                loss_e = value_loss(v_e[:, :-1], returns_e, tau_e.weights)
                loss = loss + loss_e.sum()

            mixed = weight * surrogate_a + (1.0 - weight) * surrogate_e  # (8)
            self.step(loss - (mixed + s.beta * entropies).sum())  # (9)

        self.actor.refresh()
        figures = {
            "policy_loss_agent": -surrogate_a,
            "policy_loss_expert": -surrogate_e,
            "value_loss_agent": loss_a,
            "value_loss_expert": loss_e,
            "entropy": entropies,
            "kl": tau_a.mean(old_a - log_a),
            "clip_agent": tau_a.mean((torch.exp(log_a - old_a) - 1.0).abs() > s.clip),
        }
        if experts:
            figures |= {
                "clip_expert": tau_e.mean((torch.exp(log_e - old_e) - 1.0).abs() > s.clip),
                "expert_probability": tau_e.mean(log_e.exp()),
                "expert_advantage": tau_e.mean(advantage_e.abs()),
            }
        # One transfer from the device for all of them.
        stacked = torch.stack(list(figures.values())).detach().cpu().numpy().astype(np.float64)
        return {**dict(zip(figures, stacked, strict=True)), "alpha": alpha, "dtw": dtw}

    def alpha(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """alpha of (8) and the DTW distance behind it, per agent: 1 and NaN for agents without a demonstration."""
        alpha, dtw = np.ones(self.agents), np.full(self.agents, np.nan)
        pairs = [agent for agent in experts if agent in experiences]
        if not pairs:
            return alpha, dtw
        lengths = []
        for agent in pairs:
            path_a, path_e = (self._points(taus[agent]) for taus in (experiences, experts))
            dtw[agent] = dtw_distance(path_a, path_e, self.settings.dtw)
            lengths.append(max(float(np.linalg.norm(np.diff(path_e, axis=0), axis=1).sum()), 1e-9))
        o = self.options
        ceiling = 1.0 if o.alpha == "fixed" else o.alpha_ceiling
        progress = Progress(episode, self.settings.episodes, dtw[pairs], np.array(lengths), o.alpha_fixed)
        alpha[pairs] = ceiling * self._alpha(progress)
        return alpha, dtw

    def _points(self, tau: Trajectory) -> np.ndarray:
        if self.options.dtw_points == "observations":
            return np.concatenate([tau.observations, tau.last_observation[None]])
        return tau.positions

    def _batch(self, taus: Mapping[int, Trajectory]) -> Batch:
        s = self.settings
        return batch_of(taus, self.agents, self.actions, self.encoding, s.reward_scale, s.device)

    def _returns(self, tau: Batch, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """V(o_t) of (3) and the returns (4)."""
        return values_and_returns(values.detach(), tau.rewards, tau.lengths, tau.terminated, self.settings.gamma)


class Ippo(Leed):
    """IPPO: every agent runs PPO on its own experience. LEED with alpha 1 and no demonstrations."""

    Settings = IppoSettings
    uses_demonstrations = False

    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        return super().update(experiences, {}, episode)
