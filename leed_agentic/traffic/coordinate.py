"""Drive, see who lost time where, give those with most to gain another way, drive again: the loop of coordination."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.traffic.alternatives import Chooser, Question, alternatives, argmin, ask, check_answers, detour
from leed_agentic.traffic.delays import Delays
from leed_agentic.traffic.judge import Judge, mean_time
from leed_agentic.traffic.paths import Costs, Route, fastest_path, seconds_along
from leed_agentic.traffic.street_times import StreetTimes, Visits, mixed
from leed_agentic.traffic.sumo_run import Driven
from leed_agentic.traffic.trips import Trips

Routes = dict[str, Route]
LEAST_GAIN = 1.0
"""Seconds that another route must promise before its vehicle is asked."""
MOST_SHARE = 0.5
"""Of the fleet, and of those who would gain, asked at most: were all to move, they would meet again."""
GROWS, SHRINKS = 1.25, 0.5
KEPT = 0.25
"""Of the promised gain, that a round must keep for the next to ask more: what all hope for at once, few get."""
MEMORY = 0.5
"""Weight of what was known of a street before the last drive: a jam that all have just left comes back with them."""
STARTS = ("shortest", "lights", "rerouted")


@dataclass(frozen=True)
class CoordinationSettings:
    """How a fleet is coordinated."""

    rounds: int = 5
    """Drives after those of the starts; fewer when nobody has anything left to gain."""
    starts: tuple[str, ...] = STARTS
    """Plans driven first, the baselines that the result is never worse than."""
    share: float = 0.3
    """Of the fleet, asked in the first round; it grows while that pays and shrinks after a miss."""
    signals: Literal["auto", "on", "off"] = "auto"
    """Whether street costs know the static lights; auto: as the drives show, changed after two misses."""
    objective: Literal["fleet", "everybody"] = "fleet"
    """Whose mean seconds, from planned departure to arrival, are to fall."""
    max_detour: float | None = None
    """No vehicle is given a route of more than this many times the free-flow seconds of its fastest."""
    closed: frozenset[int] = frozenset()
    """Streets that nobody of the fleet may enter."""

    def __post_init__(self) -> None:
        if unknown := [start for start in self.starts if start not in STARTS]:
            raise UsageError(f"There is no start {unknown[0]!r}; choose from {', '.join(STARTS)}.")
        if self.objective not in ("fleet", "everybody"):
            raise UsageError(f"There is no objective {self.objective!r}; choose fleet or everybody.")
        if self.signals not in ("auto", "on", "off"):
            raise UsageError(f"signals is auto, on or off, not {self.signals!r}.")
        if not self.starts or self.rounds < 0 or not 0 < self.share <= 1:
            raise UsageError("Coordination needs a start, 0 rounds or more and a share above 0 and at most 1.")
        if self.max_detour is not None and self.max_detour < 1:
            raise UsageError(f"max_detour is a factor of 1 or more, not {self.max_detour:g}.")


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
    planning_seconds: float = 0.0
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
class _Drive:
    routes: Routes
    driven: list[Driven]
    visits: list[Visits]
    round: Round


@dataclass
class _Loop:
    trips: Trips
    judge: Judge
    settings: CoordinationSettings
    fleet: tuple[str, ...]
    others: tuple[str, ...]
    on_round: Callable[[Round], None]
    rounds: list[Round] = field(default_factory=list)
    best: _Drive | None = None
    memory: dict[bool, Costs] = field(default_factory=dict)
    """What is known of the streets, without and with the lights."""

    def drive(self, routes: Routes, number: int, name: str, **planned: Any) -> _Drive:
        driven = self.judge.drive(routes)
        fleet = mean_time(driven, self.fleet)
        score = fleet if self.settings.objective == "fleet" else mean_time(driven)
        one = Round(
            number,
            name,
            score,
            fleet,
            mean_time(driven, self.others) if self.others else None,
            float(np.mean([run.unfinished for run in driven])),
            float(np.mean([run.teleports for run in driven])),
            best=self.best is None or score < self.best.round.score,
            **planned,
        )
        visits = [Visits.of(run, self.trips.graph) for run in driven]
        found = _Drive(routes, driven, visits, one)
        if one.best:
            self.best = found
        self.rounds.append(one)
        self.on_round(one)
        return found

    def learn(self, drive: _Drive) -> None:
        times = StreetTimes.measure(list(zip(drive.driven, drive.visits, strict=True)), self.trips.graph)
        for lights in (False, True):
            costs = times.costs(lights, self.settings.closed)
            if lights in self.memory:
                costs = replace(costs, extra=mixed([(MEMORY, self.memory[lights].extra), (1 - MEMORY, costs.extra)]))
            self.memory[lights] = costs


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
    """Routes for a fleet on which it loses less time than on any of the starts; the same seed gives the same routes.

    A round: the seconds per street and time that the best plan and those before it showed; by them the vehicles with
    most to gain, of those who lost most in the same jam at most one of two; a question to each, an answer from the
    chooser, a drive of all. A plan that is not better is forgotten except for what it showed of the streets.

    Args:
        fleet: ids of the vehicles that may be given other routes; None: all.
        others: the routes of the rest, which they keep; None: their fastest at free flow.

    Raises:
        UsageError: an id that the trips do not have, a vehicle whose destination cannot be reached, or a route that
            SUMO refuses.
        UnavailableError: SUMO is missing.
    """
    settings = settings or CoordinationSettings()
    ids = tuple(trips.vehicles) if fleet is None else tuple(dict.fromkeys(fleet))
    if unknown := [vehicle for vehicle in ids if vehicle not in trips.vehicles]:
        raise UsageError(f"The demand has no vehicle {unknown[0]!r}; the fleet is named by the demand's own ids.")
    if not ids:
        raise UsageError("The fleet is empty; name at least one vehicle of the demand.")
    last = max(trips.vehicles.values(), key=lambda trip: trip.departure)
    if last.departure >= judge.end:
        raise UsageError(
            f"Vehicle {last.id!r} departs at {last.departure:g} s, when the simulation is over; give a later end."
        )
    chosen = set(ids)
    rest = tuple(vehicle for vehicle in trips.vehicles if vehicle not in chosen)
    kept = {**shortest_paths(trips, Costs(trips.graph), rest), **(others or {})}
    fixed = {vehicle: kept[vehicle] for vehicle in rest}
    loop = _Loop(trips, judge, settings, ids, rest, on_round)
    drives = {name: loop.drive(routes, 0, name) for name, routes in _starts(loop, fixed)}
    assert loop.best is not None  # noqa: S101 - there is at least one start
    loop.learn(loop.best)
    lights = settings.signals == "on" or (settings.signals == "auto" and _lights_pay(drives))
    share, misses = settings.share, 0
    for number in range(1, settings.rounds + 1):
        generator = np.random.default_rng([seed, number])
        began = time.process_time()
        questions, gainers = _questions(loop, lights, share, generator)
        if not questions and settings.signals == "auto":
            lights = not lights
            questions, gainers = _questions(loop, lights, share, generator)
        if not questions:
            break
        best_so_far = loop.best.round.score
        answers = check_answers(questions, chooser(questions, generator))
        routes, promised = dict(loop.best.routes), 0.0
        for question, answer in zip(questions, answers, strict=True):
            if answer is not None:
                taken, before = question.alternatives[answer], question.alternatives[question.current]
                routes[question.vehicle] = taken.route
                promised += before.seconds - taken.seconds
        drive = loop.drive(
            routes,
            number,
            f"round {number}",
            signals=lights,
            share=share,
            gainers=gainers,
            asked=len(questions),
            moved=sum(routes[one.vehicle] != one.alternatives[one.current].route for one in questions),
            unread=sum(answer is None for answer in answers),
            promised=promised / len(ids),
            planning_seconds=time.process_time() - began,
        )
        loop.learn(drive)
        misses = 0 if drive.round.best else misses + 1
        if misses:
            share *= SHRINKS
        elif best_so_far - drive.round.score >= KEPT * promised / len(ids):
            share = min(MOST_SHARE, share * GROWS)
        if settings.signals == "auto" and misses and misses % 2 == 0:
            lights = not lights
    return Coordination(loop.best.routes, loop.best.round, tuple(loop.rounds), judge.runs)


def shortest_paths(trips: Trips, costs: Costs, vehicles: Iterable[str] | None = None) -> Routes:
    """The fastest path of each vehicle (None: of all) under these costs, on departure as planned.

    Raises:
        UsageError: no open way leads from a vehicle's start to its destination.
    """
    routes = {}
    for vehicle in trips.vehicles if vehicles is None else vehicles:
        trip = trips.vehicles[vehicle]
        path = fastest_path(costs, trip.start, trip.goal, trip.departure)
        if path is None:
            start, goal = trips.graph.ids[trip.start], trips.graph.ids[trip.goal[0]]
            raise UsageError(
                f"Vehicle {vehicle!r} cannot drive from {start} to {goal}: no open way leads there. "
                "Leave it out, or open a street."
            )
        routes[vehicle] = path[0]
    return routes


def _starts(loop: _Loop, fixed: Mapping[str, Route]) -> Iterable[tuple[str, Routes]]:
    settings, graph = loop.settings, loop.trips.graph
    shortest = shortest_paths(loop.trips, Costs(graph, closed=settings.closed), loop.fleet)
    for name in settings.starts:
        if name == "shortest":
            routes = shortest
        elif name == "lights":
            routes = shortest_paths(loop.trips, Costs(graph, True, closed=settings.closed), loop.fleet)
        else:
            rerouted = loop.judge.rerouted({**shortest, **fixed}, loop.fleet)
            routes = {
                vehicle: shortest[vehicle] if not settings.closed.isdisjoint(rerouted[vehicle]) else rerouted[vehicle]
                for vehicle in loop.fleet
            }
        if settings.max_detour is not None:
            alone = Costs(graph, closed=settings.closed)
            for vehicle, route in routes.items():
                if detour(alone, loop.trips.vehicles[vehicle], route) > settings.max_detour:
                    routes = {**routes, vehicle: shortest[vehicle]}
        yield name, {**routes, **fixed}


def _lights_pay(drives: Mapping[str, _Drive]) -> bool:
    """Whether paths that know the lights did better than those that do not, both planned without traffic."""
    if "lights" not in drives:
        return False
    return "shortest" not in drives or drives["lights"].round.score < drives["shortest"].round.score


def _questions(loop: _Loop, lights: bool, share: float, generator: np.random.Generator) -> tuple[list[Question], int]:
    """The questions of a round, those with most to gain first, and how many vehicles would gain."""
    best, costs, trips = loop.best, loop.memory[lights], loop.trips
    assert best is not None  # noqa: S101 - the starts were driven
    driven = best.driven[0].vehicles
    gains = []
    for vehicle in loop.fleet:
        trip, current = trips.vehicles[vehicle], best.routes[vehicle]
        departed = driven[vehicle].departed if vehicle in driven else None
        departure = trip.departure if departed is None else departed
        path = fastest_path(costs, trip.start, trip.goal, departure)
        if path is None or path[0] == current:
            continue
        gain = seconds_along(costs, current, departure) - path[1]
        too_far = loop.settings.max_detour is not None and (
            detour(Costs(costs.graph, closed=costs.closed), trip, path[0]) > loop.settings.max_detour
        )
        if gain >= LEAST_GAIN and not too_far:
            gains.append((gain, vehicle, departure, path[0]))
    gains.sort(key=lambda row: -row[0])
    delays = Delays(best.driven[0], best.visits[0], trips.graph, lights)
    most = max(1, min(math.ceil(share * len(loop.fleet)), math.ceil(MOST_SHARE * len(gains))))
    asked = _one_of_two([row[1] for row in gains], delays, most)
    questions = []
    for _, vehicle, departure, fastest in gains:
        if vehicle in asked:
            offered = alternatives(
                trips.vehicles[vehicle], best.routes[vehicle], fastest, costs, departure, loop.settings.max_detour
            )
            questions.append(ask(vehicle, offered, delays.of(vehicle), generator))
    return questions, len(gains)


def _one_of_two(gainers: Sequence[str], delays: Delays, most: int) -> set[str]:
    """The first of the gainers, `most` at most, and of those who lost most in the same jam at most every second."""
    jams = {}
    for vehicle in gainers:
        row = delays.worst_row(vehicle)
        if row is not None:
            visits = delays.visits
            jams[vehicle] = (int(visits.street[row]), int((visits.entered[row] - delays.begin) // 30))
    left = {jam: math.ceil(count / 2) for jam, count in Counter(jams.values()).items()}
    asked: set[str] = set()
    for vehicle in gainers:
        if len(asked) == most:
            break
        if vehicle not in jams:
            asked.add(vehicle)
        elif left[jams[vehicle]] > 0:
            asked.add(vehicle)
            left[jams[vehicle]] -= 1
    return asked
