"""What an agent sees (the paper's Table I), and the score of an edge it may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from leed_agentic.registry import Registry
from leed_agentic.roads.network import Edge

if TYPE_CHECKING:
    from leed_agentic.traffic.environment import RouteEnv

Score = Callable[["RouteEnv", int, Edge], float]
Observation = Callable[["RouteEnv", int], np.ndarray]

scores: Registry[Score] = Registry("score")
observations: Registry[Observation] = Registry("observation")


@observations.register("table1")
def table1(env: RouteEnv, agent: int) -> np.ndarray:
    """[current junction, destination junction, (score, end junction) of each available edge], shape (2 + 2m,), float32.

    Junctions are their index on the map. Slots without an edge hold score 0 and junction -1.
    """
    network = env.network
    edge = env.current_edge(agent)
    row = np.zeros(2 + 2 * network.max_successors, dtype=np.float32)
    row[3::2] = -1.0
    row[0] = network.junction(edge.to_junction).index
    row[1] = network.junction(env.scenario.agents[agent].destination).index
    for slot, successor_id in enumerate(edge.successors):
        successor = network.edge(successor_id)
        row[2 + 2 * slot] = env.score(env, agent, successor)
        row[3 + 2 * slot] = network.junction(successor.to_junction).index
    return row


@scores.register("travel_time")
def current_travel_time(env: RouteEnv, agent: int, edge: Edge) -> float:
    """Seconds the edge takes at the mean speed of the vehicles on it now (SUMO's edge travel time)."""
    return float(env.simulation.api.edge.getTraveltime(edge.id))


@scores.register("vehicles")
def vehicles(env: RouteEnv, agent: int, edge: Edge) -> float:
    """Number of vehicles on the edge now."""
    return float(env.simulation.api.edge.getLastStepVehicleNumber(edge.id))


@scores.register("straight")
def straight(env: RouteEnv, agent: int, edge: Edge) -> float:
    """Metres as the crow flies from the edge's end to the agent's destination."""
    return env.network.straight_distance(edge.to_junction, env.scenario.agents[agent].destination)


@scores.register("network")
def along_network(env: RouteEnv, agent: int, edge: Edge) -> float:
    """Metres along the shortest legal path from the edge's end to the destination: with it routing is an argmin."""
    return float(env.network.distances_to(env.scenario.agents[agent].destination)[edge.index])
