"""What an agent sees (the paper's Table I), and the score of an edge it may take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np

from leed_agentic.registry import Registry
from leed_agentic.roads.edges import Edge
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.view import View

Score = Callable[[View, int, Edge], float]
Observation = Callable[[View, int], np.ndarray]
Columns = Callable[[int], Iterable[int]]
Range = Callable[[RoadNetwork], tuple[float, float]]
Bounds = Callable[[RoadNetwork, Score], tuple[np.ndarray, np.ndarray]]

LONGEST_WAIT = 90.0
"""Seconds that standing cars may add to a street: SUMO reads one car at a red light as hours."""

LARGEST = 1e9
"""Bound of what says of itself no other: trainers want finite bounds, and float32 counts further."""

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


def ranges(found: Range) -> Callable[[Score], Score]:
    """Decorator of a score that says its least and largest value on a map."""

    def mark(score: Score) -> Score:
        score.range = found  # type: ignore[attr-defined]
        return score

    return mark


def bounded(found: Bounds) -> Callable[[Observation], Observation]:
    """Decorator of an observation that says the bounds of its columns: two arrays of its length, low and high."""

    def mark(observation: Observation) -> Observation:
        observation.bounds = found  # type: ignore[attr-defined]
        return observation

    return mark


def range_of(score: Score, network: RoadNetwork) -> tuple[float, float]:
    """A score's least and largest value; +-LARGEST where it says nothing of them."""
    found: Range = getattr(score, "range", lambda network: (-LARGEST, LARGEST))
    return found(network)


def observation_bounds(
    observation: Observation, score: Score, network: RoadNetwork
) -> tuple[np.ndarray, np.ndarray] | None:
    """The bounds of an observation's columns, float32; None where it does not say them."""
    found: Bounds | None = getattr(observation, "bounds", None)
    return None if found is None else found(network, score)


def junction_columns(observation: Observation, size: int) -> tuple[int, ...]:
    """The columns of an observation of this length that hold junctions; none where it does not say so."""
    columns: Columns = getattr(observation, "junction_columns", lambda size: ())
    return tuple(columns(size))


def _table1_bounds(network: RoadNetwork, score: Score) -> tuple[np.ndarray, np.ndarray]:
    least, largest = range_of(score, network)
    low = np.full(2 + 2 * network.max_successors, -1.0, dtype=np.float32)
    high = np.full(len(low), len(network.junctions) - 1.0, dtype=np.float32)
    low[:2] = 0.0
    # Empty slots hold score 0.
    low[2::2], high[2::2] = min(least, 0.0), max(largest, 0.0)
    return low, high


@observations.register("table1")
@bounded(_table1_bounds)
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
@ranges(lambda network: (0.0, float(max(network.travel_times)) + LONGEST_WAIT))
def current_travel_time(env: View, agent: int, edge: Edge) -> float:
    """Seconds the edge takes at the mean speed of the vehicles on it now, at most LONGEST_WAIT above free flow."""
    return min(float(env.simulation.api.edge.getTraveltime(edge.id)), edge.travel_time + LONGEST_WAIT)


@scores.register("sumo_travel_time")
@ranges(lambda network: (0.0, LARGEST))
def sumo_travel_time(env: View, agent: int, edge: Edge) -> float:
    """The same as SUMO reads it, to which one car at a red light is hours."""
    return float(env.simulation.api.edge.getTraveltime(edge.id))


@scores.register("vehicles")
@ranges(lambda network: (0.0, LARGEST))
def vehicles(env: View, agent: int, edge: Edge) -> float:
    """Number of vehicles on the edge now."""
    return float(env.simulation.api.edge.getLastStepVehicleNumber(edge.id))


@scores.register("straight")
@ranges(lambda network: (0.0, float(np.linalg.norm(np.ptp([(j.x, j.y) for j in network.junctions], axis=0)))))
def straight(env: View, agent: int, edge: Edge) -> float:
    """Metres as the crow flies from the edge's end to the agent's destination."""
    return env.network.straight_distance(edge.to_junction, env.scenario.agents[agent].destination)


@scores.register("network")
@ranges(lambda network: (0.0, sum(edge.length for edge in network.edges)))
def along_network(env: View, agent: int, edge: Edge) -> float:
    """Metres along the shortest legal path from the edge's end to the destination: with it routing is an argmin."""
    return float(env.network.distances_to(env.scenario.agents[agent].goal)[edge.index])
