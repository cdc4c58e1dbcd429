"""Files of `leed demo generate`; a training run keeps the same two for what its agents and experts did."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leed_agentic.demonstrations.validate import Kind
from leed_agentic.formats.part import Part, Routes, ScenarioPart, Versions


class FindingPart(Part):
    """One thing wrong with a route."""

    agent: int | None = Field(description="None: it concerns the whole reply.")
    kind: Kind
    message: str = Field(description="A sentence, as the model is told it.")
    edge: str | None
    position: int | None = Field(description="Of the edge in the route, from 0.")


class RoundPart(Part):
    """One plan and what came of it. Figures of a drive are null while no set of routes was driven."""

    round: int = Field(description="0 is the first plan.")
    asked: list[int] = Field(description="Agents the model was asked for.")
    validity_reply: float = Field(description="Share of these whose route in this very reply was valid.")
    validity: float = Field(description="Share of all agents with a valid route, kept ones included.")
    findings: list[FindingPart]
    routes: Routes = Field(description="The reply's routes, invalid ones included.")
    reward_mean: float | None
    arrival_rate: float | None
    travel_time_ratio: float | None = Field(description="Mean of time on the way over the fastest path alone.")
    dtw_mean: float | None = Field(description="Metres to the agents' own trajectories, where there are any.")
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float


class Provenance(Part):
    """Where the routes come from; a field is left out where its writer does not know it."""

    model: str = Field("", description="As it is named to people; a stand-in or replay says so.")
    planning: str | None = Field(None, description="fleet, agent or junction.")
    prompts: dict[str, str] = Field({}, description="Template to its SHA-256.")
    feedback: str = Field("", description="Feedback strategy.")
    seed: int = 0
    attribution: str = Field("", description="Credit of the map data.")
    versions: Versions = Field({})
    stopped: str | None = Field(None, description="Why the run ended early.")
    source: str = Field("", description="In a training run's triggers/: its source.")
    episode: int = Field(0, description="In a training run: the episode that asked.")


class DemonstrationsFile(Part):
    """Validated routes, how they came about and where they come from. A training run keeps such files in
    demonstrations/ (one per answer of the graph) and triggers/ (one per answer of any source). Read by `leed train
    --demonstrations`, `leed demo check` and `leed evaluate --demonstrations`."""

    format: Literal["leed-demonstrations"]
    version: Literal[1]
    scenario: ScenarioPart
    routes: Routes = Field(description="Valid ones: the last edge ends at the destination.")
    rounds: list[RoundPart] = Field([], description="In triggers/ there are none.")
    provenance: Provenance
    cut_short: Routes = Field({}, description="triggers/ alone: driven, but the episode ended before the destination.")
    rewards: dict[str, float] = Field({}, description="triggers/ alone: agent to what its demonstration earned.")


class TrajectoryPart(Part):
    """One agent's T decisions. d is the size of an observation, m the number of actions."""

    agent: int
    route: list[str] = Field(description="T + 1 edges, the start edge first.")
    arrived: bool
    travel_seconds: float | None = Field(description="From planned departure to arrival.")
    actions: list[int] = Field(description="T: which legal next edge.")
    rewards: list[float] = Field(description="T: paid from a decision until the next.")
    times: list[float] = Field(description="T: simulated seconds.")
    positions: list[list[float]] = Field(description="(T + 1, 2): metres, end junction of each edge.")
    observations: list[list[float]] = Field(description="(T, d).")
    masks: list[list[int]] = Field(description="(T, m): 1 for a legal action.")
    last_observation: list[float] = Field(description="d: what it would decide on next.")
    last_mask: list[int] | None = Field(None, description="m: what is legal there.")


class TrajectoriesFile(Part):
    """What every agent did in one episode: the plan as driven, or a training run's latest episode at a checkpoint."""

    format: Literal["leed-trajectories"]
    version: Literal[1]
    scenario: ScenarioPart
    trajectories: list[TrajectoryPart]


class DemonstrationSummary(Part):
    """The figures of a run of the graph; what `--json` prints."""

    map: str
    agents: int
    model: str
    planning: str | None
    rounds: int = Field(description="Refinements after the first plan.")
    validity_initial: float = Field(description="Share of agents with a valid route in the first reply.")
    validity_final: float
    reward_mean: float | None = Field(description="Of the best set, driven; null without a valid route.")
    arrival_rate: float
    travel_time_ratio: float | None
    dtw_mean: float | None
    input_tokens: int | None = Field(
        description="Tokens of replayed calls count as none; null: the server does not report them."
    )
    output_tokens: int | None
    calls: int
    replayed_calls: int
    retries: int = Field(description="Further tries after a failed one.")
    cost: float | None = Field(description="In the currency of the prices; null: unknown.")
    price_as_of: str | None
    model_seconds: float = Field(description="Spent waiting for the model.")
    seconds: float
    stopped: str | None = Field(description="Why the run ended early.")
    run: str = Field(description="The run folder.")
