"""The agents' vehicles: which edges each has chosen, when it must choose again, and what drives behind its choice."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import Edge, Goal
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import EnvironmentSettings
from leed_agentic.traffic.additional import in_order, type_of
from leed_agentic.traffic.closures import OpenStreets
from leed_agentic.traffic.scenario import AgentTrip, BackgroundTrip, Scenario
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
    planned: Sequence[str] = ()
    """A route it was given; followed for as long as it chooses the same edges."""
    tail: list[str] = field(default_factory=list)
    """What lies behind the chosen edges, as SUMO has it: the rest of the given route, else the fastest path."""
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
    def at_start(cls, trip: AgentTrip, edge: Edge, planned: Sequence[str] = ()) -> Vehicle:
        on_route = planned if planned and planned[0] == edge.id else ()
        return cls(trip, trip.id, [edge], [edge.travel_time], edge, trip.ends_at(edge), on_route)

    def take(self, edge: Edge) -> None:
        """Append an edge to the chosen ones."""
        if self.planned and (len(self.planned) == len(self.chosen) or self.planned[len(self.chosen)] != edge.id):
            self.planned = ()
        self.chosen.append(edge)
        self.reach.append(self.reach[-1] + edge.travel_time)
        self.last = edge
        self.heading_home = self.trip.ends_at(edge)

    def forget(self, count: int) -> None:
        """Take the choices behind the first `count` back."""
        del self.chosen[count:], self.reach[count:]
        self.last = self.chosen[-1]
        self.heading_home = self.trip.ends_at(self.last)
        self.planned = ()
        self.rerouted = False
        self.check_at = 0.0


@dataclass
class Counters:
    """What falsifies rewards and travel times, per episode."""

    teleports: int = 0
    collisions: int = 0
    missed: int = 0
    illegal_actions: int = 0
    never_inserted: int = 0
    """Agents for which their first street had no room until the episode was cut off."""
    closed_in: int = 0
    """Times that a vehicle was sent through a closed street because no open one led to its goal."""


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

    def start(
        self, scenario: Scenario, agents: Sequence[int], routes: Mapping[int, Sequence[str]] | None = None
    ) -> None:
        """Place the agents at their start; the simulation must have been reset.

        Args:
            routes: edge ids by agent that SUMO is to know of from the start, so that a vehicle that takes them drives
                as it does in plain SUMO: which lane it keeps to depends on what lies ahead.
        """
        self.scenario = scenario
        self.counters = Counters()
        self.streets = OpenStreets(self.network, scenario.closures)
        self.now = scenario.begin
        self.others: dict[str, list[str]] = {}
        """The routes of the background vehicles that have been sent off."""
        self._routes_given = routes or {}
        self.vehicles = {}
        for agent in agents:
            trip = scenario.agents[agent]
            edge = self.network.edge(trip.start_edge)
            self.vehicles[agent] = Vehicle.at_start(trip, edge, self._routes_given.get(agent, ()))
        self._agents = {vehicle.name: agent for agent, vehicle in self.vehicles.items()}
        self._waiting = deque(in_order(scenario))
        self._arriving_at = 0.0

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
        self.now = now
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
        """The edge the fastest path takes from the agent's last chosen edge; if closures leave none, any next one."""
        vehicle = self.vehicles[agent]
        try:
            return self.streets.path(vehicle.last.id, vehicle.trip.goal, self.now)[1]
        except UsageError:
            return vehicle.last.successors[0]

    def waiting_to_depart(self) -> int:
        """How many agents have been sent off and are not on the streets for want of room."""
        departure = self.simulation.api.vehicle.getDeparture
        under_way = [v for v in self.vehicles.values() if v.inserted and v.arrived_at is None]
        # SUMO gives a large negative number to a vehicle that has not departed.
        return sum(departure(vehicle.name) < 0 for vehicle in under_way)

    def whole_route(self, agent: int) -> list[str]:
        """Edge ids of the agent's choices and of what SUMO has behind them."""
        vehicle = self.vehicles[agent]
        return [edge.id for edge in vehicle.chosen] + vehicle.tail

    def drive(self, now: float, until: float) -> list[int]:
        """Let SUMO run from `now` to `until`; returns the agents that arrived, with `arrived_at` set to the second."""
        self.now = now
        self._insert(now, until)
        could_arrive = False
        for vehicle in self.vehicles.values():
            if vehicle.arrived_at is not None:
                continue
            if vehicle.inserted and not vehicle.rerouted:
                self._reroute(vehicle, now)
            if vehicle.heading_home and vehicle.inserted and not could_arrive:
                could_arrive = now + self._seconds_left(vehicle, now) <= until + 1
        # What has begun before the first step is met in it.
        surprises = self.streets.surprises(now if now > self.scenario.begin else -math.inf, until)
        arrived = []
        # Second by second only when somebody may arrive, so that the arrival is known to the second.
        ends = [float(end) for end in range(int(now) + 1, int(until) + 1)] if could_arrive or surprises else [until]
        for end in ends:
            for name in self.simulation.advance(end):
                agent = self._agents.get(name)
                if agent is not None:
                    self.vehicles[agent].arrived_at = end
                    arrived.append(agent)
            self.counters.teleports += self.simulation.api.simulation.getStartingTeleportNumber()
            self.counters.collisions += self.simulation.api.simulation.getCollidingVehiclesNumber()
            if any(begin <= end for begin in surprises):
                surprises = [begin for begin in surprises if begin > end]
                self._divert(end)
        return sorted(arrived)

    def _insert(self, now: float, until: float) -> None:
        """Hand SUMO the vehicles that depart before `until`, in the order in which a route file would."""
        while self._waiting and (self._waiting[0].departure < until or self.scenario.rerouting):
            trip = self._waiting.popleft()
            if isinstance(trip, BackgroundTrip):
                route = self._others_route(trip, max(trip.departure, now))
                kind = type_of(trip.type, self.scenario.rerouting)
                self.others[trip.id] = route
                self.simulation.add(trip.id, route, max(trip.departure, now), kind, trip.attributes)
            elif trip.agent in self.vehicles:
                vehicle = self.vehicles[trip.agent]
                self._plan_tail(vehicle)
                route = [edge.id for edge in vehicle.chosen] + vehicle.tail
                self.simulation.add(vehicle.name, route, max(trip.departure, now), trip.type, trip.attributes)
                vehicle.inserted = vehicle.rerouted = True

    def _others_route(self, trip: BackgroundTrip, now: float) -> list[str]:
        if trip.route and not self.streets.blocks(trip.route[1:], now):
            return list(trip.route)
        if trip.route and not all(map(self.network.has_edge, (trip.route[0], trip.route[-1]))):
            # It uses streets that we know no way on; it waits where its own is closed.
            return list(trip.route)
        last = self.network.edge(trip.route[-1]) if trip.route else None
        goal = Goal(last.to_junction, last.id) if last else trip.goal
        try:
            return self.streets.path(trip.start_edge, goal, now)
        except UsageError:
            self.counters.closed_in += 1
            return list(trip.route) or self.network.shortest_path(trip.start_edge, goal)

    def _plan_tail(self, vehicle: Vehicle) -> None:
        if vehicle.planned:
            vehicle.tail = list(vehicle.planned[len(vehicle.chosen) :])
            return
        try:
            vehicle.tail = self.streets.path(vehicle.last.id, vehicle.trip.goal, self.now)[1:]
        except UsageError:
            # Closed in: it drives through, as if the streets were open.
            self.counters.closed_in += 1
            vehicle.tail = self.network.shortest_path(vehicle.last.id, vehicle.trip.goal)[1:]

    def _reroute(self, vehicle: Vehicle, now: float) -> None:
        self._plan_tail(vehicle)
        self._look(vehicle, now)
        # Inside a junction a new route begins with the edge after it; the edge before would pull the car back.
        first = vehicle.position + vehicle.in_junction
        route = [e.id for e in vehicle.chosen[first:]] + vehicle.tail
        try:
            vehicle.rerouted = self.simulation.set_route(vehicle.name, route)
        except UsageError:
            if not self.counters.teleports:
                raise
            vehicle.rerouted = self._find_again(vehicle)

    def _find_again(self, vehicle: Vehicle) -> bool:
        """SUMO has lifted cars over a jam, and this one is not where its choices say; returns whether it takes them
        now. Else it keeps SUMO's route for a step, and what it drove there counts as chosen."""
        driven = list(self.simulation.api.vehicle.getRoute(vehicle.name)[: vehicle.position + 1])
        chosen = [edge.id for edge in vehicle.chosen]
        same = next((k for k, edge in enumerate(driven) if chosen[k : k + 1] != [edge]), len(driven))
        if same < len(driven):
            vehicle.forget(max(same, 1))
            for edge in driven[max(same, 1) :]:
                vehicle.take(self.network.edge(edge))
            vehicle.missed += len(driven) - same
            self.counters.missed += len(driven) - same
            return False
        try:
            # Put down in a junction, it has the edge behind that before it, though SUMO counts it already.
            return self.simulation.set_route(vehicle.name, chosen[vehicle.position :] + vehicle.tail)
        except UsageError:
            return False

    def _divert(self, now: float) -> None:
        """Everybody whose way a closure has just cut looks for another."""
        self.now = now
        closed = self.streets.closed(now)
        for vehicle in self.vehicles.values():
            if not vehicle.inserted or vehicle.arrived_at is not None:
                continue
            self._look(vehicle, now)
            ahead = [k for k in range(vehicle.position + 1, len(vehicle.chosen)) if vehicle.chosen[k].id in closed]
            # Inside a junction it has all but entered the next edge.
            ahead = [k for k in ahead if not (vehicle.in_junction and k == vehicle.position + 1)]
            if ahead:
                vehicle.forget(ahead[0])
            elif closed.isdisjoint(vehicle.tail):
                continue
            vehicle.planned = ()
            self._reroute(vehicle, now)
        api = self.simulation.api.vehicle
        for name in self.simulation.under_way:
            if name in self._agents or api.getRoadID(name) == "":
                continue
            route, at = list(api.getRoute(name)), api.getRouteIndex(name)
            first = at + (api.getRoadID(name)[:1] == ":")
            if (
                first + 1 >= len(route)
                or closed.isdisjoint(route[first + 1 :])
                or not self.network.has_edge(route[first])
            ):
                continue
            last = self.network.edge(route[-1]) if self.network.has_edge(route[-1]) else None
            if last is None:
                continue
            try:
                path = self.streets.path(route[first], Goal(last.to_junction, last.id), now)
            except UsageError:
                continue
            if self.simulation.set_route(name, path):
                self.others[name] = [*route[:first], *path]

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
