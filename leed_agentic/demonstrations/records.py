"""The figures of a run of the graph, as they lie in its folder."""

from __future__ import annotations

from typing_extensions import TypedDict

from leed_agentic.runs.record import record


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
    dtw_mean: float | None
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
