"""Drive, see who lost time where, give those with most to gain another way, drive again: the loop of coordination."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.traffic.alternatives import Chooser, Question, argmin, check_answers
from leed_agentic.traffic.delays import Delays
from leed_agentic.traffic.judge import Judge, mean_time
from leed_agentic.traffic.limits import NO_LIMITS, Limits
from leed_agentic.traffic.paths import Costs, Route, seconds_along
from leed_agentic.traffic.questions import MOST_SHARE, questions_after
from leed_agentic.traffic.starts import STARTS, Routes, shortest_paths, start_plans
from leed_agentic.traffic.street_times import StreetTimes, Visits, mixed
from leed_agentic.traffic.sumo_run import Driven
from leed_agentic.traffic.trips import Trips

GROWS, SHRINKS = 1.25, 0.5
KEPT = 0.25
"""Of the promised gain, that a round must keep for the next to ask more: what all hope for at once, few get."""
LOCKED = 1.3
"""Times the best score, with more teleports: the town was locked, and what its streets took then says nothing of a plan
that can be driven."""
MEMORY = 0.5
"""Weight of what was known of a street before the last drive: a jam that all have just left comes back with them."""


@dataclass(frozen=True)
class CoordinationSettings:
    """How a fleet is coordinated."""

    rounds: int = 5
    """Drives after those of the starts; fewer when nobody has anything left to gain."""
    starts: tuple[str, ...] = STARTS
    """Plans driven first, the baselines that the result is never worse than."""
    share: float = 0.3
    """Of all vehicles, asked at most in the first round; it grows while that pays and shrinks after a miss."""
    signals: Literal["auto", "on", "off"] = "auto"
    """Whether street costs know the static lights; auto: as the drives show, changed after two misses."""
    objective: Literal["fleet", "everybody"] = "fleet"
    """Whose mean seconds, from planned departure to arrival, are to fall."""
    limits: Limits = NO_LIMITS
    """What the fleet's routes must keep to."""

    def __post_init__(self) -> None:
        if unknown := [start for start in self.starts if start not in STARTS]:
            raise UsageError(f"There is no start {unknown[0]!r}; choose from {', '.join(STARTS)}.")
        if self.objective not in ("fleet", "everybody"):
            raise UsageError(f"There is no objective {self.objective!r}; choose fleet or everybody.")
        if self.signals not in ("auto", "on", "off"):
            raise UsageError(f"signals is auto, on or off, not {self.signals!r}.")
        if not self.starts or self.rounds < 0 or not 0 < self.share <= 1:
            raise UsageError("Coordination needs a start, 0 rounds or more and a share above 0 and at most 1.")


@dataclass(frozen=True)
class Round:
    """One plan and what its drive showed; times in seconds."""

    number: int
    """0 for the starts."""
    name: str
    score: float
    """The objective: what is to fall."""
    fleet: float
    """Mean time of the fleet."""
    others: float | None
    """Mean time of everybody else; None where the fleet is everybody."""
    unfinished: float
    """Vehicles, a run."""
    teleports: float
    """A run."""
    best: bool
    """Whether it was better than all before."""
    broken: int = 0
    """Wishes that it does not meet; a plan that meets more is better, whatever its score."""
    signals: bool | None = None
    """Whether the costs knew the lights; None for a start."""
    share: float | None = None
    gainers: int = 0
    """Vehicles for which a faster route was found in the traffic before."""
    asked: int = 0
    moved: int = 0
    """Vehicles that changed their route."""
    unread: int = 0
    """Questions without a readable answer."""
    promised: float = 0.0
    """Mean seconds a vehicle of the fleet would have gained had nobody else moved."""
    planning_seconds: float = field(default=0.0, compare=False)
    """Processor seconds of finding, asking and choosing."""


@dataclass(frozen=True)
class Coordination:
    """The best plan of a loop, with all rounds."""

    routes: Routes
    best: Round
    rounds: tuple[Round, ...]
    runs: int
    """SUMO runs in all."""

    @property
    def starts(self) -> dict[str, Round]:
        return {one.name: one for one in self.rounds if one.number == 0}


@dataclass(frozen=True)
class DrivenPlan:
    """Routes of the whole demand and what their drive showed."""

    routes: Routes
    driven: Sequence[Driven]
    visits: Sequence[Visits]
    round: Round


class Coordinator:
    """The loop, one step at a time: `begin`, then `questions` and `answer` in turns.

    Args:
        fleet: ids of the vehicles that may be given other routes; None: all.
        others: the routes of the rest, which they keep; those left out drive the fastest path of empty streets.
        on_round: told of every drive.
        broken: how many wishes a plan of the whole demand leaves unmet, seen in its drives.

    Raises:
        UsageError: an id that the trips do not have, an empty fleet, or a vehicle that departs after the end.
    """

    def __init__(
        self,
        trips: Trips,
        judge: Judge,
        settings: CoordinationSettings | None = None,
        *,
        fleet: Iterable[str] | None = None,
        others: Mapping[str, Route] | None = None,
        seed: int = 0,
        on_round: Callable[[Round], None] = lambda one: None,
        broken: Callable[[Sequence[Driven]], int] = lambda driven: 0,
    ) -> None:
        self.trips, self.judge, self.seed, self.on_round, self.broken = trips, judge, seed, on_round, broken
        self.settings = settings or CoordinationSettings()
        self.fleet = tuple(trips.vehicles) if fleet is None else tuple(dict.fromkeys(fleet))
        _check(trips, judge, self.fleet)
        chosen = set(self.fleet)
        self.others = tuple(vehicle for vehicle in trips.vehicles if vehicle not in chosen)
        given = {vehicle: route for vehicle, route in (others or {}).items() if vehicle in set(self.others)}
        missing = [vehicle for vehicle in self.others if vehicle not in given]
        self.fixed: Routes = {**given, **shortest_paths(trips, Costs(trips.graph), missing)}
        self.rounds: list[Round] = []
        self.best: DrivenPlan | None = None
        self.last: DrivenPlan | None = None
        """What was driven last."""
        self.memory: dict[bool, Costs] = {}
        """What is known of the streets so far, without (False) and with the lights (True)."""
        self._known_at_best: dict[bool, Costs] = {}
        self.share, self.lights, self._misses = self.settings.share, False, 0
        self.generator = np.random.default_rng(seed)
        """Of the round; made anew from the seed and the round's number."""
        self._tried: tuple[Routes, Sequence[Driven]] | None = None
        self._asked: tuple[list[Question], int, float] = ([], 0, 0.0)

    def begin(self) -> None:
        """Drive the starts.

        Raises:
            UsageError: a destination cannot be reached, or SUMO refuses a route.
            UnavailableError: SUMO is missing.
        """
        settings = self.settings
        plans = start_plans(self.trips, self.judge, settings.starts, self.fleet, self.fixed, settings.limits)
        for name, routes in plans:
            self.drive(routes, name)
        # What happens on a plan that is not gone on from says little of the streets of the one that is.
        self._learn(self._best)
        self._known_at_best = dict(self.memory)
        self.lights = settings.signals == "on" or (settings.signals == "auto" and self._lights_pay())

    def questions(self) -> list[Question]:
        """Of the next round; none when nobody has anything left to gain."""
        began = time.process_time()
        self.generator = np.random.default_rng([self.seed, self._next_number])
        found, gainers = self._questions()
        if not found and self.settings.signals == "auto":
            self.lights = not self.lights
            found, gainers = self._questions()
        self._asked = (found, gainers, time.process_time() - began)
        return found

    def answer(self, answers: Sequence[int | None]) -> Round:
        """Drive the fleet by the answers to the last questions, learn from it, and keep it when it is better.

        Args:
            answers: of each question the index of an alternative; anything else leaves its vehicle on its route.

        Raises:
            UsageError: another number of answers than questions, or SUMO refuses a route.
        """
        questions = self._asked[0]
        routes, unread = dict(self._best.routes), 0
        for question, answer in zip(questions, check_answers(questions, answers), strict=True):
            if answer is None:
                unread += 1
            else:
                routes[question.vehicle] = question.alternatives[answer].route
        return self.attempt(routes, unread=unread)

    def attempt(self, routes: Routes, name: str = "", *, unread: int = 0) -> Round:
        """Drive a plan made of the best one, by the last questions or otherwise, learn from it, and keep it when it is
        better.

        Raises:
            UsageError: SUMO refuses a route.
        """
        before, (questions, gainers, seconds) = self._best, self._asked
        moved = [vehicle for vehicle in self.fleet if routes[vehicle] != before.routes[vehicle]]
        promised = sum(self._promised(vehicle, before, routes[vehicle]) for vehicle in moved) / len(self.fleet)
        number = self._next_number
        plan = self.drive(
            routes,
            name or f"round {number}",
            number,
            signals=self.lights,
            share=self.share,
            gainers=gainers,
            asked=len(questions),
            moved=len(moved),
            unread=unread,
            promised=promised,
            planning_seconds=seconds,
        )
        self._asked = ([], 0, 0.0)
        if self._locked(plan.round, before.round):
            self.memory = dict(self._known_at_best)
        else:
            self._learn(plan)
        if plan.round.best:
            self._known_at_best = dict(self.memory)
        self._misses = 0 if plan.round.best else self._misses + 1
        if self._misses:
            self.share *= SHRINKS
        elif before.round.score - plan.round.score >= KEPT * promised:
            self.share = min(MOST_SHARE, self.share * GROWS)
        if self.settings.signals == "auto" and self._misses and self._misses % 2 == 0:
            self.lights = not self.lights
        return plan.round

    def drive(self, routes: Routes, name: str, number: int = 0, **planned: Any) -> DrivenPlan:
        """Drive any plan of the whole demand; it becomes the best when it is better."""
        driven, broken, score = self.try_out(routes)
        self._tried = None
        fleet = mean_time(driven, self.fleet)
        one = Round(
            number,
            name,
            score,
            fleet,
            mean_time(driven, self.others) if self.others else None,
            float(np.mean([run.unfinished for run in driven])),
            float(np.mean([run.teleports for run in driven])),
            best=self.best is None or (broken, score) < (self.best.round.broken, self.best.round.score),
            broken=broken,
            **planned,
        )
        plan = DrivenPlan(routes, driven, [Visits.of(run, self.trips.graph) for run in driven], one)
        self.last = plan
        if one.best:
            self.best = plan
        self.rounds.append(one)
        self.on_round(one)
        return plan

    def try_out(self, routes: Routes) -> tuple[Sequence[Driven], int, float]:
        """Drive any plan without keeping it: its runs, how many wishes it leaves unmet, and the objective. Driven next,
        it is not driven again."""
        if self._tried is None or self._tried[0] != routes:
            self._tried = (dict(routes), self.judge.drive(routes))
        driven = self._tried[1]
        score = mean_time(driven, self.fleet if self.settings.objective == "fleet" else None)
        return driven, self.broken(driven), score

    def result(self) -> Coordination:
        return Coordination(self._best.routes, self._best.round, tuple(self.rounds), self.judge.runs)

    def delays(self) -> Delays:
        """Who lost time where on the best plan, in its first run; beyond the red lights where costs know them."""
        return Delays(self._best.driven[0], self._best.visits[0], self.trips.graph, self.lights)

    def times(self) -> StreetTimes:
        """Seconds, flow and queue per street and interval on the best plan, over all its runs."""
        best = self._best
        return StreetTimes.measure(list(zip(best.driven, best.visits, strict=True)), self.trips.graph)

    @property
    def _next_number(self) -> int:
        return 1 + max((one.number for one in self.rounds), default=0)

    @property
    def _best(self) -> DrivenPlan:
        if self.best is None:
            raise UsageError("Nothing was driven yet; call begin() first.")
        return self.best

    def _questions(self) -> tuple[list[Question], int]:
        return questions_after(
            self.trips,
            self._best.routes,
            self._best.driven[0],
            self.delays(),
            self.memory[self.lights],
            self.fleet,
            self.share,
            self.generator,
            self.settings.limits,
        )

    def _promised(self, vehicle: str, before: DrivenPlan, route: Route) -> float:
        """Seconds the vehicle would gain by another route had nobody else moved."""
        departed = before.driven[0].vehicles[vehicle].departed
        costs, second = (
            self.memory[self.lights],
            self.trips.vehicles[vehicle].departure if departed is None else departed,
        )
        gain = seconds_along(costs, before.routes[vehicle], second) - seconds_along(costs, route, second)
        return gain if math.isfinite(gain) else 0.0

    def _learn(self, plan: DrivenPlan) -> None:
        times = StreetTimes.measure(list(zip(plan.driven, plan.visits, strict=True)), self.trips.graph)
        for lights in (False, True):
            costs = times.costs(lights, self.settings.limits.closed)
            if lights in self.memory:
                known = self.memory[lights].extra
                costs = replace(costs, extra=mixed([(MEMORY, known), (1 - MEMORY, costs.extra)]))
            self.memory[lights] = costs

    @staticmethod
    def _locked(one: Round, best: Round) -> bool:
        return one.teleports > best.teleports and one.score > LOCKED * best.score

    def _lights_pay(self) -> bool:
        """Whether paths that know the lights did better than those that do not, both planned without traffic."""
        scores = {one.name: one.score for one in self.rounds}
        return "lights" in scores and scores["lights"] < scores.get("shortest", np.inf)


def coordinate(
    trips: Trips,
    judge: Judge,
    settings: CoordinationSettings | None = None,
    *,
    fleet: Iterable[str] | None = None,
    others: Mapping[str, Route] | None = None,
    chooser: Chooser = argmin,
    seed: int = 0,
    on_round: Callable[[Round], None] = lambda one: None,
) -> Coordination:
    """Routes on which a fleet loses no more time than on any of the starts; the same seed gives the same routes.

    A round: the seconds per street and time that the best plan and those before it showed; by them the vehicles with
    most to gain, of those who lost most in the same jam at most one of two; a question to each, an answer from the
    chooser, a drive of all. A plan that is not better is forgotten except for what it showed of the streets; one that
    locked the town is forgotten wholly: the next round knows what was known at the best plan, and asks half as many.

    Raises:
        UsageError, UnavailableError: as Coordinator and its methods.
    """
    loop = Coordinator(trips, judge, settings, fleet=fleet, others=others, seed=seed, on_round=on_round)
    loop.begin()
    for _ in range(loop.settings.rounds):
        questions = loop.questions()
        if not questions:
            break
        loop.answer(chooser(questions, loop.generator))
    return loop.result()


def _check(trips: Trips, judge: Judge, fleet: Sequence[str]) -> None:
    if unknown := [vehicle for vehicle in fleet if vehicle not in trips.vehicles]:
        raise UsageError(f"The demand has no vehicle {unknown[0]!r}; the fleet is named by the demand's own ids.")
    if not fleet:
        raise UsageError("The fleet is empty; name at least one vehicle of the demand.")
    last = max(trips.vehicles.values(), key=lambda trip: trip.departure)
    if last.departure >= judge.end:
        raise UsageError(
            f"Vehicle {last.id!r} departs at {last.departure:g} s, when the simulation is over; give a later end."
        )
