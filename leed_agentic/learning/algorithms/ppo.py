"""PPO of n agents from their own episodes (Schulman et al. 2017, arXiv 1707.06347), with room for a term on
demonstrations: IPPO as it stands, and what LEED, imitation and DAPG have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, field_validator

from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.folding import Folding, behind
from leed_agentic.learning.networks import StackedNetworks, fitting
from leed_agentic.learning.objectives import (
    chosen,
    entropy,
    generalised_advantages,
    log_probabilities,
    normalised,
    normalised_over_all,
    surrogate,
    value_loss,
    values_and_returns,
)
from leed_agentic.learning.rollout import Batch, Rollout, batch_of
from leed_agentic.registry import Registry
from leed_agentic.setting_groups import AlgorithmSettings, LearningSettings
from leed_agentic.traffic.trajectory import Trajectory

agent_advantages: Registry[Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = Registry("agent advantage")
"""A^a from the advantages as they are and the weights of a mean over each agent's decisions, both of shape (n, T)."""
agent_advantages.register("raw")(lambda advantages, weights: advantages)
agent_advantages.register("normalised")(normalised)
agent_advantages.register("batch")(normalised_over_all)


class PpoSettings(AlgorithmSettings):
    """What every algorithm that learns by PPO takes, each in its own group; the defaults are those of leed and ippo.

    Step size, clip, epochs, gamma and the entropy weight beta are settings of learning itself.
    """

    agent_advantage: str = Field(
        "raw",
        description="A^a of (7): raw as in (6), normalised (centred and divided by its deviation) per agent, or over "
        "the batch of all agents (batch), or a dotted path.",
    )
    gae_lambda: float = Field(
        1.0, ge=0, le=1, description="Lambda of generalised advantage estimation; 1: the returns of (4)."
    )
    minibatches: int = Field(
        1, ge=1, le=1_000_000, description="Gradient steps per epoch, each on its share of all decisions."
    )
    batch_episodes: int = Field(1, ge=1, description="Episodes per update.")
    max_grad_norm: float | None = Field(None, gt=0, description="Longest gradient of each network; unset: any.")
    beta_end: float | None = Field(
        None, ge=0, le=1, description="Entropy weight of the last episode, to which beta goes linearly; unset: beta."
    )
    share_policy: bool = Field(False, description="One policy and critic for all agents, or one of each per agent.")
    agent_id: bool = Field(True, description="Tell shared networks by a one-hot which agent they compute for.")
    layer_norm: bool = Field(False, description="Layer norms behind both hidden layers.")

    @field_validator("agent_advantage")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_or_path(agent_advantages, name)


def known_or_path(registry: Registry[Any], name: str) -> str:
    """The name, if it is one. A dotted path is imported when the algorithm is made, not whenever settings are read."""
    if "." not in name:
        registry.get(name)
    return name


@dataclass(frozen=True)
class Mixture:
    """How much an update learns from what, per agent, shape (n,), float32."""

    own: np.ndarray
    """Of the surrogate on own experience: alpha of (8)."""
    expert: np.ndarray
    """Of the term on demonstrations."""
    explore: float = 1.0
    """Of the entropy."""
    figures: Mapping[str, np.ndarray] = field(default_factory=dict)
    """To log."""


@dataclass(frozen=True)
class ExpertData:
    """What the weight of a demonstrated decision may depend on; shapes (n, T), weights of a mean per agent."""

    returns: torch.Tensor
    values: torch.Tensor
    """V^e(o^e)."""
    agent_values: torch.Tensor
    """V^a(o^e): what the agent's own critic expects where the expert was."""
    weights: torch.Tensor


class Ppo(Algorithm):
    """n agents with a policy pi^i and a critic V^a_i each, or one of each for all (`share_policy`).

    A subclass that learns from demonstrations too says how by `mixture`, `expert_advantage` and `expert_gain`.
    """

    Settings: ClassVar[type[AlgorithmSettings]] = PpoSettings
    has_expert_critic: ClassVar[bool] = False
    policy: StackedNetworks
    options: Any

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        super().__init__(agents, actions, encoding, settings, seed)
        self._agent_advantage = agent_advantages.get(self.options.agent_advantage)
        self.policy = self.for_agents(encoding.size, actions, last_gain=0.01)
        self.agent_critic = self.for_agents(encoding.size, 1)
        networks = {"policy": self.policy, "agent_critic": self.agent_critic}
        if self.has_expert_critic:
            self.expert_critic = networks["expert_critic"] = self.for_agents(encoding.size, 1)
        self.learn_with(networks)
        self.act_by(self.policy)
        self._pending: list[tuple[Batch, Mixture]] = []
        self._shown: tuple[dict[int, Trajectory], Batch, Folding] | None = None
        """The last demonstrations and what was made of them: they come again until the source has others."""

    # -- what a subclass says of demonstrations ------------------------------------------------------------------------
    def mixture(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> Mixture:
        """What an episode's update learns from; here own experience alone."""
        return Mixture(np.ones(self.agents, np.float32), np.zeros(self.agents, np.float32))

    def expert_advantage(self, data: ExpertData, advantages: torch.Tensor, episode: int) -> torch.Tensor:
        """A^e of (7), shape (n, T), given the agents' own advantages."""
        return torch.ones_like(data.returns)

    def expert_gain(
        self, log_new: torch.Tensor, log_old: torch.Tensor, advantages: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """What is to be maximised on demonstrations, shape (n,): here their weighted log-likelihood."""
        return (weights * advantages * log_new).sum(1)

    # -- learning ------------------------------------------------------------------------------------------------------
    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        """Equations (4) to (9) on the last episodes of the agents and the demonstrations at hand."""
        experts = experts if self.uses_demonstrations else {}
        self._pending.append((self._batch(experiences), self.mixture(experiences, experts, episode)))
        if len(self._pending) < self.options.batch_episodes:
            return {}
        batches, mixtures = zip(*self._pending, strict=True)
        self._pending.clear()
        return self._learn(Rollout(batches), experts, _mean(mixtures), episode)

    def _learn(
        self, tau_a: Rollout, experts: Mapping[int, Trajectory], mixture: Mixture, episode: int
    ) -> dict[str, Any]:
        s, o = self.settings, self.options
        tau_e, observed_e = self._demonstrated(experts)
        observed_a = self.policy.fold(tau_a.rows)
        # The policy computes an agent's own rows and its expert's behind them in one go.
        observed = self.policy.fold(behind([tau_a.rows, tau_e.rows]))
        steps_e, start = tau_e.lengths.cpu().numpy(), np.zeros(self.agents, np.int64)
        decisions_a, all_a = tau_a.places(observed), tau_a.places(observed_a, with_last=True)
        decisions_e = observed.places(tau_a.row_counts, steps_e)
        all_e = observed_e.places(start, steps_e + 1)
        own, expert = (torch.from_numpy(x).to(s.device) for x in (mixture.own, mixture.expert))
        beta = beta_of(episode, s, o) * mixture.explore

        for step, (weights_a, weights_e) in enumerate(self._shares(tau_a.weights, tau_e.weights)):
            *logits, logits_e = observed.compute(self.policy, *decisions_a, decisions_e)
            log_pi = log_probabilities(torch.cat(logits, 1), tau_a.masks)
            log_a = chosen(log_pi, tau_a.actions)
            v_parts = [v[..., 0] for v in observed_a.compute(self.agent_critic, *all_a)]
            if step == 0:
                # The policy has not changed since the rollout: pi_old and the critics of (4) and (6) are these.
                old_a = log_a.detach()
                returns_a, gained = self._returns_and_advantages(tau_a.parts, v_parts)
                advantage_a = self._agent_advantage(gained, tau_a.weights)
            surrogate_a = surrogate(log_a, old_a, advantage_a, weights_a, s.clip)
            entropies = entropy(log_pi, weights_a)
            loss_a = value_loss(torch.cat([v[:, :-1] for v in v_parts], 1), returns_a, weights_a)
            loss = loss_a.sum()

            gain_e = loss_e = torch.zeros_like(surrogate_a)
            if experts:
                log_e = chosen(log_probabilities(logits_e, tau_e.masks), tau_e.actions)
                if step == 0:
                    # Recomputed at every update: stored once, the ratio would leave the clip range and freeze.
                    old_e = log_e.detach()
                    with torch.no_grad():
                        v_a_of_e = observed_e.compute(self.agent_critic, all_e)[0][..., 0]
                v_e = observed_e.compute(self.expert_critic, all_e)[0][..., 0] if self.has_expert_critic else v_a_of_e
                if step == 0:
                    values, returns_e = self._returns(tau_e, v_e)
                    data = ExpertData(returns_e, values, v_a_of_e[:, :-1], tau_e.weights)
                    advantage_e = self.expert_advantage(data, advantage_a, episode)
                gain_e = self.expert_gain(log_e, old_e, advantage_e, weights_e)
                if self.has_expert_critic:
                    loss_e = value_loss(v_e[:, :-1], returns_e, weights_e)
                    loss = loss + loss_e.sum()

            mixed = own * surrogate_a + expert * gain_e  # (8)
            self.step(loss - (mixed + beta * entropies).sum(), o.max_grad_norm)  # (9)

        self.actor.refresh()
        figures = {
            "policy_loss_agent": -surrogate_a,
            "policy_loss_expert": -gain_e,
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
        return {**dict(zip(figures, stacked, strict=True)), **mixture.figures}

    def _shares(self, *weights: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        """For each gradient step the weights of a mean over the decisions that it learns from."""
        parts = self.options.minibatches
        steps: list[tuple[torch.Tensor, ...]] = []
        for _ in range(self.settings.epochs):
            steps += zip(*(split(w, parts, self.generator) for w in weights), strict=True)
        return steps

    def _batch(self, taus: Mapping[int, Trajectory]) -> Batch:
        s = self.settings
        return batch_of(taus, self.agents, self.actions, self.encoding, s.reward_scale, s.device)

    def _demonstrated(self, experts: Mapping[int, Trajectory]) -> tuple[Batch, Folding]:
        known = self._shown
        if known is None or len(known[0]) != len(experts) or any(known[0].get(a) is not e for a, e in experts.items()):
            batch = self._batch(experts)
            known = self._shown = dict(experts), batch, self.policy.fold(batch.rows)
        return known[1:]

    def _returns(self, tau: Batch, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """V(o_t) of (3) and the returns (4)."""
        return values_and_returns(values.detach(), tau.rewards, tau.lengths, tau.terminated, self.settings.gamma)

    def _returns_and_advantages(
        self, parts: Sequence[Batch], values: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the critic shall learn and R^a - V^a(o^a), of all episodes one behind the other."""
        gamma, lam, found = self.settings.gamma, self.options.gae_lambda, []
        for tau, v in zip(parts, values, strict=True):
            if lam == 1.0:
                now, returns = self._returns(tau, v)
                found.append((returns, returns - now))
                continue
            gained = generalised_advantages(v.detach(), tau.rewards, tau.lengths, tau.terminated, gamma, lam)
            found.append((gained + v.detach()[:, :-1], gained))
        returns_of_all, advantages = (torch.cat(x, 1) for x in zip(*found, strict=True))
        return returns_of_all, advantages

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        kept = super().tensors()
        for k, (batch, mixture) in enumerate(self._pending):
            arrays = {**batch.arrays(), **{f"mixture.{n}": x for n, x in _arrays(mixture).items()}}
            kept |= {f"pending.{k}.{name}": torch.as_tensor(array) for name, array in arrays.items()}
        return kept

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().load_tensors(tensors)
        self._pending = []
        for k in range(self.options.batch_episodes):
            above = f"pending.{k}."
            arrays = {key.removeprefix(above): x for key, x in tensors.items() if key.startswith(above)}
            if not arrays:
                break
            per_agent = torch.zeros(self.agents)
            own, expert = (fitting(arrays, f"mixture.{name}", per_agent).numpy() for name in ("own", "expert"))
            figures = {
                key.removeprefix("mixture.figures."): x.numpy() for key, x in arrays.items() if ".figures." in key
            }
            mixture = Mixture(own, expert, float(arrays["mixture.explore"]), figures)
            self._pending.append((Batch.of_arrays(arrays, self.settings.device), mixture))


class Ippo(Ppo):
    """IPPO: every agent runs PPO on its own experience. LEED with alpha 1 and no demonstrations."""


def _mean(mixtures: Sequence[Mixture]) -> Mixture:
    """Of the episodes of one update."""
    if len(mixtures) == 1:
        return mixtures[0]
    own, expert = (np.mean([getattr(m, name) for m in mixtures], axis=0) for name in ("own", "expert"))
    figures = {name: np.mean([m.figures[name] for m in mixtures], axis=0) for name in mixtures[0].figures}
    return Mixture(own, expert, float(np.mean([m.explore for m in mixtures])), figures)


def _arrays(mixture: Mixture) -> dict[str, np.ndarray]:
    figures = {f"figures.{name}": array for name, array in mixture.figures.items()}
    return {"own": mixture.own, "expert": mixture.expert, "explore": np.array(mixture.explore), **figures}


def beta_of(episode: int, settings: LearningSettings, options: PpoSettings) -> float:
    """Entropy weight of (9) in this episode."""
    first, last = settings.beta, options.beta_end
    return first if last is None else first + (last - first) * episode / max(settings.episodes - 1, 1)


def split(weights: torch.Tensor, parts: int, generator: np.random.Generator) -> list[torch.Tensor]:
    """Weights of a mean over each of so many random shares of every agent's decisions; shape (n, T) each."""
    if parts == 1:
        return [weights]
    counted = weights > 0
    keys = torch.from_numpy(generator.random(tuple(weights.shape))).to(weights.device).masked_fill(~counted, 2.0)
    rank = keys.argsort(1).argsort(1)
    share = rank * parts // counted.sum(1, keepdim=True).clamp(min=1)
    found = []
    for part in range(parts):
        of_part = torch.where(counted & (share == part), weights, 0.0)
        found.append(of_part / of_part.sum(1, keepdim=True).clamp(min=1e-12))
    return found
