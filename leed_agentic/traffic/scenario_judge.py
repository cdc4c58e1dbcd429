"""A scenario as plain SUMO drives it: what coordination of its agents begins with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from leed_agentic.traffic.additional import in_order, type_of, vehicle_attributes
from leed_agentic.traffic.closures import OpenStreets
from leed_agentic.traffic.driver_noise import DriverNoise
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.judge import Judge
from leed_agentic.traffic.paths import Route
from leed_agentic.traffic.scenario import AgentTrip, BackgroundTrip, Scenario
from leed_agentic.traffic.signals import read_signals
from leed_agentic.traffic.simulation import options_of
from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.sumo_run import DEFAULT_SEED
from leed_agentic.traffic.trip_files import TripFile
from leed_agentic.traffic.trips import Trips

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """The trips of a scenario and where they are driven."""

    judge: Judge
    others: Mapping[str, Route]
    """The routes of the vehicles that are no agents."""
    left_out: tuple[str, ...]
    """Vehicles on streets that no car may drive, buses for example: plain SUMO is not given these."""

    @property
    def trips(self) -> Trips:
        return self.judge.trips


def stage(
    env: RouteEnv,
    scenario: Scenario,
    folder: Path,
    *,
    seeds: Sequence[int] = (DEFAULT_SEED,),
    noise: DriverNoise | None = None,
) -> Stage:
    """The scenario's vehicles, with the types, closures and lights that the environment has loaded.

    Args:
        folder: empty; it must stay for as long as the judge drives.
        noise: of all drivers; None: as in the environment.

    Raises:
        UsageError: a trip begins or ends where the net has no street for cars.
    """
    from defusedxml.ElementTree import fromstring

    network, settings = env.network, env.settings
    root: Element = fromstring(env.simulation.additional)
    types = root.findall("vType")
    for kind in types:
        root.remove(kind)
    additional = folder / "streets.add.xml"
    additional.write_text(tostring(root, encoding="unicode"), encoding="utf-8")
    # Actuated lights keep to a programme in the environment, which stands in the additional file.
    signals = read_signals(network.net_file, [additional])
    import sumolib

    graph = StreetGraph.read(sumolib.net.readNet(str(network.net_file), lxml=False), signals)
    streets = OpenStreets(network, scenario.closures)
    rows, others, left_out = {}, {}, []
    for trip in in_order(scenario):
        if isinstance(trip, BackgroundTrip):
            edges = list(trip.route) or streets.path(trip.start_edge, trip.goal, trip.departure)
            if not all(edge in graph.index for edge in edges):
                left_out.append(trip.id)
                continue
            others[trip.id] = tuple(graph.index[edge] for edge in edges)
            rows[trip.id] = _row(trip, edges[0], type_of(trip.type, scenario.rerouting), {"to": edges[-1]})
        else:
            rows[trip.id] = _row(trip, trip.start_edge, trip.type, _goal(trip))
    if left_out:
        _log.warning(
            "Coordination plans without %d vehicles on streets that are not for cars, such as %r.",
            len(left_out),
            left_out[0],
        )
    trips = Trips.of(TripFile(folder / "demand.trips.xml", rows, tuple(types)), graph)
    judge = Judge(
        trips,
        network.net_file,
        end=scenario.begin + env.max_steps * settings.step_seconds,
        begin=scenario.begin,
        seeds=seeds,
        noise=noise,
        additional_files=(additional,),
        teleport_seconds=settings.teleport_seconds,
        options=options_of(scenario, settings),
    )
    return Stage(judge, others, tuple(left_out))


def closed_streets(scenario: Scenario, graph: StreetGraph) -> frozenset[int]:
    """Streets that a known closure shuts at any time, without those on which a trip begins or may end."""
    shut = {e for closure in scenario.closures if closure.known and closure.speed is None for e in closure.edges}
    closed = {graph.index[edge] for edge in shut if edge in graph.index}
    for trip in scenario.agents:
        closed.discard(graph.index.get(trip.start_edge, -1))
        goal = (
            graph.goal(edge=trip.destination_edge) if trip.destination_edge else graph.goal(junction=trip.destination)
        )
        if closed.issuperset(goal):
            closed.difference_update(goal)
    return frozenset(closed)


def _row(trip: AgentTrip | BackgroundTrip, start: str, kind: str, goal: Mapping[str, str]) -> dict[str, str]:
    words = {"id": trip.id, "type": kind, "depart": f"{trip.departure:.10g}", "from": start, **goal}
    return words | vehicle_attributes(trip.attributes)


def _goal(trip: AgentTrip) -> dict[str, str]:
    return {"to": trip.destination_edge} if trip.destination_edge else {"toJunction": trip.destination}
