"""Which encoding of junctions carries over to trips that were never drawn: one network imitates shortest paths of ever
new trips on the graph alone, no SUMO, then drives new ones.

python benchmarks/encodings.py [--map portland] [--episodes 300] [--kinds codes,onehot,places] [--rate 3e-4]
    [--epochs 4]
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise

import numpy as np
import torch

from leed_agentic.learning.encoding import Encoding
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.settings import load_settings
from leed_agentic.traffic.scenario import AgentTrip, draw_scenario

LONGEST = 5.0
"""A drive that takes more times its shortest path counts as not arrived."""
TESTS = range(1_000_000, 1_000_030)
"""Seeds of the scenarios that training never draws."""


def observed(network: RoadNetwork, edge: int, destination: str) -> tuple[np.ndarray, np.ndarray]:
    """Table I's row at the end of an edge with free-flow seconds as scores, and the mask, shape (m,)."""
    actions = network.max_successors
    row, mask = np.zeros(2 + 2 * actions, np.float32), np.zeros(actions, bool)
    row[3::2] = -1
    row[:2] = (
        network.junction(network.edges[edge].to_junction).index,
        network.junction(destination).index,
    )
    for slot, following in enumerate(network.following[edge]):
        row[2 + 2 * slot : 4 + 2 * slot] = following.travel_time, network.junction(following.to_junction).index
        mask[slot] = True
    return row, mask


def demonstrated(network: RoadNetwork, trip: AgentTrip) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Observation, mask and action of every decision on a trip's shortest path."""
    path = [index_of(network, edge) for edge in network.shortest_path(trip.start_edge, trip.goal)]
    rows = []
    for edge, following in pairwise(path):
        taken = [successor.index for successor in network.following[edge]].index(following)
        rows.append((*observed(network, edge, trip.destination), taken))
    return rows


def index_of(network: RoadNetwork, edge: str) -> int:
    return network.edge(edge).index


def driven(
    network: RoadNetwork, trip: AgentTrip, policy: torch.nn.Module, encoding: Encoding, chance: torch.Generator
) -> float | None:
    """Seconds over those of the shortest path, actions drawn from the policy; None where it does not arrive."""
    shortest = sum(network.edge(edge).travel_time for edge in network.shortest_path(trip.start_edge, trip.goal))
    edge = index_of(network, trip.start_edge)
    seconds = network.edges[edge].travel_time
    while network.edges[edge].to_junction != trip.destination:
        if seconds > LONGEST * shortest:
            return None
        row, mask = observed(network, edge, trip.destination)
        with torch.no_grad():
            logits = policy(torch.from_numpy(encoding(row[None])))[0].masked_fill(~torch.from_numpy(mask), -1e9)
        edge = network.following[edge][int(torch.multinomial(logits.softmax(0), 1, generator=chance))].index
        seconds += network.edges[edge].travel_time
    return seconds / shortest


def measure(network: RoadNetwork, kind: str, episodes: int, epochs: int, rate: float) -> dict[str, float | str]:
    settings = load_settings(
        overrides={"map.name": network.name, "scenario.agents": 10, "scenario.min_trip_share": 0.6}, environment={}
    )
    size, places = 2 + 2 * network.max_successors, np.array([(j.x, j.y) for j in network.junctions])
    encoding = Encoding(size, (0, 1, *range(3, size, 2)), len(places), kind, places=places)
    torch.manual_seed(0)
    layer, relu = torch.nn.Linear, torch.nn.ReLU
    policy = torch.nn.Sequential(
        layer(encoding.size, 128), relu(), layer(128, 128), relu(), layer(128, network.max_successors)
    )
    optimiser = torch.optim.Adam(policy.parameters(), lr=rate)
    for episode in range(episodes):
        trips = draw_scenario(network, settings.scenario, episode, 1000.0).agents
        observations, masks, actions = zip(*(row for trip in trips for row in demonstrated(network, trip)), strict=True)
        inputs, legal = torch.from_numpy(encoding(np.array(observations))), torch.from_numpy(np.array(masks))
        for _ in range(epochs):
            logits = policy(inputs).masked_fill(~legal, -1e9)
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(actions))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    chance = torch.Generator().manual_seed(0)
    tests = [trip for seed in TESTS for trip in draw_scenario(network, settings.scenario, seed, 1000.0).agents]
    ratios = [driven(network, trip, policy, encoding, chance) for trip in tests]
    arrived = [ratio for ratio in ratios if ratio is not None]
    ratio = float(np.mean(arrived)) if arrived else float("nan")
    return {"kind": kind, "inputs": encoding.size, "arrived": len(arrived) / len(tests), "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="braunschweig")
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--kinds", default="codes,onehot,places")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = open_map(options.map, load_settings(overrides={"map.name": options.map}, environment={}).map)
    rows = [measure(network, kind, options.episodes, options.epochs, options.rate) for kind in options.kinds.split(",")]
    print(f"{'encoding':>10}{'inputs':>8}{'arrived':>9}{'ratio':>7}")
    for row in rows:
        print(f"{row['kind']:>10}{row['inputs']:>8}{row['arrived']:>9.0%}{row['ratio']:>7.2f}")
    print(json.dumps({"benchmark": "encodings", "map": options.map, "python": sys.version.split()[0], "rows": rows}))


if __name__ == "__main__":
    main()
