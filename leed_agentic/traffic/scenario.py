"""Who drives from where to where, and when: trips, vehicle types and closures, made again from their JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import Destination, Edge, Goal
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.runs.files import check_plain, write_json
from leed_agentic.setting_groups import ScenarioSettings
from leed_agentic.traffic.closures import Closure

FORMAT = "leed-scenario"
FORMAT_VERSION = 2
MIN_START_LENGTH = 10.0
"""Metres: shorter edges do not hold a standing car (SUMO's default passenger car is 5 m, with 2.5 m gap)."""
HUBS = 3
"""Junctions nearest the middle of the map that the pattern hub leads to."""
SIDE = 0.3
"""Share of the map's width, from its western and its eastern edge, that the pattern cross leads between."""
VEHICLE_TYPE = "leed"
"""The passenger car of drawn trips, and of vehicles whose file names no type."""


@dataclass(frozen=True, kw_only=True)
class _Vehicle:
    """What a trip may say of its vehicle; the attributes are SUMO's, such as {"departLane": "best"}."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    id: str = ""
    destination_edge: str | None = None
    """The edge at whose end it arrives; None: any that ends at the destination."""
    type: str = VEHICLE_TYPE
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentTrip(_Vehicle):
    """One agent: departs at `departure` seconds on `start_edge` and wants to reach `destination`, a junction."""

    agent: int
    start_edge: str
    destination: str
    departure: float

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", f"agent_{self.agent}")

    @property
    def goal(self) -> Destination:
        """Where paths lead."""
        return Goal(self.destination, self.destination_edge) if self.destination_edge else self.destination

    def ends_at(self, edge: Edge) -> bool:
        """Whether the trip is over at the end of this edge."""
        return edge.to_junction == self.destination and self.destination_edge in (None, edge.id)


@dataclass(frozen=True)
class BackgroundTrip(_Vehicle):
    """A vehicle nobody controls, on its route, or without one on its fastest path."""

    start_edge: str
    destination: str
    departure: float
    route: tuple[str, ...] = ()

    @property
    def goal(self) -> Destination:
        return Goal(self.destination, self.destination_edge) if self.destination_edge else self.destination


@dataclass(frozen=True)
class VehicleType:
    """A vehicle type in SUMO's words: attributes of its vType, and the parameters in it."""

    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """The agents' trips and everybody else's on one map, with the seed they were drawn from; times in seconds."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    map: str
    seed: int
    agents: tuple[AgentTrip, ...]
    background: tuple[BackgroundTrip, ...] = ()
    types: tuple[VehicleType, ...] = ()
    closures: tuple[Closure, ...] = ()
    begin: float = 0.0
    """When the clock starts: a whole second, before every departure."""
    rerouting: bool = False
    """Whether the others look for a faster way as they drive (SUMO's rerouting device)."""

    def name_of(self, agent: int) -> str:
        """What a person calls an agent: its id where the demand gave it one, else its number."""
        name = self.agents[agent].id
        return str(agent) if name == f"agent_{agent}" else name

    def named(self, text: str) -> str:
        """A message for a person, with the demand's ids where it says agent 3; models are told numbers."""

        def name(found: re.Match[str]) -> str:
            number = int(found[1])
            known = number < len(self.agents) and self.name_of(number)
            return known if known and known != found[1] else found[0]

        return re.sub(r"\b[Aa]gent (\d{1,9})\b", name, text)

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, and the four fields that every scenario has."""
        data = {name: value for name, value in _short(self).items() if name != "agents"}
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **data,
            "agents": [_short(trip) for trip in self.agents],
            "background": [_short(trip) for trip in self.background],
        }

    @classmethod
    def from_json(cls, data: Any) -> Scenario:
        """Raises UsageError when the data is not a scenario of this format."""
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") not in (1, FORMAT_VERSION):
            raise UsageError(
                f"This is not a scenario of format {FORMAT} {FORMAT_VERSION}; make it again with its seed."
            )
        # Version 1 is a scenario without the fields that came later.
        content = {name: value for name, value in data.items() if name not in ("format", "version")}
        try:
            scenario: Scenario = _adapter().validate_python(content)
            if [trip.agent for trip in scenario.agents] != list(range(len(scenario.agents))):
                raise ValueError("agents must be numbered 0, 1, 2 ... in order")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"The scenario is damaged ({where}: {first['msg']}); make it again.") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"The scenario is damaged ({error}); make it again.") from error
        others = tuple(t if t.id else replace(t, id=f"background_{k}") for k, t in enumerate(scenario.background))
        return replace(scenario, background=others)

    def save(self, file: Path) -> None:
        """Raises UnwritableError when the file cannot be written."""
        write_json(file, self.to_json())

    @classmethod
    def load(cls, file: Path) -> Scenario:
        """A scenario that `save` wrote. Raises UsageError where the file is none."""
        try:
            data = json.loads(check_plain(file).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"Cannot read the scenario {file}: {error}") from error
        return cls.from_json(data)

    @property
    def vehicles(self) -> Iterator[AgentTrip | BackgroundTrip]:
        """The agents, then the others."""
        yield from self.agents
        yield from self.background

    def check(self, network: RoadNetwork) -> None:
        """Raises UsageError when a trip names an edge, junction or type there is none of, or two have one id."""
        known = {VEHICLE_TYPE, *(kind.id for kind in self.types)}
        names: set[str] = set()
        for trip in self.vehicles:
            if trip.id in names:
                raise UsageError(f"Two vehicles have the id {trip.id!r}; give each its own.")
            names.add(trip.id)
            if trip.type not in known:
                raise UsageError(f"Vehicle {trip.id!r} is of type {trip.type!r}, which nothing defines; add its vType.")
            if trip.departure < self.begin:
                raise UsageError(f"Vehicle {trip.id!r} departs at {trip.departure:g} s, before {self.begin:g} s.")
            if isinstance(trip, BackgroundTrip) and trip.route:
                # It may use streets that no agent can: those of another vehicle class, or beyond the connected ones.
                for edge in trip.route:
                    if network.allows(edge) is None:
                        network.edge(edge)
                continue
            network.edge(trip.start_edge)
            network.junction(trip.destination)
            if trip.destination_edge and network.edge(trip.destination_edge).to_junction != trip.destination:
                raise UsageError(
                    f"Vehicle {trip.id!r}: edge {trip.destination_edge} does not end at {trip.destination}."
                )


def _short(item: Any) -> dict[str, Any]:
    """A record as JSON without what is as by default; an agent's id without its number says nothing new."""
    kept = {}
    for spec in fields(item):
        value = getattr(item, spec.name)
        if spec.name in ("agents", "background"):
            continue
        if value == spec.default or (spec.default_factory is dict and not value):
            continue
        if spec.name == "id" and value == f"agent_{getattr(item, 'agent', None)}":
            continue
        if spec.name in ("types", "closures"):
            value = [asdict(entry) for entry in value]
        kept[spec.name] = list(value) if isinstance(value, tuple) else value
    return kept


@cache
def _adapter() -> TypeAdapter[Scenario]:
    return TypeAdapter(Scenario)


def draw_scenario(
    network: RoadNetwork, settings: ScenarioSettings, seed: int, episode_seconds: float = 1000.0
) -> Scenario:
    """A scenario from a seed, its destinations at least `min_trip_share` of the map's diameter away.

    Agents start on different edges as long as there are enough. Patterns: `uniform`, anywhere to anywhere; `hub`, to
    the HUBS junctions nearest the middle; `cross`, from the western to the eastern SIDE of the map.

    Args:
        episode_seconds: background vehicles depart within this time, unless departures are a peak.

    Raises:
        UsageError: the map has no start from which a trip of the pattern is long enough.
    """
    generator = np.random.default_rng([seed, 0x1EED])
    shortest = settings.min_trip_share * network.diameter
    ends, goals = _pattern(network, settings.pattern)
    starts = np.flatnonzero((network.lengths >= MIN_START_LENGTH) & (network.farthest >= shortest) & ends)
    if settings.pattern != "uniform":
        reaching = [len(_far_junctions(network, int(start), shortest, goals)) > 0 for start in starts]
        starts = starts[np.array(reaching, dtype=bool)]
    if not len(starts):
        raise UsageError(
            f"Map {network.name} has no trip of {shortest:.0f} s or more in the pattern {settings.pattern}; "
            "ask for a lower scenario.min_trip_share, the pattern uniform, or a larger map."
        )
    order = [generator.permutation(starts) for _ in range(-(-settings.agents // len(starts)))]
    agents = []
    for agent, start in enumerate(np.concatenate(order)[: settings.agents]):
        destination = generator.choice(_far_junctions(network, start, shortest, goals))
        departure = _departure(generator, settings, settings.departure_window)
        agents.append(AgentTrip(agent, network.edges[start].id, network.junctions[int(destination)].id, departure))
    drawn = []
    for _ in range(settings.background):
        start = generator.choice(starts)
        destination = generator.choice(_far_junctions(network, start, shortest, goals))
        departure = _departure(generator, settings, episode_seconds)
        drawn.append((departure, network.edges[start].id, network.junctions[int(destination)].id))
    drawn.sort(key=lambda trip: trip[0])
    background = [BackgroundTrip(s, d, t, id=f"background_{k}") for k, (t, s, d) in enumerate(drawn)]
    rerouting = settings.background_routes == "rerouting"
    return Scenario(network.name, seed, tuple(agents), tuple(background), rerouting=rerouting)


def _departure(generator: np.random.Generator, settings: ScenarioSettings, seconds: float) -> float:
    """A whole second, drawn evenly from so many, or from the peak that is everybody's."""
    if settings.departures == "peak" and settings.departure_window:
        window = settings.departure_window
        return float(np.floor(generator.triangular(0, window / 2, window)))
    return float(np.floor(generator.uniform(0, seconds)))


def _pattern(network: RoadNetwork, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges that trips of a pattern may start on and junctions they may lead to: bool, (edges,) and (junctions,)."""
    places = np.array([(j.x, j.y) for j in network.junctions])
    ends, goals = np.ones(len(network.edges), dtype=bool), np.ones(len(places), dtype=bool)
    if pattern == "hub":
        middle = (places.min(axis=0) + places.max(axis=0)) / 2
        goals[:] = False
        goals[np.argsort(np.hypot(*(places - middle).T), kind="stable")[:HUBS]] = True
    elif pattern == "cross":
        west, width = places[:, 0].min(), np.ptp(places[:, 0])
        ends = network.end_points[:, 0] <= west + SIDE * width
        goals = places[:, 0] >= west + (1 - SIDE) * width
    return ends, goals


def _far_junctions(network: RoadNetwork, start: int, seconds: float, goals: np.ndarray) -> np.ndarray:
    """Indices of the goals that are so far from the edge; if all are goals and rounding leaves none, the farthest."""
    times = network.trip_times(network.edges[start].id)
    far = np.flatnonzero((times >= seconds) & goals)
    return far if len(far) or not goals.all() else np.array([times.argmax()])
