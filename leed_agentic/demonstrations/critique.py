"""How good driven routes are: against the agents' own trajectories when there are any, else on their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.similarity import dtw_distance
from leed_agentic.traffic.trajectory import Episode, Trajectory

CONFLICT_SECONDS = 10.0
"""Two agents that enter an edge within this time of each other share it."""


@dataclass
class AgentCritique:
    """One agent's expert route, judged."""

    agent: int
    reward: float
    arrived: bool
    ratio: float | None
    """Driven seconds over those of the fastest path driven alone; None when either did not arrive."""
    conflicts: dict[int, list[str]] = field(default_factory=dict)
    """Other agent to the edges both use at nearly the same time."""
    dtw: float | None = None
    """DTW distance in metres to the agent's own trajectory; None when there is none."""
    agent_reward: float | None = None
    agent_arrived: bool | None = None
    parts_after: str | None = None
    """The last edge that expert and agent share before they part; None when they never part."""
    parts_into: tuple[str, str] | None = None
    """(expert's, agent's) edge after that."""


@dataclass
class Critique:
    """The fleet's judgement. `slow` agents are those worth planning again."""

    agents: dict[int, AgentCritique]
    slow: list[int]

    @property
    def acceptable(self) -> bool:
        """Whether nothing is left to refine."""
        return not self.slow

    def mean(self, what: str) -> float | None:
        """Mean over agents of a field such as "ratio" or "dtw"; None when no agent has it."""
        values = [v for a in self.agents.values() if (v := getattr(a, what)) is not None]
        return float(np.mean(values)) if values else None


def critique(
    network: RoadNetwork,
    expert: Episode,
    alone: Mapping[int, float],
    accept_ratio: float,
    trajectories: Mapping[int, Trajectory] | None = None,
) -> Critique:
    """Judge an expert episode.

    Args:
        alone: seconds of each agent's fastest path driven alone.
        accept_ratio: an agent whose ratio is larger, or who does not arrive, is slow.
        trajectories: the agents' latest (tau^a). An expert that earns less than the agent itself is slow too.
    """
    judged = {}
    conflicts = _conflicts(expert)
    for agent, trajectory in expert.trajectories.items():
        driven = trajectory.travel_seconds
        ratio = driven / alone[agent] if driven is not None and agent in alone else None
        entry = AgentCritique(agent, trajectory.total_reward, trajectory.arrived, ratio, conflicts.get(agent, {}))
        if trajectories and agent in trajectories:
            _compare(entry, trajectory, trajectories[agent])
        judged[agent] = entry
    slow = [a for a, entry in judged.items() if _is_slow(entry, accept_ratio)]
    return Critique(judged, slow)


def _is_slow(entry: AgentCritique, accept_ratio: float) -> bool:
    if not entry.arrived or entry.ratio is None or entry.ratio > accept_ratio:
        return True
    return entry.agent_reward is not None and entry.reward < entry.agent_reward


def _compare(entry: AgentCritique, expert: Trajectory, agent: Trajectory) -> None:
    entry.dtw = dtw_distance(expert.positions, agent.positions)
    entry.agent_reward, entry.agent_arrived = agent.total_reward, agent.arrived
    shared = 0
    for ours, theirs in zip(expert.route, agent.route, strict=False):
        if ours != theirs:
            break
        shared += 1
    if shared and shared < min(len(expert.route), len(agent.route)):
        entry.parts_after = expert.route[shared - 1]
        entry.parts_into = (expert.route[shared], agent.route[shared])


def _conflicts(expert: Episode) -> dict[int, dict[int, list[str]]]:
    """For every agent the edges that another chooses at nearly the same time."""
    uses: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for trajectory in expert.trajectories.values():
        for edge, time in zip(trajectory.route[1:], trajectory.times, strict=False):
            uses[edge].append((float(time), trajectory.agent))
    found: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for edge, times in uses.items():
        times.sort()
        for i, (time, agent) in enumerate(times):
            for later, other in times[i + 1 :]:
                if later - time > CONFLICT_SECONDS:
                    break
                if other != agent:
                    found[agent][other].append(edge)
                    found[other][agent].append(edge)
    return {agent: dict(others) for agent, others in found.items()}


def conflict_pairs(judged: Sequence[AgentCritique]) -> int:
    """Number of pairs of agents that share an edge at nearly the same time."""
    return sum(len(entry.conflicts) for entry in judged) // 2
