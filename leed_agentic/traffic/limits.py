"""What the routes of a fleet must keep to, whatever it costs: closed streets, streets of one's own, longest detours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from leed_agentic.errors import UsageError
from leed_agentic.traffic.paths import Costs, Route, fastest_path, seconds_along
from leed_agentic.traffic.trips import Trip, Trips


@dataclass(frozen=True)
class Limits:
    """Limits of all vehicles, and of single ones by their ids."""

    closed: frozenset[int] = frozenset()
    """Streets that nobody may enter."""
    barred: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Streets that a vehicle may not enter, besides."""
    held: Mapping[str, Route] = field(default_factory=dict)
    """Routes that vehicles keep: they are not asked."""
    max_detour: float | None = None
    """A route takes at most this many times the free-flow seconds of the vehicle's fastest."""
    detours: Mapping[str, float] = field(default_factory=dict)
    """The same of single vehicles; the smaller one counts."""

    def __post_init__(self) -> None:
        for most in (self.max_detour, *self.detours.values()):
            if most is not None and most < 1:
                raise UsageError(f"max_detour is a factor of 1 or more, not {most:g}.")

    def costs(self, costs: Costs, vehicle: str) -> Costs:
        """The costs with the streets closed that this vehicle may not enter."""
        closed = self.closed | self.barred.get(vehicle, frozenset())
        return costs if closed <= costs.closed else replace(costs, closed=costs.closed | closed)

    def most_detour(self, vehicle: str) -> float | None:
        given = [most for most in (self.max_detour, self.detours.get(vehicle)) if most is not None]
        return min(given, default=None)

    def allow(self, trips: Trips, vehicle: str, route: Route) -> bool:
        """Whether the vehicle may take the route."""
        if vehicle in self.held:
            return route == self.held[vehicle]
        alone = self.costs(Costs(trips.graph), vehicle)
        if not alone.closed.isdisjoint(route):
            return False
        most = self.most_detour(vehicle)
        return most is None or detour(alone, trips.vehicles[vehicle], route) <= most


NO_LIMITS = Limits()


def detour(alone: Costs, trip: Trip, route: Route) -> float:
    """How many times the free-flow seconds of the trip's fastest way a route takes."""
    fastest = fastest_path(alone, trip.start, trip.goal, trip.departure)
    return seconds_along(alone, route, trip.departure) / fastest[1] if fastest else 1.0
