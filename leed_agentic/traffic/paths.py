"""The fastest path of one vehicle that departs at one second: street times that change, red lights, closed streets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from leed_agentic.traffic.signals import Waits
from leed_agentic.traffic.street_graph import Goal, StreetGraph

PER_JUNCTION = 1.0
"""Seconds a car needs to cross a junction: no street's length holds them."""
START_UP = 3.0
"""Seconds a car loses by braking for a red light and starting again, beyond the wait itself."""

Route = tuple[int, ...]
"""Indices of streets, in the order driven."""


@dataclass(frozen=True)
class Costs:
    """What a driver expects of the streets.

    A street takes its free-flow seconds, plus what others were found to lose there at that time (`extra`); with
    `lights` also a second per junction and the wait at every static light at the second of arrival. `penalty`
    multiplies a street's seconds for the choice of a path only, so that another one is found; closed streets are not
    entered.
    """

    graph: StreetGraph
    lights: bool = False
    extra: Mapping[int, float] = field(default_factory=dict)
    """Seconds by street * intervals + interval of entry; see StreetTimes."""
    interval: float = 30.0
    intervals: int = 1
    begin: float = 0.0
    closed: frozenset[int] = frozenset()

    @property
    def per_junction(self) -> float:
        return PER_JUNCTION if self.lights else 0.0

    def added(self, street: int, entered: float) -> float:
        """Seconds lost on the street by a car that enters it at this second."""
        interval = int((entered - self.begin) / self.interval)
        return self.extra.get(street * self.intervals + interval, 0.0) if 0 <= interval < self.intervals else 0.0


def seconds_along(costs: Costs, route: Sequence[int], departure: float) -> float:
    """What a route is expected to take, from entering its first street to the end of its last; infinite if closed."""
    return street_seconds(costs, route, departure)[-1] - departure


def street_seconds(costs: Costs, route: Sequence[int], departure: float) -> list[float]:
    """The second at which a car is expected to leave each street of a route."""
    if not costs.closed.isdisjoint(route):
        return [math.inf] * len(route)
    graph, time, ends = costs.graph, departure, []
    for position, street in enumerate(route):
        entered = time
        time += graph.free[street] + (costs.per_junction if position else 0.0)
        if costs.lights and position + 1 < len(route):
            waits = _waits(graph, street, route[position + 1])
            wait = waits.at(time) if waits else 0.0
            time += wait + START_UP if wait else 0.0
        time += costs.added(street, entered)
        ends.append(float(time))
    return ends


def fastest_path(
    costs: Costs, start: int, goal: Goal, departure: float, penalty: Mapping[int, float] | None = None
) -> tuple[Route, float] | None:
    """The path on which a car that enters `start` at `departure` is expected to arrive first, and its seconds.

    A* with the free-flow seconds to the destination as bound: exact as long as who enters a street later does not leave
    it earlier (measured times of neighbouring intervals may break that by a few seconds).

    Returns:
        None where no open way leads to the goal.
    """
    graph, lights, closed = costs.graph, costs.lights, costs.closed
    bound = graph.bound(goal, costs.per_junction)
    if start in closed or math.isinf(bound[start]):
        return None
    free, links, extra, intervals, interval = graph.free_list, graph.links, costs.extra, costs.intervals, costs.interval
    per_junction, begin, factors = costs.per_junction, costs.begin, penalty or {}
    ends = frozenset(goal)
    # An entry: bound on arrival, second at the stop line, second of entry, street (~street: its end), street before.
    line = departure + free[start] * factors.get(start, 1.0)
    heap: list[tuple[float, float, float, int, int]] = [(line + bound[start], line, departure, start, -1)]
    best: dict[int, float] = {start: line}
    before: dict[int, int] = {}
    while heap:
        _, line, entered, street, previous = heappop(heap)
        if street < 0:
            path = _back(before, ~street, start)
            return path, seconds_along(costs, path, departure) if factors else line - departure
        if street in before:
            continue
        before[street] = previous
        leaves = line
        slot = int((entered - begin) / interval)
        if extra and 0 <= slot < intervals:
            leaves += extra.get(street * intervals + slot, 0.0) * factors.get(street, 1.0)
        if street in ends:
            heappush(heap, (leaves, leaves, entered, ~street, previous))
            continue
        for after, waits in links[street]:
            if after in before or after in closed:
                continue
            enters = leaves
            if lights and waits is not None:
                wait = waits.seconds[int(line - waits.offset) % len(waits.seconds)]
                if wait:
                    enters += wait + START_UP
            reaches = enters + per_junction + free[after] * factors.get(after, 1.0)
            if reaches < best.get(after, math.inf):
                best[after] = reaches
                heappush(heap, (reaches + bound[after], reaches, enters, after, street))
    return None


def _back(before: Mapping[int, int], last: int, start: int) -> Route:
    route = [last]
    while route[-1] != start:
        route.append(before[route[-1]])
    return tuple(reversed(route))


def _waits(graph: StreetGraph, street: int, after: int) -> Waits | None:
    return next((waits for n, waits in graph.links[street] if n == after), None)
