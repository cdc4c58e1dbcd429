"""MAPPO: one policy for all agents, and a critic that sees the whole state (Yu et al. 2022, arXiv 2103.01955)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import huber_loss

from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.algorithms.ppo import PpoSettings, agent_advantages, beta_of, split
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.joint import JointEpisode, Replay, central_inputs, joint_episode
from leed_agentic.learning.networks import StackedNetworks, fitting
from leed_agentic.learning.objectives import chosen, entropy, generalised_advantages, log_probabilities, surrogate
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.trajectory import Trajectory

DECAY = 0.99999
"""Of the value norm's running means, as in the code of Yu et al. 2022."""


class MappoSettings(PpoSettings):
    """Of algorithm mappo: what every algorithm that learns by PPO takes, and its critic.

    Values follow Yu et al. 2022 (arXiv 2103.01955), appendix D, except where a field says otherwise.
    """

    agent_advantage: str = Field("batch", description="As of the other algorithms; Yu et al. take batch.")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="Lambda of generalised advantage estimation.")
    max_grad_norm: float | None = Field(10.0, gt=0, description="Longest gradient of each network; unset: any.")
    share_policy: bool = Field(True, description="One policy and critic for all agents, or one of each per agent.")
    value_norm: bool = Field(True, description="The critic learns returns over their running mean and deviation.")
    value_clip: bool = Field(True, description="Clip the value's change within an update by learning.clip.")
    huber_delta: float = Field(10.0, gt=0, description="From this error on the value loss grows linearly.")


class Mappo(Algorithm):
    """n agents with one policy pi(. | o^i, i) and one critic V(s, i), or with one of each per agent; everybody learns
    from its own reward.

    s is the encoded `state()` at the moment of the agent's decision, with flags of who is under way. Where agents
    decide apart from each other (RouteEnv), an agent's steps are its own decisions and gamma counts those, as in ippo.
    """

    Settings = MappoSettings
    policy: StackedNetworks

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        super().__init__(agents, actions, encoding, settings, seed)
        self._advantage = agent_advantages.get(self.options.agent_advantage)
        self.policy = self.for_agents(encoding.size, actions, last_gain=0.01)
        self.critic = self.for_agents(agents * encoding.size + agents, 1)
        self._norm = ValueNorm().to(settings.device)
        # Yu et al. use this eps; it keeps the first steps from being larger than the gradient says.
        self.learn_with({"policy": self.policy, "critic": self.critic}, eps=1e-5)
        self._pending = Replay(self.options.batch_episodes)
        self.act_by(self.policy)

    # -- learning ------------------------------------------------------------------------------------------------------
    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        """PPO's clipped surrogate (7) with GAE, entropy (9) and a clipped value loss, on the last episodes."""
        s = self.settings
        self._pending.add(joint_episode(experiences, self.agents, self.actions, self.encoding.columns, s.reward_scale))
        if len(self._pending) < self.options.batch_episodes:
            return {}
        data = self._pending.all()
        self._pending.clear()
        return self._learn(data, episode) if data.lengths.any() else {}

    def _learn(self, data: JointEpisode, episode: int) -> dict[str, Any]:
        s, o, owner = self.settings, self.options, data.owner
        local, row, active, step_of, lengths = self.on_device(
            self.encoding(data.observations), data.row, data.active, data.step, data.lengths
        )
        central = central_inputs(local, row, active)[step_of]
        # By agent and episode: its rows, those of them that are decisions, and what these earned.
        steps = np.arange(int(data.lengths.max()) + 1)
        rows = data.first[:, None] + np.minimum(steps, data.lengths[:, None])
        is_decision = steps[:-1] < data.lengths[:, None]
        earned = np.where(is_decision, data.earned[rows[:, :-1]], 0.0).astype(np.float32)
        decided = rows[:, :-1][is_decision]
        deciding = owner[decided]
        decisions, where, valid, rewards, masks, actions, terminated = self.on_device(
            decided, rows, is_decision, earned, data.masks[decided], data.actions[decided], data.terminated
        )
        whole = torch.full((1, len(decisions)), 1.0 / len(decisions), device=s.device)
        old: dict[str, torch.Tensor] = {}
        beta = beta_of(episode, s, o)
        shares = [share for _ in range(s.epochs) for share in split(whole, o.minibatches, self.generator)]
        for step, weights in enumerate(shares):
            log_all = log_probabilities(self.policy.rows(local[decisions], deciding), masks)
            log_new = chosen(log_all, actions)
            if step == 0:
                with torch.no_grad():
                    raw = self.critic.rows(central, owner)[:, 0]
                    values = self._norm.restore(raw) if o.value_norm else raw
                    gained = generalised_advantages(
                        values[where], rewards, lengths, terminated.float(), s.gamma, o.gae_lambda
                    )
                    returns = (gained + values[where[:, :-1]])[valid]
                    if o.value_norm:
                        self._norm.take(returns, self.critic)
                        returns, raw = self._norm.normalise(returns), self._norm.normalise(values)
                    advantage = self._of_each(gained[valid], deciding)
                old = {"log": log_new.detach(), "value": raw[decisions], "returns": returns, "advantage": advantage}
            gain = surrogate(log_new[None], old["log"][None], old["advantage"][None], weights, s.clip)
            entropies = entropy(log_all[None], weights)
            value = self.critic.rows(central[decisions], deciding)[:, 0]
            loss = self._value_loss(value, old["value"], old["returns"], weights[0])
            self.step(loss - gain.sum() - beta * entropies.sum(), o.max_grad_norm)
        self.actor.refresh()
        return {
            "policy_loss_agent": -float(gain.detach()),
            "value_loss_agent": float(loss.detach()),
            "entropy": float(entropies.detach()),
            "kl": float((old["log"] - log_new.detach()).mean()),
            "clip_agent": float(((log_new.detach() - old["log"]).exp() - 1.0).abs().gt(s.clip).float().mean()),
        }

    def _of_each(self, gained: torch.Tensor, owner: np.ndarray) -> torch.Tensor:
        """Advantages as the setting says, shape (D,), for those as they are and whose each is."""
        whose = torch.from_numpy(owner).to(gained.device)
        mine = whose == torch.arange(self.agents, device=gained.device)[:, None]
        weights = mine / mine.sum(1, keepdim=True).clamp(min=1)
        found = self._advantage(gained.expand(self.agents, -1), weights)
        return found.gather(0, whose[None])[0]

    def _value_loss(
        self, value: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """The larger of the losses of the value and of the value held near what it was (Yu et al. 2022, appendix A)."""
        delta = self.options.huber_delta
        loss = huber_loss(value, returns, reduction="none", delta=delta)
        if self.options.value_clip:
            near = old + (value - old).clamp(-self.settings.clip, self.settings.clip)
            loss = torch.maximum(loss, huber_loss(near, returns, reduction="none", delta=delta))
        return loss.mean() if self.options.minibatches == 1 else (weights * loss).sum()

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        norm = {f"norm.{name}": value for name, value in self._norm.named_buffers()}
        return {**super().tensors(), **norm, **self._pending.tensors()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, value in self._norm.named_buffers():
            value.copy_(fitting(tensors, f"norm.{name}", value))
        self._pending.load_tensors(tensors, self.actions)
        super().load_tensors(tensors)


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
        counted = returns.double()
        self.mean.mul_(DECAY).add_(counted.mean() * (1 - DECAY))
        self.square.mul_(DECAY).add_((counted**2).mean() * (1 - DECAY))
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
