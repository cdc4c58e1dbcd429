"""A set of expert routes as it is saved: what was planned, how it was judged, and where it came from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import write_json
from leed_agentic.traffic.scenario import Scenario

FORMAT = "leed-demonstrations"
FORMAT_VERSION = 1


@dataclass
class Round:
    """One plan and what came of it. Shares are of all agents of the scenario."""

    round: int
    asked: list[int]
    """Agents the model was asked for."""
    validity_reply: float
    """Share of the asked agents whose route in this very reply was valid."""
    validity: float
    """Share of agents with a valid route, kept ones included."""
    findings: list[dict[str, Any]] = field(default_factory=list)
    routes: dict[int, list[str]] = field(default_factory=dict)
    reward_mean: float | None = None
    arrival_rate: float | None = None
    travel_time_ratio: float | None = None
    dtw_mean: float | None = None
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
        }

    def save(self, file: Path) -> None:
        """Raises UnwritableError when the disk is full or cannot be written."""
        write_json(file, self.to_json())

    @classmethod
    def load(cls, file: Path) -> DemonstrationSet:
        """Raises UsageError when the file is missing, damaged, or of another format version."""
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
                raise UsageError(f"{file} is not a demonstration file of format {FORMAT} {FORMAT_VERSION}.")
            routes = {int(agent): [str(edge) for edge in route] for agent, route in data["routes"].items()}
            rounds = [Round(**r) for r in data.get("rounds", [])]
            return cls(Scenario.from_json(data["scenario"]), routes, rounds, dict(data.get("provenance", {})))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"Cannot read the demonstrations {file} ({type(error).__name__}: {error}).") from error
