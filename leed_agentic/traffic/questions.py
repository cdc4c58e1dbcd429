"""Whom to ask after a drive: those with most to gain, and not everybody who stood in one jam."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from leed_agentic.traffic.alternatives import Question, alternatives, ask
from leed_agentic.traffic.delays import Delays
from leed_agentic.traffic.limits import NO_LIMITS, Limits
from leed_agentic.traffic.paths import Costs, Route, fastest_path, seconds_along
from leed_agentic.traffic.street_times import INTERVAL
from leed_agentic.traffic.sumo_run import Driven
from leed_agentic.traffic.trips import Trips

LEAST_GAIN = 1.0
"""Seconds that another route must promise before its vehicle is asked."""
MOST_SHARE = 0.5
"""Of those who would gain, asked at most: were all to move, they would meet again."""


def questions_after(
    trips: Trips,
    routes: Mapping[str, Route],
    driven: Driven,
    delays: Delays,
    costs: Costs,
    fleet: Sequence[str],
    share: float,
    generator: np.random.Generator,
    limits: Limits = NO_LIMITS,
) -> tuple[list[Question], int]:
    """The questions of a round, those with most to gain first, and how many vehicles would gain.

    Args:
        routes: what was driven in `driven`.
        costs: what is known of the streets since.
        share: of all vehicles, asked at most: what moves in a traffic decides how much that traffic changes, so a small
            fleet may move half of those who would gain.
        limits: no route beyond them is offered, and who is held is not asked.
    """
    gains = []
    for vehicle in fleet:
        if vehicle in limits.held:
            continue
        trip, drive = trips.vehicles[vehicle], driven.vehicles[vehicle]
        departure = trip.departure if drive.departed is None else drive.departed
        own = limits.costs(costs, vehicle)
        path = fastest_path(own, trip.start, trip.goal, departure)
        if path is None or path[0] == routes[vehicle]:
            continue
        gain = seconds_along(costs, routes[vehicle], departure) - path[1]
        if gain >= LEAST_GAIN and limits.allow(trips, vehicle, path[0]):
            gains.append((gain, vehicle, departure, path[0]))
    gains.sort(key=lambda row: -row[0])
    most = max(1, min(math.ceil(share * len(trips.vehicles)), math.ceil(MOST_SHARE * len(gains))))
    asked = one_of_two([row[1] for row in gains], delays, most)
    questions = []
    for _, vehicle, departure, fastest in gains:
        if vehicle in asked:
            trip = trips.vehicles[vehicle]
            own, most_detour = limits.costs(costs, vehicle), limits.most_detour(vehicle)
            offered = alternatives(trip, routes[vehicle], fastest, own, departure, most_detour)
            questions.append(ask(vehicle, offered, delays.of(vehicle), generator))
    return questions, len(gains)


def one_of_two(gainers: Sequence[str], delays: Delays, most: int) -> set[str]:
    """The first of the gainers, `most` at most, and of those who lost most in the same jam at most every second."""
    visits, jams = delays.visits, {}
    for vehicle in gainers:
        row = delays.worst_row(vehicle)
        if row is not None:
            jams[vehicle] = (int(visits.street[row]), int((visits.entered[row] - delays.begin) // INTERVAL))
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
