"""The choices a vehicle is offered after a drive, each with its expected seconds, and who chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.traffic.delays import StreetDelay
from leed_agentic.traffic.limits import detour
from leed_agentic.traffic.paths import Costs, Route, fastest_path, seconds_along
from leed_agentic.traffic.trips import Trip

MOST = 4
PENALTY = 1.5
"""Factor on the streets of the present route: another route that takes up to half as long again may be found."""


@dataclass(frozen=True)
class Alternative:
    """One route, with what it would have taken in the traffic just driven."""

    kind: str
    """current, experienced (the fastest in that traffic), lights, penalised or free-flow."""
    route: Route
    seconds: float
    """From entering the first street to the end of the last."""


@dataclass(frozen=True)
class Question:
    """What one vehicle is asked: which of these routes, in an order drawn by lot."""

    vehicle: str
    alternatives: tuple[Alternative, ...]
    current: int
    """Index of the route it drove."""
    delays: tuple[StreetDelay, ...] = ()
    """Where it lost most on that drive."""


class Chooser(Protocol):
    """Answers all questions of a round."""

    def __call__(self, questions: Sequence[Question], generator: np.random.Generator) -> Sequence[int | None]:
        """Of each question the index of an alternative; None where no choice could be read: the current route stays."""


def argmin(questions: Sequence[Question], generator: np.random.Generator) -> list[int]:
    """The least seconds: what a model that reads every number right answers."""
    return [int(np.argmin([one.seconds for one in question.alternatives])) for question in questions]


def coin(questions: Sequence[Question], generator: np.random.Generator) -> list[int]:
    """Any of the alternatives, by lot: what a model that reads no number answers."""
    return [int(generator.integers(len(question.alternatives))) for question in questions]


CHOOSERS: dict[str, Chooser] = {"argmin": argmin, "coin": coin}


def alternatives(
    trip: Trip, current: Route, fastest: Route, costs: Costs, departure: float, max_detour: float | None = None
) -> list[Alternative]:
    """At most MOST different routes: the current one, the fastest under the costs, and others by their seconds.

    Args:
        departure: the second at which the vehicle entered its first street.
        max_detour: none but the current may take more than this many times the fastest way of a car alone.
    """
    found = {current: "current", fastest: "experienced"}
    alone = Costs(costs.graph, closed=costs.closed)
    penalty = dict.fromkeys(current, PENALTY)
    searches = (
        ("lights", fastest_path(Costs(costs.graph, True, closed=costs.closed), trip.start, trip.goal, departure)),
        ("penalised", fastest_path(costs, trip.start, trip.goal, departure, penalty)),
        ("free-flow", fastest_path(alone, trip.start, trip.goal, departure)),
    )
    for kind, path in searches:
        if path is not None:
            found.setdefault(path[0], kind)
    offered = [Alternative(kind, route, seconds_along(costs, route, departure)) for route, kind in found.items()]
    if max_detour is not None:
        offered = [one for one in offered if one.kind == "current" or detour(alone, trip, one.route) <= max_detour]
    return offered[:2] + sorted(offered[2:], key=lambda one: one.seconds)[: MOST - 2]


def ask(
    vehicle: str, offered: Sequence[Alternative], delays: Sequence[StreetDelay], generator: np.random.Generator
) -> Question:
    """The question about these alternatives, the current one first in `offered`, shuffled: small models answer by
    position."""
    order = generator.permutation(len(offered))
    return Question(vehicle, tuple(offered[i] for i in order), int(np.flatnonzero(order == 0)[0]), tuple(delays))


def check_answers(questions: Sequence[Question], answers: Sequence[int | None]) -> list[int | None]:
    """The answers as they may be used: one for every question, anything that is no index of it read as None.

    Raises:
        UsageError: the chooser gave another number of answers than there are questions.
    """
    if len(answers) != len(questions):
        raise UsageError(f"The chooser gave {len(answers)} answers to {len(questions)} questions; one each is needed.")
    return [
        int(answer) if isinstance(answer, (int, np.integer)) and 0 <= answer < len(question.alternatives) else None
        for question, answer in zip(questions, answers, strict=True)
    ]
