"""The agents' vehicles: which edges each has chosen, when it must choose again, and what drives behind its choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.settings import EnvironmentSettings
from leed_agentic.traffic.scenario import AgentTrip, Scenario
from leed_agentic.traffic.simulation import Simulation


@dataclass(slots=True)
class Vehicle:
    """One agent on the road."""

    trip: AgentTrip
    name: str
    chosen: list[Edge]
    """Every edge taken or chosen so far."""
    reach: list[float]
    """Free-flow seconds from the start of the first chosen edge to the end of each."""
    last: Edge
    """The edge at whose end the next choice is made."""
    heading_home: bool
    """No choice is left: the last chosen edge ends at the destination."""
    tail: list[str] = field(default_factory=list)
    """The fastest path behind the chosen edges, as SUMO has it."""
    inserted: bool = False
    rerouted: bool = False
    """Whether SUMO knows of every choice."""
    check_at: float = 0.0
    """Earliest time at which it could run out of chosen edges; until then nobody needs to look."""
    arrived_at: float | None = None
    missed: int = 0
    """Edges it drove that it had not chosen; they came from the fallback path."""
    looked_at: float = -1.0
    """When the next three were asked of SUMO; they hold until its clock moves."""
    position: int = 0
    """Index in `chosen` of the edge under the car; inside a junction, of the edge before."""
    in_junction: bool = False
    on_edge: float = 0.0
    """Seconds it takes at the speed limit from the start of the edge under the car to the car."""

    @classmethod
    def at_start(cls, trip: AgentTrip, name: str, edge: Edge) -> Vehicle:
        return cls(trip, name, [edge], [edge.travel_time], edge, edge.to_junction == trip.destination)

    def take(self, edge: Edge) -> None:
        """Append an edge to the chosen ones."""
        self.chosen.append(edge)
        self.reach.append(self.reach[-1] + edge.travel_time)
        self.last = edge
        self.heading_home = edge.to_junction == self.trip.destination


@dataclass
class Counters:
    """What falsifies rewards and travel times, per episode."""

    teleports: int = 0
    collisions: int = 0
    missed: int = 0
    illegal_actions: int = 0


@dataclass
class Fleet:
    """Drives the agents' vehicles in one simulation.

    A vehicle is asked for its next edge when it has entered the last edge it chose, and ahead of that where it could,
    at the speed limit, reach the end of its chosen edges within a step and a margin: SUMO crosses short edges
    between two looks (22 of Braunschweig's 153 edges take less than a second). Behind the choices always hangs the
    fastest path to the goal, so that no vehicle vanishes or brakes for want of a route.
    """

    network: RoadNetwork
    simulation: Simulation
    settings: EnvironmentSettings
    vehicles: dict[int, Vehicle] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)

    def start(self, scenario: Scenario, agents: Sequence[int]) -> None:
        """Place the agents at their start; the simulation must have been reset."""
        self.scenario = scenario
        self.counters = Counters()
        self.vehicles = {}
        for agent in agents:
            trip = scenario.agents[agent]
            self.vehicles[agent] = Vehicle.at_start(trip, f"agent_{agent}", self.network.edge(trip.start_edge))
        self._background = list(scenario.background)

    def choose(self, agent: int, edge: Edge) -> None:
        """Append an edge to the agent's choices; it must be a legal successor of the last one."""
        vehicle = self.vehicles[agent]
        vehicle.take(edge)
        if vehicle.rerouted and vehicle.tail and vehicle.tail[0] == edge.id:
            # SUMO's route already goes there; setting it again would cost more than the step.
            del vehicle.tail[0]
        else:
            vehicle.rerouted = False

    def must_choose(self, now: float) -> list[int]:
        """Agents that are on the last edge they chose, or could reach its end within a step and the margin."""
        horizon = self.settings.step_seconds + self.settings.margin_seconds
        waiting = []
        for agent, vehicle in self.vehicles.items():
            if now < vehicle.check_at:
                continue
            if vehicle.arrived_at is not None or vehicle.heading_home:
                vehicle.check_at = math.inf
                continue
            left = self._seconds_left(vehicle, now)
            entry = left - vehicle.last.travel_time
            if not vehicle.inserted:
                # The first choice is made in the step before departure, so that none of the trip is driven without one.
                entry -= self.settings.step_seconds
            vehicle.check_at = now + min(entry, left - horizon)
            if now >= vehicle.check_at and not vehicle.heading_home:
                waiting.append(agent)
        return waiting

    def fallback(self, agent: int) -> str:
        """The edge the fastest path takes from the agent's last chosen edge."""
        vehicle = self.vehicles[agent]
        return self.network.shortest_path(vehicle.last.id, vehicle.trip.destination)[1]

    def drive(self, now: float, until: float) -> list[int]:
        """Let SUMO run from `now` to `until`; returns the agents that arrived, with `arrived_at` set to the second."""
        could_arrive = False
        for vehicle in self.vehicles.values():
            if vehicle.arrived_at is not None:
                continue
            if not vehicle.rerouted:
                self._reroute(vehicle, now, until)
            if vehicle.heading_home and vehicle.inserted and not could_arrive:
                could_arrive = now + self._seconds_left(vehicle, now) <= until + 1
        self._insert_background(now, until)
        arrived = []
        # Second by second only when somebody may arrive, so that the arrival is known to the second.
        ends = range(int(now) + 1, int(until) + 1) if could_arrive else [until]
        for end in ends:
            names = self.simulation.advance(end)
            if names:
                for agent, vehicle in self.vehicles.items():
                    if vehicle.name in names:
                        vehicle.arrived_at = float(end)
                        arrived.append(agent)
            self.counters.teleports += self.simulation.api.simulation.getStartingTeleportNumber()
            self.counters.collisions += self.simulation.api.simulation.getCollidingVehiclesNumber()
        return arrived

    def _insert_background(self, now: float, until: float) -> None:
        while self._background and self._background[0].departure < until:
            trip = self._background.pop(0)
            name = f"background_{len(self._background)}"
            route = self.network.shortest_path(trip.start_edge, trip.destination)
            self.simulation.add(name, route, max(trip.departure, now))

    def _reroute(self, vehicle: Vehicle, now: float, until: float) -> None:
        if not vehicle.inserted and vehicle.trip.departure >= until:
            return
        vehicle.tail = self.network.shortest_path(vehicle.last.id, vehicle.trip.destination)[1:]
        if not vehicle.inserted:
            self.simulation.add(vehicle.name, [e.id for e in vehicle.chosen] + vehicle.tail, vehicle.trip.departure)
            vehicle.inserted = True
        else:
            self._look(vehicle, now)
            # Inside a junction a new route begins with the edge after it; the edge before would pull the car back.
            first = vehicle.position + vehicle.in_junction
            self.simulation.api.vehicle.setRoute(vehicle.name, [e.id for e in vehicle.chosen[first:]] + vehicle.tail)
        vehicle.rerouted = True

    def _seconds_left(self, vehicle: Vehicle, now: float) -> float:
        """Least seconds in which the vehicle can reach the end of its chosen edges, at the speed limit."""
        if not vehicle.inserted:
            return max(vehicle.trip.departure - now, 0.0) + vehicle.reach[-1]
        self._look(vehicle, now)
        behind = vehicle.reach[-1] - vehicle.reach[vehicle.position]
        if vehicle.in_junction:
            return behind
        return behind + vehicle.chosen[vehicle.position].travel_time - vehicle.on_edge

    def _look(self, vehicle: Vehicle, now: float) -> None:
        """Ask SUMO where the car is, once per time."""
        if vehicle.looked_at == now:
            return
        vehicle.looked_at = now
        api = self.simulation.api.vehicle
        # SUMO keeps the edges behind the car in its route, so the index counts our choices too.
        vehicle.position = max(api.getRouteIndex(vehicle.name), 0)
        if vehicle.position >= len(vehicle.chosen):
            self._catch_up(vehicle)
        road = api.getRoadID(vehicle.name)
        vehicle.in_junction = road[:1] == ":"
        if not vehicle.in_junction:
            # No road: it waits to be inserted, or is being teleported.
            speed = vehicle.chosen[vehicle.position].speed
            vehicle.on_edge = api.getLanePosition(vehicle.name) / speed if road else 0.0

    def _catch_up(self, vehicle: Vehicle) -> None:
        """It ran past its choices onto the fallback path: what it drove there counts as chosen."""
        driven = self.simulation.api.vehicle.getRoute(vehicle.name)[len(vehicle.chosen) : vehicle.position + 1]
        for edge in driven:
            vehicle.take(self.network.edge(edge))
        del vehicle.tail[: len(driven)]
        vehicle.missed += len(driven)
        self.counters.missed += len(driven)
