"""What a run measures: one table for log, formats, report and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A column of metrics.csv: one number per episode, empty where there is none (no arrival, no expert)."""

    name: str
    label: str
    unit: str = ""
    share: bool = False
    """Whether it lies between 0 and 1."""
    per_agent: str = ""
    """Stem of the columns that hold it for each agent, such as reward for reward_0, reward_1 ...; empty: none."""
    chart: str = ""
    """Metrics of one name share a chart of the report, which has the first one's label; empty: it is not drawn."""
    line: str = "mean"
    """Its name in that chart."""
    reference: bool = False
    """Drawn as what others are compared with."""

    @property
    def meaning(self) -> str:
        """What it is, whose where charts tell several apart, and its unit."""
        whose = f", {self.line}" if self.line != "mean" else ""
        return f"{self.label}{whose} ({self.unit})"


METRICS = (
    Metric("reward_mean", "Reward", "reward per episode", per_agent="reward", chart="reward"),
    Metric("arrival_rate", "Arrival rate", "share of agents that arrived", share=True, chart="arrival"),
    Metric("decisions", "Decisions of all agents", "decisions"),
    Metric("simulated_seconds", "Simulated time", "seconds"),
    Metric("travel_seconds_mean", "Travel time of those who arrived", "seconds", chart="travel"),
    Metric("teleports", "Vehicles that SUMO moved out of a jam", "vehicles"),
    Metric("collisions", "Collisions", "collisions"),
    Metric("missed", "Edges driven that were not chosen", "edges"),
    Metric("alpha_mean", "Alpha: weight of own experience", "alpha", share=True, per_agent="alpha", chart="alpha"),
    Metric("dtw_mean", "Distance to the demonstrations", "DTW distance, metres", chart="dtw"),
    Metric("expert_reward_mean", "Reward", "reward", chart="reward", line="demonstrations", reference=True),
    Metric("expert_advantage", "Mean size of A^e", "scaled reward"),
    Metric("expert_probability", "Probability of the demonstrated action", "probability", share=True, chart="expert"),
    Metric("policy_loss_agent", "Policy loss", "loss", chart="policy_loss", line="own experience"),
    Metric("policy_loss_expert", "Policy loss", "loss", chart="policy_loss", line="demonstrations"),
    Metric("value_loss_agent", "Value loss", "loss", chart="value_loss", line="own experience"),
    Metric("value_loss_expert", "Value loss", "loss", chart="value_loss", line="demonstrations"),
    Metric("entropy", "Entropy of the policies", "nats", chart="entropy"),
    Metric("kl", "From the policy before the update to the one after", "nats"),
    Metric("clip_agent", "Clipped ratios of own experience", "share", share=True),
    Metric("clip_expert", "Clipped ratios of demonstrations", "share", share=True),
    Metric("greedy_reward", "Reward", "reward", chart="reward", line="likeliest actions"),
    Metric("epsilon", "Random actions", "share", share=True),
    Metric("td_loss", "Temporal-difference loss", "loss", chart="td_loss"),
    Metric("triggers", "Questions to the source so far", "questions"),
    Metric("source_failures", "Of these without an answer", "questions"),
    Metric("calls", "Calls of the model so far", "calls"),
    Metric("input_tokens", "Tokens sent so far", "tokens"),
    Metric("output_tokens", "Tokens received so far", "tokens"),
)
"""What the trainer and the algorithms of this package measure, in the order of the columns."""

USAGE = ("calls", "input_tokens", "output_tokens")
REPORTED = ("validity", "rounds", "memory")
"""What a source may say about its last answer: the share of asked-for routes that were valid, how many plans it took,
and how much it remembers (what refinement has added to the prompt)."""


def columns(agents: int, metrics: Iterable[Metric] = METRICS) -> list[str]:
    """The columns of metrics.csv that are there from the first line on."""
    stems = [m.per_agent for m in metrics if m.per_agent]
    return ["episode", *(m.name for m in metrics), *(f"{stem}_{i}" for stem in stems for i in range(agents))]


def cells(learnt: Mapping[str, Any], metrics: Sequence[Metric] = METRICS) -> dict[str, float | str]:
    """What an algorithm's update returned, as columns: every number under its name, and of one number per agent the
    mean of those that are not NaN, under its name or under <name>_mean where the table has that."""
    named, row = {m.name: m for m in metrics}, {}
    for name, value in learnt.items():
        figures = np.asarray(value, dtype=np.float64)
        known = figures[np.isfinite(figures)]
        column = f"{name}_mean" if f"{name}_mean" in named else name
        row[column] = float(known.mean()) if known.size else ""
        metric = named.get(column)
        if figures.ndim and metric and metric.per_agent:
            row |= {f"{metric.per_agent}_{agent}": float(figure) for agent, figure in enumerate(figures)}
    return row
