"""QMIX: action values mixed monotonically into the team's (Rashid et al. 2018); as switches VDN and independent Q."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from leed_agentic.learning.actor import Actor
from leed_agentic.learning.algorithms.algorithm import algorithms
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.joint import JointEpisode, central_inputs, joint_episode
from leed_agentic.learning.mixing import MonotonicMixer
from leed_agentic.learning.networks import StackedNetworks
from leed_agentic.learning.objectives import NEVER
from leed_agentic.learning.replay import Replay
from leed_agentic.learning.sharing import spread, with_identity
from leed_agentic.learning.weights import fitting, load_named, named_tensors
from leed_agentic.settings import LearningSettings


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


@algorithms.register("qmix")
class Qmix:
    """n agents with one network Q(o^i, u, i), whose values a mixing network makes one value of the team.

    The steps of the team are the joint steps of `JointEpisode`: an agent in mid-edge contributes the value of the
    action it is still carrying out, as in macro-action value methods (Xiao et al. 2020, arXiv 2004.08646), and cannot
    choose anew there; agents that have arrived contribute nothing. A joint step discounts by gamma to the power of the
    share of agents that decide in it, so that an agent's own decisions are about gamma apart, as everywhere else.
    """

    uses_demonstrations = False

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        self.agents, self.actions, self.encoding, self.settings = agents, actions, encoding, settings
        self.own = own = settings.qmix
        self.deterministic = False
        # More threads only get in each other's way with networks this small, and the first weights depend on how many.
        torch.set_num_threads(1)
        self._generator = np.random.default_rng([seed, 0xAC7])
        start = torch.Generator().manual_seed(seed)
        hidden, act, size = settings.hidden, settings.activation, encoding.size
        self.values = StackedNetworks(1, size + agents * own.agent_id, hidden, actions, start, 0.01, act)
        self._networks: dict[str, torch.nn.Module] = {"values": self.values}
        self.mixer = MonotonicMixer(agents, agents * (size + 1), own.mixing_embed, own.hypernet, start)
        if own.mixer == "qmix":
            self._networks["mixer"] = self.mixer
        for network in self._networks.values():
            network.to(settings.device)
        self._targets = {name: copy.deepcopy(network) for name, network in self._networks.items()}
        self._parameters = [p for network in self._networks.values() for p in network.parameters()]
        self._optimiser = torch.optim.Adam(self._parameters, lr=settings.learning_rate, fused=True)
        self._replay = Replay(own.buffer)
        self._counts = torch.zeros(2, dtype=torch.int64)
        """Joint steps seen and gradient steps made."""
        self._copies = StackedNetworks(agents, size, hidden, actions, start, 0.01, act)
        self._actor = Actor(self._copies, encoding, self._generator)
        self._take_up_changes()

    # -- acting --------------------------------------------------------------------------------------------------------
    def choose(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        if self.deterministic:
            return self._actor.best(agent, observation, mask)
        return self._actor.explore(agent, observation, mask, self._epsilon)

    def _take_up_changes(self) -> None:
        """Act by the weights and by the share of random actions as they are now."""
        own, done = self.own, min(1.0, int(self._counts[0]) / self.own.epsilon_steps)
        self._epsilon = own.epsilon_start + done * (own.epsilon_end - own.epsilon_start)
        spread(self.values, self._copies)
        self._actor.refresh()

    # -- learning ------------------------------------------------------------------------------------------------------
    def update(self, experiences: Mapping[int, Any], experts: Mapping[int, Any], episode: int) -> dict[str, Any]:
        """Remember the episode, then take gradient steps on joint steps of episodes drawn from memory."""
        own, epsilon = self.own, self._epsilon
        columns, scale = self.encoding.columns, self.settings.reward_scale
        lived = joint_episode(experiences, self.agents, self.actions, columns, scale)
        losses = []
        if lived.lengths.any():
            self._replay.add(lived)
            self._counts[0] += len(lived.row) - 1
        for _ in range(own.updates if len(self._replay) else 0):
            data = self._replay.sample(own.batch, self._generator)
            steps = np.flatnonzero(~data.is_end)
            drawn = self._generator.choice(steps, size=min(own.steps, len(steps)), replace=False)
            loss = self.td_loss(data, drawn)
            self._optimiser.zero_grad()
            loss.backward()
            clip_grad_norm_(self._parameters, own.max_grad_norm)
            self._optimiser.step()
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
        device, own = self.settings.device, self.own
        now = np.flatnonzero(~data.is_end) if now is None else now
        views = _views(data, now)
        encoded = torch.from_numpy(self.encoding(data.observations[views.rows])).to(device)
        active, active_next, rewards = (
            torch.from_numpy(x).to(device) for x in (data.active[now], data.active[now + 1], data.rewards[now])
        )
        gamma = torch.from_numpy(_discounts(data, now, self.settings.gamma)).to(device)
        values = self._agents_values(data, views, encoded)
        reward = rewards.sum(1) if own.team_reward == "sum" else rewards.mean(1)
        if own.mixer == "none":
            # Independent learners: each value of its own, the reward shared.
            target = reward[:, None] + gamma[:, None] * values.target * active_next
            error, counted = values.taken - target, active
        else:
            place, place_next = (torch.from_numpy(x).to(device) for x in (views.now, views.following))
            with torch.no_grad():
                states = central_inputs(encoded, place_next, active_next)
                following = self._mixed(self._targets.get("mixer"), values.target * active_next, states)
                target = reward + gamma * following * active_next.any(1)
            states = central_inputs(encoded, place, active)
            error = self._mixed(self._networks.get("mixer"), values.taken * active, states) - target
            counted = active.any(1)
        return (error[counted] ** 2).mean()

    def _agents_values(self, data: JointEpisode, views: _Views, encoded: torch.Tensor) -> _Values:
        """Every decision's network is computed once, however many joint steps the action then lasts."""
        device, rows = self.settings.device, views.rows
        masks, actions, place, place_next, decides = (
            torch.from_numpy(x).to(device)
            for x in (data.masks[rows], data.actions[rows], views.now, views.following, data.decides[views.next_steps])
        )
        inputs = with_identity(encoded, data.owner[rows], self.agents, self.own.agent_id)[None]
        online = self.values(inputs)[0]
        with torch.no_grad():
            old = self._targets["values"](inputs)[0]
            picks = (online if self.own.double_q else old).masked_fill(~masks, NEVER).argmax(1)
            best, carried = (old.gather(1, u[:, None])[:, 0][place_next] for u in (picks, actions))
        return _Values(online.gather(1, actions[:, None])[:, 0][place], torch.where(decides, best, carried))

    def _mixed(self, mixer: torch.nn.Module | None, values: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Q_tot, shape (S,); without a mixing network the sum, which is VDN."""
        return values.sum(1) if mixer is None else mixer(values, states)

    def _move_targets(self) -> None:
        share = self.own.target_update
        if share >= 1:
            if int(self._counts[1]) % round(share):
                return
            share = 1.0
        with torch.no_grad():
            for name, network in self._networks.items():
                for target, source in zip(self._targets[name].parameters(), network.parameters(), strict=True):
                    target.lerp_(source, share)

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        targets = {key: p.detach() for key, p in self._target_parameters()}
        learnt = named_tensors(self._networks, self._optimiser)
        return {**learnt, **targets, **self._replay.tensors(), "counts": self._counts}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        load_named(self._networks, self._optimiser, tensors)
        for key, parameter in self._target_parameters():
            parameter.data.copy_(fitting(tensors, key, parameter))
        self._counts.copy_(fitting(tensors, "counts", self._counts))
        self._replay.load_tensors(tensors, self.actions)
        self._take_up_changes()

    def _target_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [
            (f"target.{name}.{part}", parameter)
            for name, network in self._targets.items()
            for part, parameter in network.named_parameters()
        ]

    def random_state(self) -> dict[str, Any]:
        return dict(self._generator.bit_generator.state)

    def load_random_state(self, state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = dict(state)
