"""DAPG: imitation first, then policy gradients with a term on demonstrations that fades (Rajeswaran et al. 2018)."""

from __future__ import annotations

import torch
from pydantic import Field

from leed_agentic.learning.algorithms.imitation import BcThenPpo, BcThenPpoSettings
from leed_agentic.learning.algorithms.ppo import ExpertData


class DapgSettings(BcThenPpoSettings):
    """Of algorithm dapg: what bc-then-ppo takes, and the weight of demonstrations after imitation.

    Values are those of Rajeswaran et al. 2018 (arXiv 1709.10087), section IV, who imitate before any episode.
    """

    weight: float = Field(0.1, ge=0, description="Lambda 0 of the demonstrations' weight after that.")
    decay: float = Field(0.95, ge=0, le=1, description="Lambda 1: what is left of that weight after each episode.")


class Dapg(BcThenPpo):
    """Each agent's PPO, with sum over its demonstration of lambda_0 lambda_1^k max A^a log pi(u | o) added.

    The authors take natural gradients in place of PPO's clipped steps. max A^a is taken per agent, and counts as 0
    where no action was better than the critic expected. Without a demonstration the agent runs plain PPO.
    """

    Settings = DapgSettings
    group = "dapg"
    later = (1.0, 1.0)

    def expert_advantage(self, data: ExpertData, advantages: torch.Tensor, episode: int) -> torch.Tensor:
        o, same = self.options, torch.ones_like(data.returns)
        since = episode - o.imitation_episodes
        if since < 0:
            return same
        # Behind an agent's end its advantages are 0.
        largest = advantages.amax(1, keepdim=True).clamp(min=0.0) if advantages.shape[1] else advantages.new_zeros(1, 1)
        return o.weight * o.decay**since * largest * same
