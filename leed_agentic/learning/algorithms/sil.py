"""SIL: PPO that also imitates its own past decisions that went better than expected (Oh et al. 2018)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field

from leed_agentic.learning.algorithms.ppo import Ppo, PpoSettings
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.networks import fitting
from leed_agentic.learning.objectives import chosen, discounted_returns, log_probabilities
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.trajectory import Trajectory


class SilSettings(PpoSettings):
    """Of algorithm sil: what every algorithm that learns by PPO takes, and how it learns from its memory.

    Values are those of Oh et al. 2018 (arXiv 1806.05635), table 5, for PPO, except where a field says otherwise.
    """

    demonstrations: bool = Field(True, description="Whether demonstrations stand in the memory too.")
    memory: int = Field(
        2000, ge=1, le=1_000_000, description="Decisions that each agent remembers (the authors': 50,000)."
    )
    steps: int = Field(10, ge=0, description="Gradient steps on the memory per update.")
    batch: int = Field(
        128, ge=1, le=1_000_000, description="Decisions of each agent per such step (the authors': 512 in all)."
    )
    weight: float = Field(0.1, ge=0, description="Of the loss on the memory.")
    value_weight: float = Field(0.01, ge=0, description="Of its critic's part.")
    priority: float = Field(0.6, ge=0, description="Exponent of (R - V)+ by which decisions are drawn.")


class Sil(Ppo):
    """Each agent's PPO, then steps on -log pi(u | o) (R - V)+ and value_weight (R - V)+^2 / 2 over its memory.

    R is what the decision was followed by in its episode, discounted. Decisions are drawn by their (R - V)+ as of the
    beginning of the update, without the correction for that which the authors anneal in.
    """

    Settings = SilSettings

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        super().__init__(agents, actions, encoding, settings, seed)
        self.uses_demonstrations = self.options.demonstrations
        shape = (agents, self.options.memory)
        self._memory = {
            "observations": torch.zeros(*shape, encoding.columns),
            "masks": torch.ones(*shape, actions, dtype=torch.bool),
            "actions": torch.zeros(shape, dtype=torch.int64),
            "returns": torch.zeros(shape),
            "count": torch.zeros(agents, dtype=torch.int64),
            "demonstrations": torch.zeros(agents, dtype=torch.int64),
        }
        """By agent; counts of what it ever remembered, and a checksum of the demonstration that it remembered last."""

    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        for agent, tau in experiences.items():
            self._remember(agent, tau)
        for agent, tau in experts.items() if self.uses_demonstrations else ():
            # They come again and again until the source has others.
            sum_ = zlib.crc32(tau.observations.tobytes() + tau.actions.tobytes() + tau.rewards.tobytes())
            if int(self._memory["demonstrations"][agent]) != sum_:
                self._memory["demonstrations"][agent] = sum_
                self._remember(agent, tau)
        figures = super().update(experiences, {}, episode)
        return {**figures, **self._imitate()} if figures else figures

    def _remember(self, agent: int, tau: Trajectory) -> None:
        """In place of the oldest. A decision whose episode was cut off counts what came until then."""
        kept, size = self._memory, self.options.memory
        length = min(len(tau.actions), size)
        rewards = torch.from_numpy(tau.rewards * self.settings.reward_scale)[None]
        ends = torch.tensor([len(tau.actions)])
        returns = discounted_returns(rewards, ends, torch.zeros(1), self.settings.gamma)[0]
        places = (int(kept["count"][agent]) + np.arange(length)) % size
        arrays = {"observations": tau.observations, "masks": tau.masks.astype(bool), "actions": tau.actions}
        for name, array in arrays.items():
            kept[name][agent, places] = torch.from_numpy(array[-length:] if length else array[:0])
        kept["returns"][agent, places] = returns[-length:] if length else returns[:0]
        kept["count"][agent] += length

    def _imitate(self) -> dict[str, np.ndarray]:
        o, kept, device = self.options, self._memory, self.settings.device
        filled = int(kept["count"].max().clamp(max=o.memory))
        if not filled or not o.steps:
            return {}
        inputs = torch.from_numpy(self.encoding(kept["observations"][:, :filled].numpy())).to(device)
        masks, actions, returns = (kept[name][:, :filled].to(device) for name in ("masks", "actions", "returns"))
        there = torch.arange(filled) < kept["count"][:, None]
        with torch.no_grad():
            better = (returns - self.agent_critic(inputs)[..., 0]).clamp(min=0.0).cpu()
        # Everything has a chance, as in the authors' code.
        odds = torch.where(there, (better + 1e-6) ** o.priority, 0.0).double().numpy()
        cumulative = np.cumsum(odds, axis=1)
        anything = there.any(1).to(device)
        for _ in range(o.steps):
            drawn = self.generator.random((self.agents, o.batch)) * cumulative[:, -1:]
            rows = np.stack([np.searchsorted(c, d, side="right") for c, d in zip(cumulative, drawn, strict=True)])
            where = torch.from_numpy(np.minimum(rows, filled - 1)).to(device)
            seen = inputs.gather(1, where[..., None].expand(-1, -1, inputs.shape[2]))
            allowed = masks.gather(1, where[..., None].expand(-1, -1, masks.shape[2]))
            log_pi = chosen(log_probabilities(self.policy(seen), allowed), actions.gather(1, where))
            missing = (returns.gather(1, where) - self.agent_critic(seen)[..., 0]).clamp(min=0.0)
            policy_loss = -(log_pi * missing.detach()).mean(1)
            loss = policy_loss + o.value_weight * 0.5 * (missing**2).mean(1)
            self.step(o.weight * (loss * anything).sum(), o.max_grad_norm)
        self.actor.refresh()
        return {"policy_loss_memory": policy_loss.detach().cpu().numpy().astype(np.float64)}

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        return {**super().tensors(), **{f"memory.{name}": array for name, array in self._memory.items()}}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().load_tensors(tensors)
        for name, array in self._memory.items():
            array.copy_(fitting(tensors, f"memory.{name}", array))
