"""What a person is shown before routes are driven, what they may decide, and the record of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from leed_agentic.credentials import without_keys
from leed_agentic.errors import UnwritableError


@dataclass(frozen=True)
class Proposal:
    """The routes that are about to be driven."""

    round: int
    routes: dict[int, list[str]]
    """The valid route of each agent that has one, as edge ids."""
    findings: dict[int, str]
    """What is wrong with the last reply, by agent; an agent may still have an older valid route."""
    notes: list[str]
    """Sentences about the whole: why the last decision was refused, what else was wrong with the reply."""


@dataclass(frozen=True)
class Decision:
    """A person's answer to a proposal."""

    action: Literal["accept", "edit", "remark", "quit"]
    agents: list[int] = field(default_factory=list)
    """edit: the one agent whose route is given; remark: whom it is about, everybody when empty."""
    route: list[str] = field(default_factory=list)
    """edit: edge ids from the agent's start edge to an edge that ends at its destination."""
    text: str = ""
    """remark: the person's words."""


class ReviewLog:
    """review.jsonl: one line per decision, on disk before anything comes of it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.edited: dict[int, list[str]] = {}
        """The last legal route that a person gave each agent."""

    def add(self, number: int, decision: Decision, refused: str | None) -> None:
        """Write a decision of this round, and why it was refused if it was.

        Raises:
            UnwritableError: the disk is full or gone.
        """
        row = {"round": number, **asdict(decision), "refused": refused}
        try:
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(without_keys(json.dumps(row, ensure_ascii=False)) + "\n")
        except OSError as error:
            raise UnwritableError(f"Cannot write {self.file} ({error.strerror}); free some space.") from error

    def edited_in(self, routes: Mapping[int, list[str]]) -> list[int]:
        """Agents whose route in this set is the one that a person gave."""
        return sorted(agent for agent, route in self.edited.items() if routes.get(agent) == route)
