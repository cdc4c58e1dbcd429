"""What an agent sees (the paper's Table I), and the score of an edge it may take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np

from leed_agentic.registry import Registry
from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.traffic.view import View

Score = Callable[[View, int, Edge], float]
Observation = Callable[[View, int], np.ndarray]
Columns = Callable[[int], Iterable[int]]

LONGEST_WAIT = 90.0
"""Seconds that standing cars may add to a street: SUMO reads one car at a red light as hours."""

scores: Registry[Score] = Registry("score")
observations: Registry[Observation] = Registry("observation")


def junctions_in(columns: Columns) -> Callable[[Observation], Observation]:
    """Decorator of an observation that says which of its columns hold a junction's index (-1: none).

    Networks learn badly from an index taken as a size, so they look these columns up; all others are compressed.

    Args:
        columns: from the observation's length to the columns.
    """

    def mark(observation: Observation) -> Observation:
        observation.junction_columns = columns  # type: ignore[attr-defined]
        return observation

    return mark


def junction_columns(observation: Observation, size: int) -> tuple[int, ...]:
    """The columns of an observation of this length that hold junctions; none where it does not say so."""
    columns: Columns = getattr(observation, "junction_columns", lambda size: ())
    return tuple(columns(size))


@observations.register("table1")
@junctions_in(lambda size: (0, 1, *range(3, size, 2)))
def table1(env: View, agent: int) -> np.ndarray:
    """[current junction, destination junction, (score, end junction) of each available edge], shape (2 + 2m,), float32.

    Junctions are their index on the map. Slots without an edge hold score 0 and junction -1.
    """
    edge = env.current_edge(agent)
    row = _without_scores(env.network, edge.index, env.scenario.agents[agent].destination).copy()
    for slot, successor in enumerate(env.network.following[edge.index]):
        row[2 + 2 * slot] = env.score(env, agent, successor)
    return row


@lru_cache(maxsize=16384)
def _without_scores(network: RoadNetwork, edge_index: int, destination: str) -> np.ndarray:
    """Table I's row at the end of an edge, scores at 0: all that does not change from one decision to the next."""
    row = np.zeros(2 + 2 * network.max_successors, dtype=np.float32)
    row[3::2] = -1.0
    row[0] = network.junction(network.edges[edge_index].to_junction).index
    row[1] = network.junction(destination).index
    for slot, successor in enumerate(network.following[edge_index]):
        row[3 + 2 * slot] = network.junction(successor.to_junction).index
    return row


@scores.register("travel_time")
def current_travel_time(env: View, agent: int, edge: Edge) -> float:
    """Seconds the edge takes at the mean speed of the vehicles on it now, at most LONGEST_WAIT above free flow."""
    return min(float(env.simulation.api.edge.getTraveltime(edge.id)), edge.travel_time + LONGEST_WAIT)


@scores.register("sumo_travel_time")
def sumo_travel_time(env: View, agent: int, edge: Edge) -> float:
    """The same as SUMO reads it, to which one car at a red light is hours."""
    return float(env.simulation.api.edge.getTraveltime(edge.id))


@scores.register("vehicles")
def vehicles(env: View, agent: int, edge: Edge) -> float:
    """Number of vehicles on the edge now."""
    return float(env.simulation.api.edge.getLastStepVehicleNumber(edge.id))


@scores.register("straight")
def straight(env: View, agent: int, edge: Edge) -> float:
    """Metres as the crow flies from the edge's end to the agent's destination."""
    return env.network.straight_distance(edge.to_junction, env.scenario.agents[agent].destination)


@scores.register("network")
def along_network(env: View, agent: int, edge: Edge) -> float:
    """Metres along the shortest legal path from the edge's end to the destination: with it routing is an argmin."""
    return float(env.network.distances_to(env.scenario.agents[agent].goal)[edge.index])
