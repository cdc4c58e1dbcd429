"""The reward of an agent, and how far it is from its destination. Each is a small registered function."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from leed_agentic.registry import Registry
from leed_agentic.roads.edges import Edge
from leed_agentic.traffic.observation import current_travel_time
from leed_agentic.traffic.view import View


class Change(NamedTuple):
    """What happened to one agent in one environment step."""

    seconds: float
    """Simulated seconds it was on its way."""
    distance_before: float
    distance_after: float
    """Distance from the end of its last chosen edge to the destination, before and after its choice."""
    arrived: bool


RewardFunction = Callable[[View, int, Change], float]
DistanceFunction = Callable[[View, int, Edge], float]

rewards: Registry[RewardFunction] = Registry("reward")
distances: Registry[DistanceFunction] = Registry("distance")


@rewards.register("paper")
def paper_reward(env: View, agent: int, change: Change) -> float:
    """Time penalty, shaping on the distance to the destination, bonus on arrival (section "environment" of the paper).

    The paper gives no coefficients. Ours are settings: with the defaults a 2 km trip of 200 s earns about
    0.1 * 2000 - 0.1 * 200 + 100 = 280.
    """
    settings = env.settings
    return (
        settings.progress_weight * (change.distance_before - change.distance_after)
        - settings.time_penalty * change.seconds
        + settings.arrival_bonus * change.arrived
    )


@rewards.register("sparse")
def sparse_reward(env: View, agent: int, change: Change) -> float:
    """Time penalty and arrival bonus, without shaping."""
    return env.settings.arrival_bonus * change.arrived - env.settings.time_penalty * change.seconds


@rewards.register("time")
def time_reward(env: View, agent: int, change: Change) -> float:
    """Minus the agent's own seconds, and nothing else."""
    return -env.settings.time_penalty * change.seconds


@rewards.register("fleet")
def fleet_reward(env: View, agent: int, change: Change) -> float:
    """Minus the mean seconds of all agents in the same step, those at home counting 0: what all together want."""
    return -env.settings.time_penalty * sum(env.seconds.values()) / len(env.scenario.agents)


@rewards.register("marginal")
def marginal_reward(env: View, agent: int, change: Change) -> float:
    """Minus the agent's own seconds and those that it costs the others.

    Taken as if the delay on a street grew in proportion to the vehicles on it: one more vehicle then adds to the others
    what it loses itself, so of its seconds the share that is delay (1 - free flow / current travel time, with the
    travel time cut as in the score) counts twice.
    """
    vehicle = env.fleet.vehicles[agent]
    if not change.seconds or change.arrived:
        return -env.settings.time_penalty * change.seconds
    street = vehicle.chosen[min(vehicle.position, len(vehicle.chosen) - 1)]
    takes = max(current_travel_time(env, agent, street), street.travel_time)
    return -env.settings.time_penalty * change.seconds * (2.0 - street.travel_time / takes)


@distances.register("straight")
def straight(env: View, agent: int, edge: Edge) -> float:
    """Metres as the crow flies from the edge's end."""
    return env.network.straight_distance(edge.to_junction, env.scenario.agents[agent].destination)


@distances.register("network")
def along_network(env: View, agent: int, edge: Edge) -> float:
    """Metres along the shortest legal path from the edge's end."""
    return float(env.network.distances_to(env.scenario.agents[agent].goal)[edge.index])


@distances.register("travel_time")
def free_flow_time(env: View, agent: int, edge: Edge) -> float:
    """Free-flow seconds along the fastest legal path from the edge's end."""
    return float(env.network.times_to(env.scenario.agents[agent].goal)[edge.index])
