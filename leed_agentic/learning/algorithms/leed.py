"""LEED: decentralised PPO from own experience and from demonstrations (Algorithm 1, policy optimisation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from leed_agentic.learning import objectives
from leed_agentic.learning.actor import Actor
from leed_agentic.learning.algorithms.algorithm import algorithms
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.folding import Folding
from leed_agentic.learning.networks import StackedNetworks
from leed_agentic.learning.returns import values_and_returns
from leed_agentic.learning.rollout import Batch, batch_of
from leed_agentic.learning.weights import load_named, named_tensors
from leed_agentic.settings import LearningSettings
from leed_agentic.traffic.similarity import dtw_distance


@algorithms.register("leed")
class Leed:
    """n agents, each with its own policy pi^i, agent critic V^a_i and expert critic V^e_i."""

    uses_demonstrations = True

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        self.agents, self.actions, self.encoding, self.settings = agents, actions, encoding, settings
        self.deterministic = False
        # More threads only get in each other's way with networks this small, and the first weights depend on how many.
        torch.set_num_threads(1)
        paper = settings.objective == "paper"
        self._alpha = objectives.alphas.get("paper" if paper else settings.alpha)
        self._expert_advantage = objectives.expert_advantages.get("raw" if paper else settings.expert_advantage)
        self._ceiling = 1.0 if paper or settings.alpha == "fixed" else settings.alpha_ceiling
        self._normalise = not paper and settings.agent_advantage == "normalised"
        self._generator = np.random.default_rng([seed, 0xAC7])
        start = torch.Generator().manual_seed(seed)
        size, hidden, act = encoding.size, settings.hidden, settings.activation
        self.policy = StackedNetworks(agents, size, hidden, actions, start, 0.01, act)
        self.agent_critic = StackedNetworks(agents, size, hidden, 1, start, 1.0, act)
        self.expert_critic = StackedNetworks(agents, size, hidden, 1, start, 1.0, act)
        self._networks = {"policy": self.policy, "agent_critic": self.agent_critic, "expert_critic": self.expert_critic}
        for network in self._networks.values():
            network.to(settings.device)
        self._parameters = [p for network in self._networks.values() for p in network.parameters()]
        self._optimiser = torch.optim.Adam(self._parameters, lr=settings.learning_rate, fused=True)
        self._actor = Actor(self.policy, encoding, self._generator)

    # -- acting --------------------------------------------------------------------------------------------------------
    def probabilities(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """pi^i(. | o), shape (m,); 0 for masked actions."""
        return self._actor.probabilities(agent, observation, mask)

    def choose(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        act = self._actor.best if self.deterministic else self._actor.draw
        return act(agent, observation, mask)

    # -- learning ------------------------------------------------------------------------------------------------------
    def update(self, experiences: Mapping[int, Any], experts: Mapping[int, Any], episode: int) -> dict[str, Any]:
        """Equations (4) to (9) on one episode of agent data and the demonstrations at hand."""
        s = self.settings
        own, shown = self._batch(experiences), self._batch(experts)
        here, there = Folding(own.rows, s.device), Folding(shown.rows, s.device)
        # The policy sees an agent's own rows and its expert's behind them in one go.
        both = Folding([np.concatenate(pair) for pair in zip(own.rows, shown.rows, strict=True)], s.device)
        lengths, lengths_shown = own.lengths.cpu().numpy(), shown.lengths.cpu().numpy()
        none = np.zeros_like(lengths)
        decisions, decisions_shown = both.part(none, lengths), both.part(lengths + 1, lengths_shown)
        values_at, values_at_shown = here.part(none, lengths + 1), there.part(none, lengths_shown + 1)
        alpha, dtw = self._alphas(experiences, experts, episode)
        weight = torch.from_numpy(alpha.astype(np.float32)).to(s.device)
        old: dict[str, torch.Tensor] = {}
        for epoch in range(s.epochs):
            logits, logits_shown = both.compute(self.policy, decisions, decisions_shown)
            log_own = objectives.log_probabilities(logits, own.masks)
            new = objectives.chosen(log_own, own.actions)
            values_own = here.compute(self.agent_critic, values_at)[0][..., 0]
            if epoch == 0:
                # The policy has not changed since the rollout: pi_old and the critics of (4) and (6) are these.
                old["own"] = new.detach()
                old |= self._own_targets(own, values_own.detach())
            gain = objectives.surrogate(new, old["own"], old["advantage"], own.weights, s.clip)
            entropies = objectives.entropy(log_own, own.weights)
            loss_own = objectives.value_loss(values_own[:, :-1], old["returns"], own.weights)
            total = loss_own.sum()
            gain_shown = loss_shown = torch.zeros_like(gain)
            if experts:
                log_shown = objectives.log_probabilities(logits_shown, shown.masks)
                new_shown = objectives.chosen(log_shown, shown.actions)
                values_shown = there.compute(self.expert_critic, values_at_shown)[0][..., 0]
                if epoch == 0:
                    # Recomputed at every update: stored once, the ratio would leave the clip range and freeze.
                    old["shown"] = new_shown.detach()
                    with torch.no_grad():
                        agent_values = there.compute(self.agent_critic, values_at_shown)[0][:, :-1, 0]
                    old |= self._expert_targets(shown, values_shown.detach(), agent_values)
                gain_shown = objectives.surrogate(
                    new_shown, old["shown"], old["expert_advantage"], shown.weights, s.clip
                )
                loss_shown = objectives.value_loss(values_shown[:, :-1], old["expert_returns"], shown.weights)
                total = total + loss_shown.sum()
            total = total - objectives.full_objective(gain, gain_shown, weight, entropies, s.beta).sum()
            self._optimiser.zero_grad()
            total.backward()
            self._optimiser.step()
        self._actor.refresh()
        figures = {
            "policy_loss_agent": -gain,
            "policy_loss_expert": -gain_shown,
            "value_loss_agent": loss_own,
            "value_loss_expert": loss_shown,
            "entropy": entropies,
            "kl": _mean(old["own"] - new, own),
            "clip_agent": _mean((torch.exp(new - old["own"]) - 1.0).abs() > s.clip, own),
        }
        if experts:
            figures |= {
                "clip_expert": _mean((torch.exp(new_shown - old["shown"]) - 1.0).abs() > s.clip, shown),
                "expert_probability": _mean(new_shown.exp(), shown),
                "expert_advantage": _mean(old["expert_advantage"].abs(), shown),
            }
        stacked = torch.stack(list(figures.values())).detach().cpu().numpy().astype(np.float64)
        logged: dict[str, Any] = dict(zip(figures, stacked, strict=True))
        return {**logged, "alpha": alpha, "dtw": dtw}

    def _batch(self, experiences: Mapping[int, Any]) -> Batch:
        s = self.settings
        return batch_of(experiences, self.agents, self.actions, self.encoding, s.reward_scale, s.device)

    def _own_targets(self, own: Batch, values: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns (4) and advantages (6) of agent data."""
        now, returns = values_and_returns(values, own.rewards, own.lengths, own.terminated, self.settings.gamma)
        advantage = returns - now
        if self._normalise:
            advantage = objectives.normalised(advantage, own.weights)
        return {"returns": returns, "advantage": advantage}

    def _expert_targets(
        self, shown: Batch, values: torch.Tensor, agent_values: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Returns (4) and advantages of expert data, as chosen."""
        now, returns = values_and_returns(values, shown.rewards, shown.lengths, shown.terminated, self.settings.gamma)
        data = objectives.ExpertData(returns, now, agent_values, shown.weights)
        return {"expert_returns": returns, "expert_advantage": self._expert_advantage(data)}

    def _alphas(
        self, experiences: Mapping[int, Any], experts: Mapping[int, Any], episode: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """alpha of (8) and the DTW distance behind it, per agent: 1 and NaN for agents without a demonstration."""
        alpha, dtw = np.ones(self.agents), np.full(self.agents, np.nan)
        pairs = [agent for agent in experts if agent in experiences]
        if not pairs:
            return alpha, dtw
        lengths = []
        for agent in pairs:
            own, shown = (_points(x[agent], self.settings.dtw_points) for x in (experiences, experts))
            dtw[agent] = dtw_distance(own, shown, self.settings.dtw)
            lengths.append(max(float(np.linalg.norm(np.diff(shown, axis=0), axis=1).sum()), 1e-9))
        progress = objectives.Progress(
            episode, self.settings.episodes, dtw[pairs], np.array(lengths), self.settings.alpha_fixed
        )
        alpha[pairs] = self._ceiling * self._alpha(progress)
        return alpha, dtw

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        return named_tensors(self._networks, self._optimiser)

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        load_named(self._networks, self._optimiser, tensors)
        self._actor.refresh()

    def random_state(self) -> dict[str, Any]:
        return dict(self._generator.bit_generator.state)

    def load_random_state(self, state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = dict(state)


def _mean(values: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean over each agent's own decisions, shape (n,)."""
    return (values * batch.weights).sum(1)


def _points(experience: Any, kind: str) -> np.ndarray:
    if kind == "observations":
        return np.concatenate([experience.observations, experience.last_observation[None]])
    return experience.positions
