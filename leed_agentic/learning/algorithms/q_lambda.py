"""Q(lambda): every agent alone, from returns that reach as far as it acted by its own values (Watkins 1989)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field

from leed_agentic.learning.algorithms.qmix import Qmix, QmixSettings
from leed_agentic.learning.joint import JointEpisode
from leed_agentic.learning.objectives import NEVER


class QLambdaSettings(QmixSettings):
    """Of algorithm q-lambda: those of qmix without its mixing network, and how far returns reach.

    `double_q`, `target_update`, `clock` and `team_reward` have no say: targets come from the networks as an update
    finds them, and every agent has its own decisions and its own reward.
    """

    mixer: Literal["none"] = Field("none", description="None: every agent learns alone.")
    share_policy: bool = Field(False, description="One network of values for all agents, or one each.")
    steps: int = Field(1000, ge=1, description="Decisions learnt from per gradient step.")
    td_lambda: float = Field(
        0.8, ge=0, le=1, description="Share of what the episode itself earned later in a target; 0: one decision ahead."
    )


class QLambda(Qmix):
    """n agents with networks Q(o^i, u) of their own, remembered episodes, and targets

    G_t = r_t + gamma ((1 - lambda) max_u Q(o_{t+1}, u) + lambda G_{t+1}),

    where lambda counts as 0 if u_{t+1} is not the best action by today's values (Watkins' cut), so that exploration
    does not spoil them. They are worked out once per update, for all episodes drawn.
    """

    Settings = QLambdaSettings
    group = "q_lambda"

    def _gradient_steps(self) -> list[float]:
        o, losses, data = self.options, [], self._drawn()
        targets, decisions = self.targets(data)
        for _ in range(o.updates):
            drawn = self.generator.choice(decisions, size=min(o.steps, len(decisions)), replace=False)
            encoded, actions, target = self.on_device(
                self.encoding(data.observations[drawn]), data.actions[drawn], targets[drawn]
            )
            taken = self.values.rows(encoded, data.owner[drawn]).gather(1, actions[:, None])[:, 0]
            loss = ((taken - target) ** 2).mean()
            self.step(loss, o.max_grad_norm, together=True)
            losses.append(float(loss.detach()))
        return losses

    @torch.no_grad()
    def targets(self, data: JointEpisode) -> tuple[np.ndarray, np.ndarray]:
        """G of every row, shape (R,), float32, and which rows are decisions: the others are o_T."""
        o, gamma = self.options, self.settings.gamma
        encoded, masks = self.on_device(self.encoding(data.observations), data.masks)
        best, greedy = self.values.rows(encoded, data.owner).masked_fill(~masks, NEVER).max(1)
        value = best.double().cpu().numpy()
        reach = np.where(greedy.cpu().numpy() == data.actions, o.td_lambda, 0.0)
        earned = data.earned.astype(np.float64)
        if o.standardise_reward:
            earned = (earned - earned.mean()) / (earned.std() + 1e-5)
        ends = data.first + data.lengths
        is_end, leaves = np.zeros(len(value), dtype=bool), np.zeros(len(value), dtype=bool)
        is_end[ends] = True
        leaves[(ends - 1)[data.terminated & (data.lengths > 0)]] = True
        # What an agent can expect from a row on; at o_T that is its value, whatever stands in the row's action.
        expected = value.copy()
        found = np.zeros(len(value))
        for row in np.flatnonzero(~is_end)[::-1]:
            later = 0.0 if leaves[row] else expected[row + 1]
            found[row] = earned[row] + gamma * later
            expected[row] = (1.0 - reach[row]) * value[row] + reach[row] * found[row]
        return found.astype(np.float32), np.flatnonzero(~is_end)
