"""LEED: decentralised PPO from own experience and from demonstrations (Algorithm 1, policy optimisation).

Here stands what is LEED's own: alpha of (8), A^e of (7), the expert critic. Returns (3, 4), value loss (5) and the
surrogate (7) are in objectives.py, and the update that adds them up (8, 9) is `Ppo.update`.

Superscripts are suffixes: _a is an agent's own episode tau^a, _e the expert's tau^e. What the paper leaves open is a
setting; `objective=paper` sets all of them as printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator

from leed_agentic.learning.algorithms.ppo import ExpertData, Mixture, Ppo, PpoSettings, known_or_path
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.objectives import surrogate
from leed_agentic.registry import Registry
from leed_agentic.setting_groups import AlgorithmSettings, LearningSettings
from leed_agentic.traffic.similarity import dtw_distances
from leed_agentic.traffic.trajectory import Trajectory

AS_PRINTED = {"alpha": "paper", "alpha_ceiling": 1.0, "expert_advantage": "raw", "agent_advantage": "raw"}


class LeedSettings(PpoSettings):
    """Of algorithm leed: what every algorithm that learns by PPO takes, and what becomes of the demonstrations."""

    objective: Literal["chosen", "paper"] = Field(
        "chosen", description="paper: sets alpha, alpha_ceiling and both advantages to the form that is printed."
    )
    alpha: str = Field("aligned", description="Schedule of alpha in (8), by name or dotted path.")
    alpha_fixed: float = Field(0.5, ge=0, le=1, description="Alpha of the schedule fixed.")
    alpha_ceiling: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Every schedule but fixed is multiplied by this: the expert keeps at least the rest.",
    )
    expert: Literal["given", "best"] = Field(
        "given",
        description="tau^e: the demonstration, or the agent's own best episode of the same trip once that earned more.",
    )
    expert_advantage: str = Field("filtered", description="A^e of (7), by name or dotted path.")
    dtw_points: Literal["positions", "observations"] = Field("positions", description="What DTW compares.")

    @field_validator("alpha", "expert_advantage")
    @classmethod
    def _is_a_choice(cls, name: str, field: ValidationInfo) -> str:
        return known_or_path(alphas if field.field_name == "alpha" else expert_advantages, name)

    @model_validator(mode="before")
    @classmethod
    def _as_printed(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("objective") != "paper":
            return values
        for name, printed in AS_PRINTED.items():
            if values.get(name, printed) != printed:
                raise ValueError(f"objective=paper sets {name} to {printed}; leave one of the two out")
        return {**values, **AS_PRINTED}


# -- alpha of (8) ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Progress:
    """What a schedule of alpha may look at, per agent."""

    episode: int
    episodes: int
    dtw: np.ndarray
    """DTW(tau^a, tau^e), shape (n,)."""
    length: np.ndarray
    """Length of the expert's path in the same unit, shape (n,)."""
    fixed: float
    regret: np.ndarray
    """By how much the agent's episode earned less than its demonstration, over the size of what that earned; at least
    0, shape (n,)."""


alphas: Registry[Callable[[Progress], np.ndarray]] = Registry("alpha schedule")


@alphas.register("paper")
def printed_alpha(progress: Progress) -> np.ndarray:
    """exp(-(k/K) DTW) as printed: 1 in the first episode, and 0 from the second on where DTW is in metres."""
    return np.exp(-(progress.episode / progress.episodes) * progress.dtw)


@alphas.register("normalised")
def normalised_alpha(progress: Progress) -> np.ndarray:
    """exp(-(k/K) DTW / expert's path length)."""
    return np.exp(-(progress.episode / progress.episodes) * progress.dtw / progress.length)


@alphas.register("aligned")
def aligned_alpha(progress: Progress) -> np.ndarray:
    """exp(-DTW / expert's path length): small while the two differ, whatever the episode; 1 when they agree."""
    return np.exp(-progress.dtw / progress.length)


@alphas.register("annealed")
def annealed_alpha(progress: Progress) -> np.ndarray:
    """exp(-(1 - k/K) DTW / expert's path length): the expert leads early, the agent's own experience in the end."""
    return np.exp(-(1.0 - progress.episode / progress.episodes) * progress.dtw / progress.length)


@alphas.register("regret")
def regret_alpha(progress: Progress) -> np.ndarray:
    """exp(-regret): small while the agent earns less than its demonstration, 1 once it earns as much, whichever way it
    goes. Made for demonstrations that are not the best (with alpha_ceiling 1, they then have no say any more)."""
    return np.exp(-progress.regret)


@alphas.register("fixed")
def fixed_alpha(progress: Progress) -> np.ndarray:
    """The setting alpha_fixed, always."""
    return np.full_like(progress.dtw, progress.fixed)


# -- advantages of demonstrations in (7) -------------------------------------------------------------------------------
expert_advantages: Registry[Callable[[ExpertData], torch.Tensor]] = Registry("expert advantage")


@expert_advantages.register("raw")
def raw_advantage(data: ExpertData) -> torch.Tensor:
    """R^e - V^e(o^e), equation (6)."""
    return data.returns - data.values


@expert_advantages.register("scaled")
def scaled_advantage(data: ExpertData) -> torch.Tensor:
    """Equation (6) over its root mean square per agent; not centred, which would push half of the actions down."""
    raw = data.returns - data.values
    return raw / ((data.weights * raw**2).sum(1, keepdim=True).sqrt() + 1e-8)


@expert_advantages.register("positive")
def positive_advantage(data: ExpertData) -> torch.Tensor:
    """The positive part of equation (6): an expert's action is never pushed down."""
    return (data.returns - data.values).clamp(min=0.0)


@expert_advantages.register("agent-critic")
def agent_critic_advantage(data: ExpertData) -> torch.Tensor:
    """The positive part of R^e - V^a(o^e): how much better the expert does than the agent expects to."""
    return (data.returns - data.agent_values).clamp(min=0.0)


@expert_advantages.register("filtered")
def filtered_advantage(data: ExpertData) -> torch.Tensor:
    """1 where R^e > V^a(o^e), else 0: imitation of what does better than the agent expects to.

    The filter of Nair et al. (2018, arXiv 1709.10089) with a value in place of a Q function.
    """
    return (data.returns > data.agent_values).float()


@expert_advantages.register("constant")
def constant_advantage(data: ExpertData) -> torch.Tensor:
    """1: plain imitation, for comparison."""
    return torch.ones_like(data.returns)


# -- the method --------------------------------------------------------------------------------------------------------
class Leed(Ppo):
    """n agents, each with its own policy pi^i, agent critic V^a_i and expert critic V^e_i."""

    Settings: ClassVar[type[AlgorithmSettings]] = LeedSettings
    uses_demonstrations = True
    has_expert_critic = True

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        super().__init__(agents, actions, encoding, settings, seed)
        self._alpha = alphas.get(self.options.alpha)
        self._expert_advantage = expert_advantages.get(self.options.expert_advantage)
        self._best: dict[int, Trajectory] = {}
        """Of the agents' own episodes, those that arrived and earned most."""
        self._measured: dict[int, tuple[Trajectory, float, float]] = {}
        """Of each agent's last demonstration the path's length and what it earned."""

    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        """Equations (4) to (9) on the last episodes of the agents and on their experts.

        With expert=best an agent's own episode takes the place of a demonstration that it has surpassed, as in
        self-imitation (Oh et al. 2018, arXiv 1806.05635); alpha and the filter then work on it as on any other.
        """
        if self.options.expert == "best":
            experts = {agent: self._better(agent, experiences.get(agent), tau) for agent, tau in experts.items()}
        return super().update(experiences, experts, episode)

    def _better(self, agent: int, tau_a: Trajectory | None, tau_e: Trajectory) -> Trajectory:
        """Of the demonstration and the agent's best episode of its trip the one that earned more."""
        best = self._best.get(agent)
        if best is not None and not _same_trip(best, tau_e):
            best = None
        counts = tau_a is not None and tau_a.arrived and _same_trip(tau_a, tau_e)
        if tau_a is not None and counts and (best is None or tau_a.total_reward > best.total_reward):
            best = self._best[agent] = tau_a
        return best if best is not None and best.total_reward > tau_e.total_reward else tau_e

    def mixture(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> Mixture:
        """alpha of own experience and the rest of the expert's (8)."""
        alpha, dtw = self.alpha(experiences, experts, episode)
        own = alpha.astype(np.float32)
        return Mixture(own, np.float32(1.0) - own, figures={"alpha": alpha, "dtw": dtw})

    def alpha(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """alpha of (8) and the DTW distance behind it, per agent: 1 and NaN for agents without a demonstration."""
        alpha, dtw = np.ones(self.agents), np.full(self.agents, np.nan)
        pairs = [agent for agent in experts if agent in experiences]
        if not pairs:
            return alpha, dtw
        paths = [(self._points(experiences[agent]), self._points(experts[agent])) for agent in pairs]
        dtw[pairs] = dtw_distances(paths, self.settings.dtw)
        lengths, regrets = [], []
        for agent, (_, path_e) in zip(pairs, paths, strict=True):
            known = self._measured.get(agent)
            if known is None or known[0] is not experts[agent]:
                length = float(np.linalg.norm(np.diff(path_e, axis=0), axis=1).sum())
                known = self._measured[agent] = experts[agent], length, float(experts[agent].rewards.sum())
            _, length, expert = known
            earned = float(experiences[agent].rewards.sum())
            regrets.append(max(expert - earned, 0.0) / max(abs(expert), 1e-9))
            lengths.append(max(length, 1e-9))
        o = self.options
        ceiling = 1.0 if o.alpha == "fixed" else o.alpha_ceiling
        per_agent = dtw[pairs], np.array(lengths), o.alpha_fixed, np.array(regrets)
        progress = Progress(episode, self.settings.episodes, *per_agent)
        alpha[pairs] = ceiling * self._alpha(progress)
        return alpha, dtw

    def _points(self, tau: Trajectory) -> np.ndarray:
        if self.options.dtw_points == "observations":
            return np.concatenate([tau.observations, tau.last_observation[None]])
        return tau.positions

    def expert_advantage(self, data: ExpertData, advantages: torch.Tensor, episode: int) -> torch.Tensor:
        return self._expert_advantage(data)

    def expert_gain(
        self, log_new: torch.Tensor, log_old: torch.Tensor, advantages: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """The clipped surrogate of (7)."""
        return surrogate(log_new, log_old, advantages, weights, self.settings.clip)

    # -- checkpoints ---------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, torch.Tensor]:
        kept = {
            f"best.{agent}.{name}": torch.from_numpy(np.ascontiguousarray(getattr(tau, name)))
            for agent, tau in self._best.items()
            for name in _REMEMBERED
        }
        return {**super().tensors(), **kept}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().load_tensors(tensors)
        self._best = {}
        for agent in range(self.agents):
            if f"best.{agent}.actions" in tensors:
                arrays: Any = {name: tensors[f"best.{agent}.{name}"].numpy() for name in _REMEMBERED}
                self._best[agent] = Trajectory(agent, route=(), arrived=True, travel_seconds=None, **arrays)


_REMEMBERED = ("observations", "masks", "actions", "rewards", "times", "positions", "last_observation")
"""Of an agent's best episode: all that is learnt from."""


def _same_trip(one: Trajectory, other: Trajectory) -> bool:
    """Whether both begin on the same street and end at the same junction."""
    return bool((one.positions[[0, -1]] == other.positions[[0, -1]]).all())
