"""What an agent is paid, and how far it is from its destination. Each is a small registered function."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from leed_agentic.registry import Registry
from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.settings import EnvironmentSettings


class Change(NamedTuple):
    """What happened to one agent in one environment step."""

    seconds: float
    """Simulated seconds it was on its way."""
    distance_before: float
    distance_after: float
    """Distance from the end of its last chosen edge to the destination, before and after its choice."""
    arrived: bool


RewardFunction = Callable[[Change, EnvironmentSettings], float]
DistanceFunction = Callable[[RoadNetwork, Edge, str], float]

rewards: Registry[RewardFunction] = Registry("reward")
distances: Registry[DistanceFunction] = Registry("distance")


@rewards.register("paper")
def paper_reward(change: Change, settings: EnvironmentSettings) -> float:
    """Time penalty, shaping on the distance to the destination, bonus on arrival (section "environment" of the paper).

    The paper gives no coefficients. Ours are settings: with the defaults a 2 km trip of 200 s earns about
    0.1 * 2000 - 0.1 * 200 + 100 = 280.
    """
    return (
        settings.progress_weight * (change.distance_before - change.distance_after)
        - settings.time_penalty * change.seconds
        + settings.arrival_bonus * change.arrived
    )


@rewards.register("sparse")
def sparse_reward(change: Change, settings: EnvironmentSettings) -> float:
    """Time penalty and arrival bonus, without shaping."""
    return settings.arrival_bonus * change.arrived - settings.time_penalty * change.seconds


@distances.register("straight")
def straight(network: RoadNetwork, edge: Edge, destination: str) -> float:
    """Metres as the crow flies from the edge's end."""
    return network.straight_distance(edge.to_junction, destination)


@distances.register("network")
def along_network(network: RoadNetwork, edge: Edge, destination: str) -> float:
    """Metres along the shortest legal path from the edge's end."""
    return float(network.distances_to(destination)[edge.index])


@distances.register("travel_time")
def free_flow_time(network: RoadNetwork, edge: Edge, destination: str) -> float:
    """Free-flow seconds along the fastest legal path from the edge's end."""
    return float(network.times_to(destination)[edge.index])
