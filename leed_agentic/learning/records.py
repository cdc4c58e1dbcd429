"""Files of `leed train` and `leed evaluate`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, cast

from pydantic import ConfigDict, Field, create_model
from typing_extensions import TypedDict

from leed_agentic.learning.metrics import METRICS
from leed_agentic.runs.record import Cell, Versions, record
from leed_agentic.traffic.measures import FleetFigures
from leed_agentic.traffic.records import ScenarioFile


@record
class RunFile(TypedDict):
    """What a training run is made with; `leed train --resume` reads it."""

    format: Literal["leed-run"]
    version: Literal[2]
    settings: dict[str, Any]
    """All of them, as in settings, with every one of the algorithm's own."""
    scenario: ScenarioFile
    metrics: list[dict[str, Any]]
    """What the algorithm measures that metrics.csv of other algorithms does not have: name, label, unit, share ..."""
    versions: Versions
    extended_at: NotRequired[list[int]]
    """The numbers of episodes at which it was to end before it was extended."""


MetricsLine = create_model(
    "MetricsLine",
    __config__=ConfigDict(extra="allow"),
    __doc__="One episode. Equal to the bit for equal seeds and settings on one machine. Then come reward_0, reward_1 "
    "... and alpha_0, alpha_1 ..., one per agent.",
    episode=int,
    **cast(Any, {metric.name: (Cell, Field(description=metric.meaning)) for metric in METRICS}),
)


@record
class TimingLine(TypedDict):
    """Wall-clock seconds of one episode."""

    episode: int
    seconds_simulation: float
    seconds_demonstrations: float
    seconds_learning: float
    seconds: float


@record
class TriggerLine(TypedDict):
    """One question to the source of demonstrations."""

    episode: int
    source: str
    ok: int
    """1: new demonstrations came."""
    failure: str
    """Why not."""
    agents: int
    """With a demonstration now."""
    validity: Cell
    """Share of the routes asked for that were valid."""
    rounds: Cell
    """Plans made."""
    memory: Cell
    """Turns of conversation and streets ruled out that the source remembers."""
    expert_reward_mean: Cell
    dtw_before: Cell
    """Metres from the experts of before to the agents."""
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    calls_total: int
    input_tokens_total: int
    output_tokens_total: int
    seconds_total: float


@record
class TrainingSummary(TypedDict):
    """The figures of a training run; what `--json` prints."""

    run: str
    algorithm: str
    source: str
    map: str
    agents: int
    episodes: int
    reward_first20: float
    """Mean reward of the first 20 episodes."""
    reward_last20: float
    arrival_rate_last20: float
    decisions: int
    simulated_seconds: float
    seconds_simulation: float
    seconds_demonstrations: float
    seconds_learning: float
    seconds: float
    decisions_per_second: float
    triggers: int
    source_failures: int
    calls: int
    input_tokens: int
    output_tokens: int


class DriverRecord(TypedDict):
    """One driver over all episodes; null stands for a figure that nothing was measured for."""

    driver: str
    agents: int
    """Whose figures count."""
    reward_mean: float
    reward_std: float | None
    """Over episodes, n - 1."""
    reward_interval: list[float] | None
    """Of held-out scenarios: 95 % t interval over scenarios."""
    arrival_rate: float
    arrival_interval: list[float] | None
    travel_seconds_mean: float | None
    travel_time_ratio: float | None
    """To the shortest path of the same seed."""
    fleet: FleetFigures
    """By SUMO, the mean over episodes; those who did not arrive count to the end."""
    gain: float | None
    """In traffic, by mean seconds: 0 is the free-flow shortest path, 1 duaIterate. Else, by reward: 0 is random, 1 the
    shortest path. Null where the two are alike or were not driven."""
    teleports: int
    collisions: int
    rewards: list[float]
    """Per episode."""
    failure: NotRequired[str]
    """Why the run is not what its algorithm is named after; absent where it is."""


@record
class EvaluationFile(TypedDict):
    """How a run's policies drive, next to drivers that learned nothing."""

    format: Literal["leed-evaluation"]
    version: Literal[1]
    run: str
    algorithm: str
    trained_episodes: int
    deterministic: bool
    map: str
    agents: int
    agent_ids: list[str]
    """As the demand names them; of held-out scenarios those of the run's own."""
    driver_noise: float
    episodes: int
    seeds: list[int]
    drivers: list[DriverRecord]
    held_out: bool
    """Whether each episode is a scenario that training never drew."""
    versions: Versions
