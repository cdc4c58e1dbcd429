"""QMIX: action values mixed monotonically into the team's (Rashid et al. 2018); as switches VDN and independent Q."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import nn

from leed_agentic.learning.algorithms import Algorithm
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.joint import JointEpisode, Replay, central_inputs, joined, joint_episode
from leed_agentic.learning.metrics import Metric
from leed_agentic.learning.networks import fitting, named_parameters
from leed_agentic.learning.objectives import NEVER
from leed_agentic.setting_groups import AlgorithmSettings, LearningSettings
from leed_agentic.traffic.trajectory import Trajectory


class QmixSettings(AlgorithmSettings):
    """Of algorithm qmix alone; its step size and gamma are those of LearningSettings.

    Values follow Rashid et al. 2018 (arXiv 1803.11485) and EPyMARL (Papoudakis et al. 2021, arXiv 2006.07869), except
    where a field says otherwise.
    """

    mixer: Literal["qmix", "vdn", "none"] = Field(
        "qmix", description="Monotonic network, sum (Sunehag et al. 2018), or none: independent Q-learning."
    )
    clock: Literal["decisions", "time"] = Field(
        "time",
        description="A joint step holds all that happens at one moment, or the k-th decision of every agent.",
    )
    team_reward: Literal["sum", "mean"] = Field(
        "sum", description="What the agents' rewards of a joint step become; without a mixer each has its own."
    )
    standardise_reward: bool = Field(
        False, description="Centre and scale the rewards of each gradient step's joint steps (EPyMARL)."
    )
    demonstrations: float = Field(
        0.0, ge=0, le=1, description="Share of remembered episodes drawn that are demonstrations; 0: ask for none."
    )
    share_policy: bool = Field(True, description="One network of values for all agents, or one each.")
    agent_id: bool = Field(True, description="Tell a shared network by a one-hot which agent it computes for.")
    layer_norm: bool = Field(False, description="Layer norms behind both hidden layers.")
    double_q: bool = Field(True, description="The online network picks the action that the target network values.")
    mixing_embed: int = Field(32, ge=1, le=4096, description="Units of the mixing network.")
    hypernet: int = Field(64, ge=1, le=4096, description="Hidden units of the networks that make the mixing weights.")
    buffer: int = Field(5000, ge=1, description="Episodes kept to learn from again.")
    batch: int = Field(32, ge=1, description="Episodes drawn per gradient step; fewer while there are fewer.")
    steps: int = Field(
        200, ge=1, description="Joint steps of these learnt from per gradient step (EPyMARL: all, about 800)."
    )
    updates: int = Field(32, ge=1, description="Gradient steps per episode (EPyMARL: 1, over far more episodes).")
    target_update: float = Field(
        200,
        gt=0,
        description="Below 1: share of the target network replaced per gradient step; else: gradient steps per copy.",
    )
    max_grad_norm: float = Field(10.0, gt=0, description="Longest gradient.")
    epsilon_start: float = Field(1.0, ge=0, le=1, description="Share of random actions in the beginning.")
    epsilon_end: float = Field(0.05, ge=0, le=1, description="Share of random actions in the end.")
    epsilon_steps: int = Field(
        50_000,
        ge=1,
        description="Decisions of all agents over which it falls, linearly (Rashid et al.: 50,000 steps, EPyMARL up to "
        "200,000).",
    )


class Qmix(Algorithm):
    """n agents with one network Q(o^i, u, i), whose values a mixing network makes one value of the team.

    The steps of the team are the joint steps of `JointEpisode`. On the clock of time an agent in mid-edge contributes
    the value of the action it is still carrying out, as in macro-action value methods (Xiao et al. 2020, arXiv
    2004.08646), and cannot choose anew there, and a joint step discounts by gamma to the power of the share of agents
    that decide in it, so that an agent's own decisions are about gamma apart, as everywhere else.

    By count of decisions the k-th joint step holds every agent's k-th decision, with what it earned until its next, so
    that everybody decides in it; the central input is then what the agents saw at their k-th decisions, which are not
    of one moment. On both, agents that have arrived contribute nothing.

    A share of the episodes drawn may be demonstrations, as in DQfD (Hester et al. 2018, arXiv 1704.03732) without its
    margin loss and pre-training.
    """

    Settings = QmixSettings
    metrics = (
        Metric("first_value", "Value of the first joint step", "scaled reward of the team", chart="first_value"),
        Metric("action_gap", "Value of the best action over the second best", "scaled reward", chart="action_gap"),
    )

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        super().__init__(agents, actions, encoding, settings, seed)
        o, size = self.options, encoding.size
        self.values = self.for_agents(size, actions, last_gain=0.01)
        self.mixer = MonotonicMixer(agents, agents * (size + 1), o.mixing_embed, o.hypernet, self.start)
        self.learn_with({"values": self.values, **({"mixer": self.mixer} if o.mixer == "qmix" else {})})
        self._targets: dict[str, Any] = {name: copy.deepcopy(network) for name, network in self.networks.items()}
        self._replay, self._shown = (Replay(o.buffer, o.clock) for _ in range(2))
        """What the agents drove, and demonstrations."""
        self.uses_demonstrations = o.demonstrations > 0
        self._counts = torch.zeros(2, dtype=torch.int64)
        """Decisions made and gradient steps made."""
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
        epsilon, lived = self._epsilon, self._joint(experiences)
        if experts and self.uses_demonstrations:
            self._remember(self._joint(experts))
        if lived.lengths.any():
            self._replay.add(lived)
            self._counts[0] += int(lived.lengths.sum())
        losses = self._gradient_steps() if len(self._replay) else []
        self._take_up_changes()
        figures = self._greedy_values(lived) if lived.lengths.any() else {}
        return {"epsilon": epsilon, "td_loss": float(np.mean(losses)) if losses else np.nan, **figures}

    def _gradient_steps(self) -> list[float]:
        """Those of one episode; their losses."""
        o, losses = self.options, []
        for _ in range(o.updates):
            data = self._drawn()
            steps = np.flatnonzero(~data.is_end)
            drawn = self.generator.choice(steps, size=min(o.steps, len(steps)), replace=False)
            loss = self.td_loss(data, drawn)
            self.step(loss, o.max_grad_norm, together=True)
            self._counts[1] += 1
            self._move_targets()
            losses.append(float(loss.detach()))
        return losses

    def _joint(self, taus: Mapping[int, Trajectory]) -> JointEpisode:
        columns, scale = self.encoding.columns, self.settings.reward_scale
        return joint_episode(taus, self.agents, self.actions, columns, scale, self.options.clock)

    def _remember(self, shown: JointEpisode) -> None:
        """Demonstrations come again and again until the source has others."""
        if not shown.lengths.any():
            return
        last = self._shown.last
        if last is None or not (np.array_equal(last.actions, shown.actions) and np.array_equal(last.step, shown.step)):
            self._shown.add(shown)

    def _drawn(self) -> JointEpisode:
        o, of_shown = self.options, 0
        if len(self._shown):
            of_shown = round(o.demonstrations * o.batch)
        drawn = []
        if of_shown < o.batch:
            drawn.append(self._replay.sample(o.batch - of_shown, self.generator))
        if of_shown:
            drawn += [self._shown.sample(1, self.generator) for _ in range(of_shown)]
        return joined(drawn)

    def _greedy_values(self, lived: JointEpisode) -> dict[str, float]:
        """What the networks expect of an episode from its first joint step on, and how clear its choices are."""
        encoded, legal, row, active = self.on_device(
            self.encoding(lived.observations), lived.masks, lived.row[:1], lived.lives[:1]
        )
        with torch.no_grad():
            values = self.values.rows(encoded, lived.owner)
            two = values.masked_fill(~legal, NEVER).topk(min(2, self.actions), dim=1).values
            best = two[row[0], 0][None] * active
            if self.options.mixer == "none":
                begun = float(best.sum())
            else:
                begun = float(self._mixed(self.networks.get("mixer"), best, central_inputs(encoded, row, active)))
        chosen_among = legal.sum(1) > 1
        gaps = (two[:, 0] - two[:, -1])[chosen_among]
        return {"first_value": begun, "action_gap": float(gaps.mean()) if len(gaps) else np.nan}

    def td_loss(self, data: JointEpisode, now: np.ndarray | None = None) -> torch.Tensor:
        """Mean squared error of r_t + gamma^d Q_tot'(s_{t+1}) over joint steps at which anybody is under way.

        d is the share of the agents under way that decide at t.

        Args:
            now: which joint steps, shape (k,); None: all but the ends.
        """
        o = self.options
        now = np.flatnonzero(~data.is_end) if now is None else now
        if o.mixer == "none":
            return self._independent_loss(data, now)
        # Every decision's network is computed once, however many joint steps its action then lasts.
        rows, places = np.unique(data.row[np.concatenate([now, now + 1])], return_inverse=True)
        place, place_next = self.on_device(*places.reshape(2, len(now), -1))
        encoded, masks, actions = self.on_device(
            self.encoding(data.observations[rows]), data.masks[rows], data.actions[rows]
        )
        lives = data.lives[now]
        deciding = (data.decides[now] & lives).sum(1) / np.maximum(lives.sum(1), 1)
        discount = (self.settings.gamma**deciding).astype(np.float32)
        active, gamma, rewards = self.on_device(lives, discount, data.rewards[now])
        active_next, decides_next = self.on_device(data.active[now + 1], data.decides[now + 1])
        reward = self._standardised(rewards.mean(1) if o.team_reward == "mean" else rewards.sum(1))
        owner = data.owner[rows]
        online = self.values.rows(encoded, owner)
        taken = online.gather(1, actions[:, None])[:, 0][place]
        with torch.no_grad():
            old = self._targets["values"].rows(encoded, owner)
            picks = (online if o.double_q else old).masked_fill(~masks, NEVER).argmax(1)
            best, carried = (old.gather(1, u[:, None])[:, 0][place_next] for u in (picks, actions))
            following = torch.where(decides_next, best, carried)
            states = central_inputs(encoded, place_next, active_next)
            later = self._mixed(self._targets.get("mixer"), following * active_next, states)
            target = reward + gamma * later * active_next.any(1)
        states = central_inputs(encoded, place, active)
        error = self._mixed(self.networks.get("mixer"), taken * active, states) - target
        return (error[active.any(1)] ** 2).mean()

    def _independent_loss(self, data: JointEpisode, now: np.ndarray) -> torch.Tensor:
        """Mean squared error of r^i + gamma Q_i'(o^i') over the decisions of these joint steps, of each agent alone."""
        chosen = np.zeros(len(data.row), dtype=bool)
        chosen[now] = True
        ends = data.first + data.lengths
        leaves = np.zeros(len(data.actions), dtype=bool)
        leaves[(ends - 1)[data.terminated & (data.lengths > 0)]] = True
        decisions = np.flatnonzero(chosen[data.step] & ~np.isin(np.arange(len(data.step)), ends))
        # Behind an agent's decision stands its next one, or o_T.
        rows = np.concatenate([decisions, decisions + 1])
        encoded, masks, gone = self.on_device(
            self.encoding(data.observations[rows]), data.masks[decisions + 1], leaves[decisions]
        )
        actions, earned = self.on_device(data.actions[decisions], data.earned[decisions])
        online, count = self.values.rows(encoded, data.owner[rows]), len(decisions)
        with torch.no_grad():
            old = self._targets["values"].rows(encoded[count:], data.owner[decisions + 1])
            picks = (online[count:] if self.options.double_q else old).masked_fill(~masks, NEVER).argmax(1)
            following = old.gather(1, picks[:, None])[:, 0] * ~gone
            target = self._standardised(earned) + self.settings.gamma * following
        return ((online[:count].gather(1, actions[:, None])[:, 0] - target) ** 2).mean()

    def _standardised(self, rewards: torch.Tensor) -> torch.Tensor:
        if not self.options.standardise_reward:
            return rewards
        return (rewards - rewards.mean()) / (rewards.std(correction=0) + 1e-5)

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
        shown = {f"shown.{name}": tensor for name, tensor in self._shown.tensors().items()}
        return {**super().tensors(), **targets, **self._replay.tensors(), **shown, "counts": self._counts}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().load_tensors(tensors)
        for key, parameter in named_parameters(self._targets):
            parameter.data.copy_(fitting(tensors, f"target.{key}", parameter))
        self._counts.copy_(fitting(tensors, "counts", self._counts))
        self._replay.load_tensors(tensors, self.actions)
        shown = {name.removeprefix("shown."): x for name, x in tensors.items() if name.startswith("shown.")}
        self._shown.load_tensors(shown, self.actions)
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
