"""Scenarios, routes and drives as they lie in files; their writers are scenario, demonstration and trajectory."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from leed_agentic.runs.record import Versions, record
from leed_agentic.traffic.closures import Closure
from leed_agentic.traffic.demonstration import Round
from leed_agentic.traffic.scenario import AgentTrip, BackgroundTrip, VehicleType

Routes = dict[str, list[str]]
"""Agent number to edge ids, the start edge first."""


class ScenarioFile(TypedDict):
    """Who drives from where to where, and when; times in seconds. What has its default is left out."""

    format: Literal["leed-scenario"]
    version: Literal[2]
    map: str
    """Name of the map."""
    seed: int
    """What the trips were drawn from."""
    agents: list[AgentTrip]
    """Numbered from 0, in order."""
    background: list[BackgroundTrip]
    types: NotRequired[list[VehicleType]]
    closures: NotRequired[list[Closure]]
    begin: NotRequired[float]
    """When the clock starts: a whole second, before every departure."""
    rerouting: NotRequired[bool]
    """Whether the others look for a faster way as they drive (SUMO's rerouting device)."""


class Provenance(TypedDict):
    """Where the routes come from; a field is left out where its writer does not know it."""

    model: NotRequired[str]
    """As it is named to people; a stand-in or replay says so."""
    planning: NotRequired[str | None]
    """fleet, agent or junction."""
    prompts: NotRequired[dict[str, str]]
    """Template to its SHA-256."""
    feedback: NotRequired[str]
    """Feedback strategy."""
    seed: NotRequired[int]
    attribution: NotRequired[str]
    """Credit of the map data."""
    versions: NotRequired[Versions]
    stopped: NotRequired[str | None]
    """Why the run ended early."""
    source: NotRequired[str]
    """In a training run: the source."""
    episode: NotRequired[int]
    """In a training run: the episode that asked."""


@record
class DemonstrationsFile(TypedDict):
    """Validated routes, how they came about and where they come from. A training run keeps such files in
    demonstrations/, one per answer of its source. Read by `leed train --demonstrations`, `leed demo check` and
    `leed evaluate --demonstrations`."""

    format: Literal["leed-demonstrations"]
    version: Literal[1]
    scenario: ScenarioFile
    routes: Routes
    """Valid ones: the last edge ends at the destination."""
    rounds: NotRequired[list[Round]]
    """None where no model planned."""
    provenance: Provenance
    cut_short: NotRequired[Routes]
    """Driven, but the episode ended before the destination."""
    rewards: NotRequired[dict[str, float]]
    """Agent to what its demonstration earned."""


class TrajectoryRecord(TypedDict):
    """One agent's T decisions. d is the size of an observation, m the number of actions."""

    agent: int
    route: list[str]
    """T + 1 edges, the start edge first."""
    arrived: bool
    travel_seconds: float | None
    """From planned departure to arrival."""
    arrival: float | None
    """The second of the scenario's clock that SUMO gives as its arrival."""
    actions: list[int]
    """T: which legal next edge."""
    rewards: list[float]
    """T: earned from a decision until the next."""
    times: list[float]
    """T: simulated seconds."""
    positions: list[list[float]]
    """(T + 1, 2): metres, end junction of each edge."""
    observations: list[list[float]]
    """(T, d)."""
    masks: list[list[int]]
    """(T, m): 1 for a legal action."""
    last_observation: list[float]
    """d: what it would decide on next."""
    last_mask: NotRequired[list[int] | None]
    """m: what is legal there."""


@record
class TrajectoriesFile(TypedDict):
    """What every agent did in one episode: the plan as driven, or a training run's latest episode at a checkpoint."""

    format: Literal["leed-trajectories"]
    version: Literal[1]
    scenario: ScenarioFile
    trajectories: list[TrajectoryRecord]
