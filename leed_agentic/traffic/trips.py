"""A demand on the streets of a graph: where each vehicle enters, when, and where its trip may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leed_agentic.errors import UsageError
from leed_agentic.traffic.paths import Route
from leed_agentic.traffic.street_graph import Goal, StreetGraph
from leed_agentic.traffic.trip_files import TripFile, departure


@dataclass(frozen=True)
class Trip:
    """One vehicle: enters `start` at `departure` at the earliest and wants to reach the end of a street of `goal`."""

    id: str
    departure: float
    start: int
    goal: Goal


@dataclass(frozen=True)
class Trips:
    """The vehicles of a demand, in order of departure."""

    graph: StreetGraph
    demand: TripFile
    vehicles: Mapping[str, Trip]

    @classmethod
    def of(cls, demand: TripFile, graph: StreetGraph) -> Trips:
        """Trips from an edge to an edge or a junction.

        Raises:
            UsageError: a trip begins or ends elsewhere, or names a street or junction that the net does not have.
        """
        return cls(graph, demand, {name: _trip(name, trip, graph) for name, trip in demand.trips.items()})

    def write_routes(self, file: Path, routes: Mapping[str, Route]) -> None:
        """A SUMO route file of the vehicles that have a route, each as the demand says but on that route.

        Raises:
            UsageError: a route is not one of this demand.
        """
        ids = self.graph.ids
        self.demand.write_routes(file, {name: tuple(ids[e] for e in route) for name, route in routes.items()})


def _trip(name: str, trip: Mapping[str, str], graph: StreetGraph) -> Trip:
    if "from" not in trip or not {"to", "toJunction"} & trip.keys() or trip.get("via"):
        raise UsageError(
            f"Vehicle {name!r} does not go from an edge to an edge or a junction; let duarouter write its trip so."
        )
    goal = graph.goal(edge=trip["to"]) if "to" in trip else graph.goal(junction=trip["toJunction"])
    return Trip(name, departure(trip), graph.street(trip["from"]), goal)
