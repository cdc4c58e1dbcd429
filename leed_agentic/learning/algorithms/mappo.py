"""MAPPO: one policy for all agents, and a critic that sees the whole state (Yu et al. 2022, arXiv 2103.01955)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import huber_loss
from torch.nn.utils import clip_grad_norm_

from leed_agentic.learning import objectives
from leed_agentic.learning.actor import Actor
from leed_agentic.learning.algorithms.algorithm import algorithms
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.joint import JointEpisode, central_inputs, joint_episode
from leed_agentic.learning.networks import StackedNetworks
from leed_agentic.learning.replay import Replay
from leed_agentic.learning.returns import generalised_advantages
from leed_agentic.learning.sharing import spread, with_identity
from leed_agentic.learning.value_norm import ValueNorm
from leed_agentic.learning.weights import fitting, load_named, named_tensors
from leed_agentic.settings import LearningSettings


@algorithms.register("mappo")
class Mappo:
    """n agents with one policy pi(. | o^i, i) and one critic V(s, i); each learns from its own reward.

    s is the encoded `state()` at the moment of the agent's decision, with flags of who is under way. Where agents
    decide apart from each other (RouteEnv), an agent's steps are its own decisions and gamma counts those, as in ippo.
    """

    uses_demonstrations = False

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        self.agents, self.actions, self.encoding, self.settings = agents, actions, encoding, settings
        self.own = settings.mappo
        self.deterministic = False
        # More threads only get in each other's way with networks this small, and the first weights depend on how many.
        torch.set_num_threads(1)
        self._generator = np.random.default_rng([seed, 0xAC7])
        start = torch.Generator().manual_seed(seed)
        hidden, act, identity = settings.hidden, settings.activation, agents * self.own.agent_id
        state = agents * encoding.size + agents
        self._shared = StackedNetworks(1, encoding.size + identity, hidden, actions, start, 0.01, act)
        self.critic = StackedNetworks(1, state + identity, hidden, 1, start, 1.0, act)
        self.policy = StackedNetworks(agents, encoding.size, hidden, actions, start, 0.01, act)
        self._norm = ValueNorm()
        self._networks = {"policy": self._shared, "critic": self.critic}
        for network in (*self._networks.values(), self._norm):
            network.to(settings.device)
        parameters = [p for network in self._networks.values() for p in network.parameters()]
        # Yu et al. use this eps; it keeps the first steps from being larger than the gradient says.
        self._optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate, eps=1e-5, fused=True)
        self._pending = Replay(self.own.batch_episodes)
        spread(self._shared, self.policy)
        self._actor = Actor(self.policy, encoding, self._generator)

    # -- acting --------------------------------------------------------------------------------------------------------
    def probabilities(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """pi(. | o, i), shape (m,); 0 for masked actions."""
        return self._actor.probabilities(agent, observation, mask)

    def choose(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        act = self._actor.best if self.deterministic else self._actor.draw
        return act(agent, observation, mask)

    # -- learning ------------------------------------------------------------------------------------------------------
    def update(self, experiences: Mapping[int, Any], experts: Mapping[int, Any], episode: int) -> dict[str, Any]:
        """PPO's clipped surrogate (7) with GAE, entropy (9) and a clipped value loss, on the last episodes."""
        s = self.settings
        self._pending.add(joint_episode(experiences, self.agents, self.actions, self.encoding.columns, s.reward_scale))
        if len(self._pending) < self.own.batch_episodes:
            return {}
        data = self._pending.all()
        self._pending.clear()
        return self._learn(data) if data.lengths.any() else {}

    def _learn(self, data: JointEpisode) -> dict[str, Any]:
        s, own = self.settings, self.own
        seen, central = self._inputs(data)
        decisions, where, valid, rewards = self._by_agent(data)
        masks, actions = (torch.from_numpy(x).to(s.device)[decisions] for x in (data.masks, data.actions))
        weights = torch.full((1, len(decisions)), 1.0 / len(decisions), device=s.device)
        lengths = torch.from_numpy(data.lengths).to(s.device)
        terminated = torch.from_numpy(data.terminated).float().to(s.device)
        old: dict[str, torch.Tensor] = {}
        for epoch in range(s.epochs):
            log_all = objectives.log_probabilities(self._shared(seen[None, decisions])[0], masks)
            log_new = objectives.chosen(log_all, actions)
            if epoch == 0:
                with torch.no_grad():
                    raw = self.critic(central[None])[0, :, 0]
                    values = self._norm.restore(raw) if own.value_norm else raw
                    gained = generalised_advantages(
                        values[where], rewards, lengths, terminated, s.gamma, own.gae_lambda
                    )
                    returns = (gained + values[where[:, :-1]])[valid]
                    advantage = gained[valid][None]
                    if own.value_norm:
                        self._norm.take(returns, self.critic)
                        returns, raw = self._norm.normalise(returns), self._norm.normalise(values)
                    if own.normalise_advantage:
                        advantage = objectives.normalised(advantage, weights)
                old = {"log": log_new.detach(), "value": raw[decisions], "returns": returns, "advantage": advantage[0]}
            gain = objectives.surrogate(log_new[None], old["log"][None], old["advantage"][None], weights, s.clip)
            entropies = objectives.entropy(log_all[None], weights)
            value = self.critic(central[None, decisions])[0, :, 0]
            loss = self._value_loss(value, old["value"], old["returns"])
            self._optimiser.zero_grad()
            (loss - gain.sum() - s.beta * entropies.sum()).backward()
            for network in self._networks.values():
                clip_grad_norm_(network.parameters(), own.max_grad_norm)
            self._optimiser.step()
        spread(self._shared, self.policy)
        self._actor.refresh()
        return {
            "policy_loss_agent": -float(gain.detach()),
            "value_loss_agent": float(loss.detach()),
            "entropy": float(entropies.detach()),
            "kl": float((old["log"] - log_new.detach()).mean()),
            "clip_agent": float(((log_new.detach() - old["log"]).exp() - 1.0).abs().gt(s.clip).float().mean()),
        }

    def _inputs(self, data: JointEpisode) -> tuple[torch.Tensor, torch.Tensor]:
        """What the policy and what the critic sees of every row, shapes (R, inputs)."""
        device, owner = self.settings.device, data.owner
        encoded, row, active, step = (
            torch.from_numpy(x).to(device) for x in (self.encoding(data.observations), data.row, data.active, data.step)
        )
        states = central_inputs(encoded, row, active)[step]
        seen, central = (with_identity(x, owner, self.agents, self.own.agent_id) for x in (encoded, states))
        return seen, central

    def _by_agent(self, data: JointEpisode) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows of all decisions, (D,); per agent and episode its rows, (n, longest + 1), which of them are decisions,
        and what they earned, both (n, longest)."""
        steps = np.arange(int(data.lengths.max()) + 1)
        where = data.first[:, None] + np.minimum(steps, data.lengths[:, None])
        valid = steps[:-1] < data.lengths[:, None]
        rewards = np.where(valid, data.earned[where[:, :-1]], 0.0).astype(np.float32)
        arrays = (where[:, :-1][valid], where, valid, rewards)
        decisions, rows, real, paid = (torch.from_numpy(x).to(self.settings.device) for x in arrays)
        return decisions, rows, real, paid

    def _value_loss(self, value: torch.Tensor, old: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
        """The larger of the losses of the value and of the value held near what it was (Yu et al. 2022, appendix A)."""
        delta = self.own.huber_delta
        loss = huber_loss(value, returns, reduction="none", delta=delta)
        if self.own.value_clip:
            near = old + (value - old).clamp(-self.settings.clip, self.settings.clip)
            loss = torch.maximum(loss, huber_loss(near, returns, reduction="none", delta=delta))
        return loss.mean()

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        norm = {f"norm.{name}": value for name, value in self._norm.named_buffers()}
        return {**named_tensors(self._networks, self._optimiser), **norm, **self._pending.tensors()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        load_named(self._networks, self._optimiser, tensors)
        for name, value in self._norm.named_buffers():
            value.copy_(fitting(tensors, f"norm.{name}", value))
        self._pending.load_tensors(tensors, self.actions)
        spread(self._shared, self.policy)
        self._actor.refresh()

    def random_state(self) -> dict[str, Any]:
        return dict(self._generator.bit_generator.state)

    def load_random_state(self, state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = dict(state)
