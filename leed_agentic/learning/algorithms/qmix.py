"""QMIX: action values mixed monotonically into the team's (Rashid et al. 2018); as switches VDN and independent Q."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from pydantic import Field
from torch import nn

from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.joint import JointEpisode, Replay, central_inputs, joint_episode
from leed_agentic.learning.networks import fitting, named_parameters
from leed_agentic.learning.objectives import NEVER
from leed_agentic.settings import AlgorithmSettings, LearningSettings
from leed_agentic.traffic.trajectory import Trajectory


class QmixSettings(AlgorithmSettings):
    """Of algorithm qmix alone; its step size and gamma are those of LearningSettings.

    Values follow Rashid et al. 2018 (arXiv 1803.11485) and EPyMARL (Papoudakis et al. 2021, arXiv 2006.07869), except
    where a field says otherwise.
    """

    mixer: Literal["qmix", "vdn", "none"] = Field(
        "qmix", description="Monotonic network, sum (Sunehag et al. 2018), or none: independent Q-learning."
    )
    team_reward: Literal["sum", "mean"] = Field("sum", description="What the agents' rewards of a joint step become.")
    share_policy: bool = Field(True, description="One network of values for all agents, or one each.")
    agent_id: bool = Field(True, description="Tell a shared network by a one-hot which agent it computes for.")
    layer_norm: bool = Field(False, description="Layer norms behind both hidden layers.")
    double_q: bool = Field(True, description="The online network picks the action that the target network values.")
    mixing_embed: int = Field(32, ge=1, description="Units of the mixing network.")
    hypernet: int = Field(64, ge=1, description="Hidden units of the networks that make the mixing weights.")
    buffer: int = Field(5000, ge=1, description="Episodes kept to learn from again.")
    batch: int = Field(32, ge=1, description="Episodes drawn per gradient step; fewer while there are fewer.")
    steps: int = Field(
        200, ge=1, description="Joint steps of these learnt from per gradient step (EPyMARL: all, about 800)."
    )
    updates: int = Field(32, ge=1, description="Gradient steps per episode (EPyMARL: 1, over far more episodes).")
    target_update: float = Field(
        0.01,
        gt=0,
        description="Below 1: share of the target network replaced per gradient step; else: gradient steps per copy.",
    )
    max_grad_norm: float = Field(10.0, gt=0, description="Longest gradient.")
    epsilon_start: float = Field(1.0, ge=0, le=1, description="Share of random actions in the beginning.")
    epsilon_end: float = Field(0.05, ge=0, le=1, description="Share of random actions in the end.")
    epsilon_steps: int = Field(
        50_000,
        ge=1,
        description="Joint steps over which it falls, linearly (Rashid et al.: 50,000 steps, EPyMARL up to 200,000).",
    )


class _Views(NamedTuple):
    """Where the agents stand in k joint steps and in the ones that follow."""

    rows: np.ndarray
    """Rows of the joint episode that are needed, each once."""
    now: np.ndarray
    """Shape (k, n): which of them an agent stands with."""
    following: np.ndarray
    """The same one joint step later."""
    next_steps: np.ndarray
    """Shape (k,)."""


class _Values(NamedTuple):
    """Values of the agents in k joint steps, shape (k, n)."""

    taken: torch.Tensor
    """Q_i(o, u) of the action taken, or in mid-edge still carried out, by the online networks."""
    target: torch.Tensor
    """One joint step later by the target networks: of the best action where the agent then decides, of the one that it
    carries out where it does not."""


def _views(data: JointEpisode, now: np.ndarray) -> _Views:
    rows, places = np.unique(data.row[np.concatenate([now, now + 1])], return_inverse=True)
    places = places.reshape(2, len(now), -1)
    return _Views(rows, places[0], places[1], now + 1)


def _discounts(data: JointEpisode, now: np.ndarray, gamma: float) -> np.ndarray:
    """gamma to the power of the share of active agents that decide, shape (k,); gamma itself where all do."""
    active = data.active[now]
    share = (data.decides[now] & active).sum(1) / np.maximum(active.sum(1), 1)
    return (gamma**share).astype(np.float32)


class Qmix(Algorithm):
    """n agents with one network Q(o^i, u, i), whose values a mixing network makes one value of the team.

    The steps of the team are the joint steps of `JointEpisode`: an agent in mid-edge contributes the value of the
    action it is still carrying out, as in macro-action value methods (Xiao et al. 2020, arXiv 2004.08646), and cannot
    choose anew there; agents that have arrived contribute nothing. A joint step discounts by gamma to the power of the
    share of agents that decide in it, so that an agent's own decisions are about gamma apart, as everywhere else.
    """

    Settings = QmixSettings

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        super().__init__(agents, actions, encoding, settings, seed)
        o, size = self.options, encoding.size
        self.values = self.for_agents(size, actions, last_gain=0.01)
        self.mixer = MonotonicMixer(agents, agents * (size + 1), o.mixing_embed, o.hypernet, self.start)
        self.learn_with({"values": self.values, **({"mixer": self.mixer} if o.mixer == "qmix" else {})})
        self._targets: dict[str, Any] = {name: copy.deepcopy(network) for name, network in self.networks.items()}
        self._replay = Replay(o.buffer)
        self._counts = torch.zeros(2, dtype=torch.int64)
        """Joint steps met and gradient steps made."""
        self.act_by(self.values)
        self._take_up_changes()

    # -- acting --------------------------------------------------------------------------------------------------------
    def choose(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        if self.deterministic:
            return self.actor.best(agent, observation, mask)
        return self.actor.explore(agent, observation, mask, self._epsilon)

    def _take_up_changes(self) -> None:
        """Act by the weights and by the share of random actions as they are now."""
        o, done = self.options, min(1.0, int(self._counts[0]) / self.options.epsilon_steps)
        self._epsilon = o.epsilon_start + done * (o.epsilon_end - o.epsilon_start)
        self.actor.refresh()

    # -- learning ------------------------------------------------------------------------------------------------------
    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        """Remember the episode, then take gradient steps on joint steps of episodes drawn from memory."""
        o, epsilon = self.options, self._epsilon
        columns, scale = self.encoding.columns, self.settings.reward_scale
        lived = joint_episode(experiences, self.agents, self.actions, columns, scale)
        losses = []
        if lived.lengths.any():
            self._replay.add(lived)
            self._counts[0] += len(lived.row) - 1
        for _ in range(o.updates if len(self._replay) else 0):
            data = self._replay.sample(o.batch, self.generator)
            steps = np.flatnonzero(~data.is_end)
            drawn = self.generator.choice(steps, size=min(o.steps, len(steps)), replace=False)
            loss = self.td_loss(data, drawn)
            self.step(loss, o.max_grad_norm, together=True)
            self._counts[1] += 1
            self._move_targets()
            losses.append(float(loss.detach()))
        self._take_up_changes()
        return {"epsilon": epsilon, "td_loss": float(np.mean(losses)) if losses else np.nan}

    def td_loss(self, data: JointEpisode, now: np.ndarray | None = None) -> torch.Tensor:
        """Mean squared error of r_t + gamma^d Q_tot'(s_{t+1}) over joint steps at which anybody is under way.

        d is the share of the agents under way that decide at t.

        Args:
            now: which joint steps, shape (k,); None: all but the ends.
        """
        device, o = self.settings.device, self.options
        now = np.flatnonzero(~data.is_end) if now is None else now
        views = _views(data, now)
        encoded = torch.from_numpy(self.encoding(data.observations[views.rows])).to(device)
        active, active_next, rewards = (
            torch.from_numpy(x).to(device) for x in (data.active[now], data.active[now + 1], data.rewards[now])
        )
        gamma = torch.from_numpy(_discounts(data, now, self.settings.gamma)).to(device)
        values = self._agents_values(data, views, encoded)
        reward = rewards.sum(1) if o.team_reward == "sum" else rewards.mean(1)
        if o.mixer == "none":
            # Independent learners: each value of its o, the reward shared.
            target = reward[:, None] + gamma[:, None] * values.target * active_next
            error, counted = values.taken - target, active
        else:
            place, place_next = (torch.from_numpy(x).to(device) for x in (views.now, views.following))
            with torch.no_grad():
                states = central_inputs(encoded, place_next, active_next)
                following = self._mixed(self._targets.get("mixer"), values.target * active_next, states)
                target = reward + gamma * following * active_next.any(1)
            states = central_inputs(encoded, place, active)
            error = self._mixed(self.networks.get("mixer"), values.taken * active, states) - target
            counted = active.any(1)
        return (error[counted] ** 2).mean()

    def _agents_values(self, data: JointEpisode, views: _Views, encoded: torch.Tensor) -> _Values:
        """Every decision's network is computed once, however many joint steps the action then lasts."""
        device, rows = self.settings.device, views.rows
        masks, actions, place, place_next, decides = (
            torch.from_numpy(x).to(device)
            for x in (data.masks[rows], data.actions[rows], views.now, views.following, data.decides[views.next_steps])
        )
        owner = data.owner[rows]
        online = self.values.rows(encoded, owner)
        with torch.no_grad():
            old = self._targets["values"].rows(encoded, owner)
            picks = (online if self.options.double_q else old).masked_fill(~masks, NEVER).argmax(1)
            best, carried = (old.gather(1, u[:, None])[:, 0][place_next] for u in (picks, actions))
        return _Values(online.gather(1, actions[:, None])[:, 0][place], torch.where(decides, best, carried))

    def _mixed(self, mixer: torch.nn.Module | None, values: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Q_tot, shape (S,); without a mixing network the sum, which is VDN."""
        return values.sum(1) if mixer is None else mixer(values, states)

    def _move_targets(self) -> None:
        share = self.options.target_update
        if share >= 1:
            if int(self._counts[1]) % round(share):
                return
            share = 1.0
        with torch.no_grad():
            for name, network in self.networks.items():
                for target, source in zip(self._targets[name].parameters(), network.parameters(), strict=True):
                    target.lerp_(source, share)

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        targets = {f"target.{key}": p.detach() for key, p in named_parameters(self._targets)}
        return {**super().tensors(), **targets, **self._replay.tensors(), "counts": self._counts}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().load_tensors(tensors)
        for key, parameter in named_parameters(self._targets):
            parameter.data.copy_(fitting(tensors, f"target.{key}", parameter))
        self._counts.copy_(fitting(tensors, "counts", self._counts))
        self._replay.load_tensors(tensors, self.actions)
        self._take_up_changes()


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
    layer, bound = nn.utils.skip_init(nn.Linear, inputs, outputs), 1.0 / math.sqrt(inputs)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return cast(nn.Linear, layer)
