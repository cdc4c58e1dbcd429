"""Routes driven in SUMO: the expert trajectories tau^e ~ Env(E | s_0, P) of equation (2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from leed_agentic.errors import UsageError
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Episode, drive, fastest_path, follow


def execute(env: RouteEnv, scenario: Scenario, routes: Mapping[int, Sequence[str]], seed: int | None = None) -> Episode:
    """Drive validated routes through the step, reward and mask of any policy; agents without a route stay at home.

    Raises:
        UsageError: a route takes a turn that the environment's mask forbids.
    """
    for agent, route in routes.items():
        for before, after in pairwise(route):
            if after not in env.network.edge(before).successors:
                raise UsageError(
                    f"The route of agent {agent} turns from {before} into {after}, which is not allowed there."
                )
    return drive(env, follow(routes), seed=seed, options={"scenario": scenario, "agents": sorted(routes)})


def fastest_alone(env: RouteEnv, scenario: Scenario, agents: Sequence[int]) -> dict[int, float]:
    """Seconds of each agent's fastest path with the streets to itself; an agent that does not arrive is left out."""
    alone = {}
    for agent in agents:
        episode = drive(env, fastest_path, options={"scenario": scenario, "agents": [agent]})
        seconds = episode.trajectories[agent].travel_seconds
        if seconds is not None:
            alone[agent] = seconds
    return alone
