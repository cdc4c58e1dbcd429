"""Who drives from where to where, and when; drawn from a seed and made again exactly from its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.runs.files import write_json
from leed_agentic.settings import ScenarioSettings

FORMAT = "leed-scenario"
FORMAT_VERSION = 1
MIN_START_LENGTH = 10.0
"""Metres: shorter edges do not hold a standing car (SUMO's default passenger car is 5 m, with 2.5 m gap)."""


@dataclass(frozen=True)
class AgentTrip:
    """One agent: departs at `departure` seconds on `start_edge` and wants to reach `destination`, a junction."""

    agent: int
    start_edge: str
    destination: str
    departure: float


@dataclass(frozen=True)
class BackgroundTrip:
    """A vehicle nobody controls, on its fastest route."""

    start_edge: str
    destination: str
    departure: float


@dataclass(frozen=True)
class Scenario:
    """The agents' trips and the background traffic on one map, with the seed they were drawn from."""

    map: str
    seed: int
    agents: tuple[AgentTrip, ...]
    background: tuple[BackgroundTrip, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> Scenario:
        """Raises UsageError when the data is not a scenario of this format version."""
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
            raise UsageError(
                f"This is not a scenario of format {FORMAT} {FORMAT_VERSION}; make it again with its seed."
            )
        try:
            agents = tuple(AgentTrip(**trip) for trip in data["agents"])
            if [trip.agent for trip in agents] != list(range(len(agents))):
                raise ValueError("agents must be numbered 0, 1, 2 ... in order")
            return cls(
                map=str(data["map"]),
                seed=int(data["seed"]),
                agents=agents,
                background=tuple(BackgroundTrip(**trip) for trip in data.get("background", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"The scenario is damaged ({type(error).__name__}: {error}); make it again.") from error

    def save(self, file: Path) -> None:
        """Raises UnwritableError when the file cannot be written."""
        write_json(file, self.to_json())

    @classmethod
    def load(cls, file: Path) -> Scenario:
        try:
            return cls.from_json(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UsageError(f"Cannot read the scenario {file}: {error}") from error

    def check(self, network: RoadNetwork) -> None:
        """Raises UsageError when a trip names an edge or junction the network does not have."""
        trips: Sequence[AgentTrip | BackgroundTrip] = (*self.agents, *self.background)
        for trip in trips:
            network.edge(trip.start_edge)
            network.junction(trip.destination)


def draw_scenario(
    network: RoadNetwork, settings: ScenarioSettings, seed: int, episode_seconds: float = 1000.0
) -> Scenario:
    """A scenario from a seed: distinct start edges, destinations at least `min_trip_share` of the map's diameter away.

    Args:
        episode_seconds: background vehicles depart within this time.

    Raises:
        UsageError: the map has fewer usable start edges than there are agents.
    """
    generator = np.random.default_rng([seed, 0x1EED])
    shortest = settings.min_trip_share * network.diameter
    starts = np.flatnonzero((network.lengths >= MIN_START_LENGTH) & (network.farthest >= shortest))
    if settings.agents > len(starts):
        raise UsageError(
            f"Map {network.name} holds at most {len(starts)} agents with trips of {shortest:.0f} s or more; "
            f"ask for fewer agents than {settings.agents}, a lower scenario.min_trip_share, or a larger map."
        )
    agents = []
    for agent, start in enumerate(generator.permutation(starts)[: settings.agents]):
        destination = generator.choice(_far_junctions(network, start, shortest))
        departure = float(np.floor(generator.uniform(0, settings.departure_window)))
        agents.append(AgentTrip(agent, network.edges[start].id, network.junctions[int(destination)].id, departure))
    background = []
    for _ in range(settings.background):
        start = generator.choice(starts)
        destination = generator.choice(_far_junctions(network, start, shortest))
        departure = float(np.floor(generator.uniform(0, episode_seconds)))
        background.append(BackgroundTrip(network.edges[start].id, network.junctions[int(destination)].id, departure))
    background.sort(key=lambda trip: trip.departure)
    return Scenario(network.name, seed, tuple(agents), tuple(background))


def _far_junctions(network: RoadNetwork, start: int, seconds: float) -> np.ndarray:
    """Indices of the junctions that are so far from the edge; the farthest alone where rounding leaves none."""
    times = network.trip_times(network.edges[start].id)
    far = np.flatnonzero(times >= seconds)
    return far if len(far) else np.array([times.argmax()])
