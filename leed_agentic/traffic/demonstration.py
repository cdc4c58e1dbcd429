"""A set of expert routes as it is saved: what was planned, how it was judged, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import check_plain, write_json
from leed_agentic.runs.record import record
from leed_agentic.traffic.scenario import Scenario

FORMAT = "leed-demonstrations"
FORMAT_VERSION = 1


class FindingRecord(TypedDict):
    """One thing wrong with a route."""

    agent: int | None
    """None: it concerns the whole reply."""
    kind: str
    message: str
    """A sentence, as the model reads it."""
    edge: str | None
    position: int | None
    """Of the edge in the route, from 0."""


@record
@dataclass
class Round:
    """One plan and what came of it. Figures of a drive are null while no set of routes was driven."""

    round: int
    """0 is the first plan."""
    asked: list[int]
    """Agents the model was asked for."""
    validity_reply: float
    """Share of these whose route in this very reply was valid."""
    validity: float
    """Share of all agents with a valid route, kept ones included."""
    findings: list[FindingRecord] = field(default_factory=list)
    routes: dict[int, list[str]] = field(default_factory=dict)
    """The reply's routes, invalid ones included."""
    reward_mean: float | None = None
    arrival_rate: float | None = None
    travel_time_ratio: float | None = None
    """Mean of time on the way over the fastest path driven alone; in traffic, over what is expected of it."""
    dtw_mean: float | None = None
    """Metres to the agents' own trajectories, where there are any."""
    fleet_time: float | None = None
    """In traffic: mean seconds of the agents from planned departure to arrival, of this very plan."""
    others_time: float | None = None
    """Of the other vehicles, likewise."""
    moved: int | None = None
    """Agents that changed their route."""
    unread: int | None = None
    """Replies that could not be read."""
    kept: bool | None = None
    """Whether this plan was better than all before, the baselines included."""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


@dataclass
class DemonstrationSet:
    """Validated routes of a scenario's agents, with the rounds that led to them and their provenance."""

    scenario: Scenario
    routes: dict[int, list[str]]
    """Agent to edge ids: its start edge first, an edge that ends at its destination last."""
    rounds: list[Round]
    provenance: dict[str, Any]
    cut_short: dict[int, list[str]] = field(default_factory=dict)
    """Driven, but the episode ended before the destination: nobody could follow these to their end."""
    rewards: dict[int, float] = field(default_factory=dict)
    """Agent to what its demonstration earned, where it was driven."""

    @property
    def validity(self) -> float:
        """Share of the scenario's agents with a valid route."""
        return len(self.routes) / len(self.scenario.agents)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "scenario": self.scenario.to_json(),
            "routes": {str(agent): list(route) for agent, route in sorted(self.routes.items())},
            "rounds": [asdict(r) for r in self.rounds],
            "provenance": self.provenance,
            **({"cut_short": {str(agent): route for agent, route in self.cut_short.items()}} if self.cut_short else {}),
            **({"rewards": {str(agent): reward for agent, reward in self.rewards.items()}} if self.rewards else {}),
        }

    def save(self, file: Path) -> None:
        """Raises UnwritableError when the disk is full or cannot be written."""
        write_json(file, self.to_json())

    @classmethod
    def load(cls, file: Path) -> DemonstrationSet:
        """Raises UsageError when the file is missing, damaged, or of another format version."""
        try:
            data = json.loads(check_plain(file).read_text(encoding="utf-8"))
            if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
                raise UsageError(f"it is not of format {FORMAT} {FORMAT_VERSION}")
            return cls(
                Scenario.from_json(data["scenario"]),
                _routes(data["routes"]),
                TypeAdapter(list[Round]).validate_python(data.get("rounds", [])),
                dict(data.get("provenance", {})),
                _routes(data.get("cut_short", {})),
                {int(agent): float(reward) for agent, reward in data.get("rewards", {}).items()},
            )
        except (UsageError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            raise UsageError(f"Cannot read the demonstrations {file} ({reason.rstrip('.')}).") from error


def _routes(data: Mapping[str, list[Any]]) -> dict[int, list[str]]:
    return {int(agent): [str(edge) for edge in route] for agent, route in data.items()}
