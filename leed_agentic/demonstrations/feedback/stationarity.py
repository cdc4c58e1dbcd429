"""How steadily the agents learn between two questions to the model: volatility of rewards, divergence of policies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any


@dataclass
class Stationarity:
    """What a trainer told of its episodes since the last question, one entry per episode."""

    rewards: list[dict[int, float]] = field(default_factory=list)
    """Total reward of each agent's own drive."""
    divergences: list[dict[int, float]] = field(default_factory=list)
    """KL(pi_old || pi_new) of the update after it, estimated on the agent's own decisions; absent where unknown."""

    def add(self, rewards: Mapping[int, float], divergences: Mapping[int, float]) -> None:
        """One episode and the update after it; what is not finite is left out."""
        self.rewards.append({a: float(r) for a, r in rewards.items() if math.isfinite(r)})
        self.divergences.append({a: float(d) for a, d in divergences.items() if math.isfinite(d)})

    @property
    def episodes(self) -> int:
        return len(self.rewards)

    def volatility(self, agent: int) -> float | None:
        """Standard deviation of an agent's total rewards over the episodes; None before there are two."""
        known = [earned[agent] for earned in self.rewards if agent in earned]
        return pstdev(known) if len(known) > 1 else None

    def divergence(self, agent: int) -> float | None:
        """Mean KL divergence per update of an agent's policy, not below 0 as an estimate can be; None without any."""
        known = [moved[agent] for moved in self.divergences if agent in moved]
        return max(0.0, fmean(known)) if known else None

    def to_json(self) -> dict[str, Any]:
        return {"rewards": _with_text_keys(self.rewards), "divergences": _with_text_keys(self.divergences)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Stationarity:
        return cls(_with_agents(data.get("rewards", ())), _with_agents(data.get("divergences", ())))


def _with_text_keys(rows: list[dict[int, float]]) -> list[dict[str, float]]:
    return [{str(agent): value for agent, value in row.items()} for row in rows]


def _with_agents(rows: Any) -> list[dict[int, float]]:
    return [{int(agent): float(value) for agent, value in row.items()} for row in rows]
