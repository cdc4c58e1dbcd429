"""Imitation alone, and imitation first and PPO then: what any use of demonstrations has to be better than."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from leed_agentic.learning.algorithms.ppo import Mixture, Ppo, PpoSettings
from leed_agentic.traffic.trajectory import Trajectory


class Bc(Ppo):
    """Behaviour cloning (Pomerleau 1991): every agent makes its demonstrations likely, and learns nothing else.

    Its gradient steps are as many as those of the others, each on the whole demonstration at hand. Agents without a
    demonstration stay as they are.
    """

    uses_demonstrations = True

    def mixture(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> Mixture:
        return imitation(self.agents)


def imitation(agents: int) -> Mixture:
    """Demonstrations alone; critics learn from the agents' episodes all the same."""
    return Mixture(np.zeros(agents, np.float32), np.ones(agents, np.float32), explore=0.0)


class BcThenPpoSettings(PpoSettings):
    """Of algorithm bc-then-ppo: what every algorithm that learns by PPO takes, and when imitation ends."""

    imitation_episodes: int = Field(50, ge=0, description="Episodes of imitation in the beginning.")


class BcThenPpo(Ppo):
    """Imitation in the first episodes, PPO on own experience alone in all others."""

    Settings = BcThenPpoSettings
    group = "bc_then_ppo"
    uses_demonstrations = True
    later = (1.0, 0.0)
    """Weights of own experience and of demonstrations in these."""

    def mixture(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> Mixture:
        if experts and episode < self.options.imitation_episodes:
            return imitation(self.agents)
        own, expert = (np.full(self.agents, weight, np.float32) for weight in self.later)
        return Mixture(own, expert)
