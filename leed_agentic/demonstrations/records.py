"""The figures of a run of the graph, as they lie in its folder."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from leed_agentic.runs.record import record
from leed_agentic.traffic.measures import FleetFigures


@record
class RuleFound(TypedDict):
    """A rule and what the drive of the result showed of it."""

    rule: str
    met: bool
    found: str
    """By whom it is broken; empty when it is met."""


@record
class Traffic(TypedDict):
    """Mean seconds of the agents from planned departure to arrival; who does not arrive counts to the end."""

    objective: str
    """fleet or everybody: whose mean is to fall."""
    kept: str
    """The plan that is the result: a round, or the baseline that no round was better than."""
    fleet_time: float
    others_time: float | None
    """Of the other vehicles; null: there are none."""
    unfinished: float
    """Vehicles, a drive."""
    teleports: float
    """A drive."""
    baselines: dict[str, float]
    """Of each baseline that the plans had to beat."""
    noise_seeds: int
    """Noisy drives that judged each plan; 0: one calm drive."""
    rules: list[RuleFound]
    """Of a person, if any: whether the result meets them."""
    sumo_runs: int


@record
class AgentDelay(TypedDict):
    """What an agent lost on the drive of the result, in seconds, against driving alone."""

    agent: int
    lost: float
    """In all."""
    insertion: float
    """Before there was room on its first street."""
    where: list[dict[str, Any]]
    """The streets on which it lost most: street, second of entry, seconds lost, number of others there."""


@record
class StreetTime(TypedDict):
    """A street in an interval of 30 s, by entry; nothing where nobody drove."""

    street: str
    begin: float
    seconds: float
    """Mean time on the street."""
    lost: float
    """Mean seconds beyond free flow."""
    flow: float
    """Vehicles that entered, a drive."""
    queue: float
    """Vehicles that stood there, on average."""


@record
class TrafficRecord(TypedDict):
    """What the drives of a fleet in traffic showed."""

    rounds: list[dict[str, Any]]
    """Every plan driven, baselines first: name, score, mean seconds of fleet and others, unfinished, teleports,
    rules broken, agents that would have gained, were asked, moved, could not be read, and what was promised."""
    agents: list[AgentDelay]
    streets: list[StreetTime]


@record
class DemonstrationSummary(TypedDict):
    """The figures of a run of the graph; what `--json` prints."""

    map: str
    agents: int
    model: str
    planning: str | None
    rounds: int
    """Refinements after the first plan."""
    validity_initial: float
    """Share of agents with a valid route in the first reply."""
    validity_final: float
    reward_mean: float | None
    """Of the best set, driven; null without a valid route."""
    arrival_rate: float
    travel_time_ratio: float | None
    """Of the best set, over the fastest path driven alone; in traffic, over what a car alone is expected to take."""
    dtw_mean: float | None
    traffic: Traffic | None
    """What the drives in traffic came to; null where plans are judged by their rewards."""
    fleet: NotRequired[FleetFigures | None]
    """The best set driven by plain SUMO from the run folder; null where nothing was driven."""
    input_tokens: int
    """Tokens of replayed calls count as none."""
    output_tokens: int
    calls: int
    replayed_calls: int
    retries: int
    """Further tries after a failed one."""
    cost: float | None
    """In the currency of the prices; null: unknown."""
    price_as_of: str | None
    model_seconds: float
    """Spent waiting for the model."""
    seconds: float
    stopped: str | None
    """Why the run ended early."""
    run: str
    """The run folder."""
