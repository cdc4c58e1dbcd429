"""Files of `leed train` and `leed evaluate`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from leed_agentic.formats.part import Cell, Free, Part, ScenarioPart, Versions


class RunFile(Part):
    """What a training run is made with; `leed train --resume` reads it."""

    format: Literal["leed-run"]
    version: Literal[1]
    settings: Free = Field(description="All of them, as in settings.")
    scenario: ScenarioPart
    versions: Versions


class MetricsLine(Part):
    """One episode. Equal to the bit for equal seeds and settings on one machine. Then come reward_0, reward_1 ... and
    alpha_0, alpha_1 ..., one per agent."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Cell]

    episode: int
    reward_mean: Cell = Field(description="Mean over agents.")
    arrival_rate: Cell
    decisions: int = Field(description="Of all agents.")
    simulated_seconds: Cell
    travel_seconds_mean: Cell = Field(description="Of the agents that arrived.")
    teleports: Cell = Field(description="Vehicles that SUMO moved out of a jam; they falsify rewards.")
    collisions: Cell
    missed: Cell = Field(description="Edges driven that were not chosen.")
    alpha_mean: Cell = Field(description="Of equation (8).")
    dtw_mean: Cell = Field(description="Metres between agent and expert.")
    expert_reward_mean: Cell
    expert_advantage: Cell = Field(description="Mean size of A^e.")
    expert_probability: Cell = Field(description="Of the expert's actions under the policy.")
    policy_loss_agent: Cell
    policy_loss_expert: Cell
    value_loss_agent: Cell
    value_loss_expert: Cell
    entropy: Cell
    kl: Cell = Field(description="From the policy before the update to the one after.")
    clip_agent: Cell = Field(description="Share of clipped ratios.")
    clip_expert: Cell
    epsilon: Cell = Field(description="qmix: share of random actions.")
    td_loss: Cell = Field(description="qmix.")
    triggers: int = Field(description="Questions to the source so far, and the next four likewise.")
    source_failures: int
    calls: int
    input_tokens: int
    output_tokens: int


class TimingLine(Part):
    """Wall-clock seconds of one episode."""

    episode: int
    seconds_simulation: float
    seconds_demonstrations: float
    seconds_learning: float
    seconds: float


class TriggerLine(Part):
    """One question to the source of demonstrations."""

    episode: int
    source: str
    ok: int = Field(description="1: new demonstrations came.")
    failure: str = Field(description="Why not.")
    agents: int = Field(description="With a demonstration now.")
    validity: Cell = Field(description="Share of the routes asked for that were valid.")
    rounds: Cell = Field(description="Plans made.")
    memory: Cell = Field(description="Turns of conversation and streets ruled out that the source remembers.")
    expert_reward_mean: Cell
    dtw_before: Cell = Field(description="Metres from the experts of before to the agents.")
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    calls_total: int
    input_tokens_total: int
    output_tokens_total: int
    seconds_total: float


class TrainingSummary(Part):
    """The figures of a training run; what `--json` prints."""

    run: str
    algorithm: str
    source: str
    map: str
    agents: int
    episodes: int
    reward_first20: float = Field(description="Mean reward of the first 20 episodes.")
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


class DriverPart(Part):
    """One driver over all episodes; null stands for a figure that nothing was measured for."""

    driver: str
    agents: int = Field(description="Whose figures count.")
    reward_mean: float
    reward_std: float | None = Field(description="Over episodes, n - 1.")
    arrival_rate: float
    travel_seconds_mean: float | None
    travel_time_ratio: float | None = Field(description="To the shortest path of the same seed.")
    teleports: int
    collisions: int
    rewards: list[float] = Field(description="Per episode.")


class EvaluationFile(Part):
    """How a run's policies drive, next to drivers that learned nothing."""

    format: Literal["leed-evaluation"]
    version: Literal[1]
    run: str
    algorithm: str
    trained_episodes: int
    deterministic: bool
    map: str
    agents: int
    driver_noise: float
    episodes: int
    seeds: list[int]
    drivers: list[DriverPart]
    versions: Versions
