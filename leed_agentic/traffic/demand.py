"""A scenario from the user's own trips: SUMO's files, origin-destination matrices, CSV or scenario.json."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.runs.files import check_plain, is_named
from leed_agentic.setting_groups import ScenarioSettings
from leed_agentic.settings import Settings
from leed_agentic.traffic.closures import Closure, OpenStreets, read_closures
from leed_agentic.traffic.demand_files import kind_of, read_sumo
from leed_agentic.traffic.scenario import AgentTrip, BackgroundTrip, Scenario, VehicleType, draw_scenario
from leed_agentic.traffic.trip_table import read_table

EARLY = 300.0
"""Seconds: a demand that begins later than this sets the clock to its first departure."""
_FLEET = 0xF1EE7
log = logging.getLogger(__name__)

CROWD = 50
"""Agents from which on a fleet is its own traffic."""
WALKING = 1.4
"""Metres per second."""
FOREVER = 1e6
"""Seconds: later than the end of any episode."""


@dataclass
class Demand:
    """Vehicles in order of departure, and what their files say of them."""

    trips: list[BackgroundTrip] = field(default_factory=list)
    types: dict[str, VehicleType] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """By vehicle: the type that its file names, which may be a distribution of types."""
    remarks: list[str] = field(default_factory=list)


def in_traffic(settings: Settings, scenario: Scenario | None = None) -> bool:
    """Whether the agents meet others: a demand, further vehicles, or a crowd of their own; those of a scenario that was
    made already count as they are."""
    given = settings.scenario
    agents, others = (len(scenario.agents), scenario.background) if scenario else (given.agents, given.background)
    return bool(others or given.demand or given.background_demand) or agents >= CROWD


def scenario_for(network: RoadNetwork, settings: Settings, seed: int | None = None) -> Scenario:
    """The settings' scenario: their demand, or one drawn from the seed (the settings' own when None), with closures.

    Raises:
        UsageError: a file cannot be used, or a trip cannot be driven; the message names it.
    """
    wanted = settings.scenario
    drawn_from = settings.seed if seed is None else seed
    if wanted.demand:
        scenario = read_scenario(network, wanted, drawn_from)
    else:
        if wanted.fleet is not None:
            raise UsageError("scenario.fleet chooses among the vehicles of a demand; give one, or say --agents.")
        scenario = draw_scenario(network, wanted, drawn_from, settings.environment.planned_seconds)
    if wanted.background_demand:
        scenario = _with_others(scenario, read_demand(wanted.background_demand, network, wanted, drawn_from), wanted)
    if wanted.closures:
        scenario = replace(scenario, closures=read_closures(wanted.closures, network))
    if wanted.incidents:
        found = draw_incidents(network, scenario, wanted.incidents, drawn_from)
        scenario = replace(scenario, closures=(*scenario.closures, *found))
    scenario = _drivable(network, scenario, wanted.drop_unreachable)
    scenario.check(network)
    return scenario


def draw_incidents(network: RoadNetwork, scenario: Scenario, number: int, seed: int) -> tuple[Closure, ...]:
    """Streets of the agents' fastest paths that turn to walking pace once the last agent has departed; nobody is told.

    Never an agent's first street or its last: everybody has a way round. Fewer where the paths have not so many.
    """
    paths = [network.shortest_path(trip.start_edge, trip.goal) for trip in scenario.agents]
    ends = {edge for path in paths for edge in (path[0], path[-1])}
    streets = sorted({edge for path in paths for edge in path} - ends)
    drawn = np.random.default_rng([seed, 0x14C1D]).permutation(streets)[:number]
    begin = max(trip.departure for trip in scenario.agents) + 1
    return tuple(Closure((str(edge),), begin, FOREVER, WALKING, known=False) for edge in drawn)


def read_scenario(network: RoadNetwork, settings: ScenarioSettings, seed: int) -> Scenario:
    """The demand of the settings' files, with the fleet as its agents."""
    if [kind_of(file) for file in settings.demand] == ["scenario"] and settings.fleet is None:
        scenario = Scenario.load(settings.demand[0])
        _check_map(scenario, network, settings.demand[0])
        return replace(scenario, rerouting=scenario.rerouting or settings.background_routes == "rerouting")
    demand = read_demand(settings.demand, network, settings, seed)
    chosen = choose_fleet(demand, settings.fleet, seed)
    unfit = _unfit_agents(network, demand, [trip for trip in demand.trips if trip.id in chosen])
    if unfit:
        name, why = next(iter(unfit.items()))
        said = f"{len(unfit)} of {len(chosen)} vehicles cannot be agents on map {network.name}, such as {name!r}: {why}"
        if settings.fleet is not None and not settings.drop_unreachable:
            raise UsageError(
                f"{said}; choose another scenario.fleet, or leave them to the background with "
                "-s scenario.drop_unreachable=true."
            )
        log.warning("%s; they drive in the background.", said)
        chosen -= set(unfit)
    if not chosen:
        raise UsageError(f"No vehicle of {', '.join(map(str, settings.demand))} can be an agent; is the --map right?")
    agents = [trip for trip in demand.trips if trip.id in chosen]
    first = min(trip.departure for trip in demand.trips)
    return Scenario(
        network.name,
        seed,
        tuple(_agent(number, trip) for number, trip in enumerate(agents)),
        tuple(_other(network, trip, settings) for trip in demand.trips if trip.id not in chosen),
        types=tuple(demand.types.values()),
        begin=float(np.floor(first)) if first > EARLY else 0.0,
        rerouting=settings.background_routes == "rerouting",
    )


def read_demand(files: Sequence[Path], network: RoadNetwork, settings: ScenarioSettings, seed: int) -> Demand:
    """The vehicles of all files, each once.

    Raises:
        UsageError: a file cannot be read, an id is there twice, an edge is none of the map's, or there is no vehicle.
    """
    demand = Demand()
    sumo = []
    for file in files:
        kind = kind_of(file)
        if kind == "scenario":
            scenario = Scenario.load(file)
            _check_map(scenario, network, file)
            demand.types |= {known.id: known for known in scenario.types}
            demand.trips += [_as_wanted(trip) for trip in scenario.vehicles]
        elif kind == "table":
            demand.trips += read_table(file, network)
        else:
            sumo.append(file)
    if sumo:
        with tempfile.TemporaryDirectory(prefix="leed-demand-") as folder:
            found = read_sumo(sumo, network, Path(folder), seed, settings.drop_unreachable)
        demand.trips += found.trips
        demand.types |= found.types
        demand.kinds |= found.kinds
        demand.remarks += found.remarks
    if not demand.trips:
        raise UsageError(f"There is no vehicle in {', '.join(map(str, files))}.")
    names: set[str] = set()
    for trip in demand.trips:
        if trip.id in names:
            raise UsageError(f"The vehicle {trip.id!r} is in {', '.join(map(str, files))} twice; give each its own id.")
        names.add(trip.id)
    demand.trips.sort(key=lambda trip: trip.departure)
    for remark in demand.remarks:
        log.warning("%s", remark)
    return demand


def choose_fleet(demand: Demand, fleet: str | None, seed: int) -> set[str]:
    """Ids of the agents: all, a number, a share as 20%, those in a file, or those of a vType.

    Raises:
        UsageError: more than there are, an unknown id or type, or nobody.
    """
    ids = [trip.id for trip in demand.trips]
    if fleet is None:
        return set(ids)
    number, share = fleet.strip(), fleet.strip().removesuffix("%")
    if number.isdecimal() or (number.endswith("%") and share.replace(".", "", 1).isdecimal()):
        wanted = int(number) if number.isdecimal() else round(len(ids) * float(share) / 100)
        if not 0 < wanted <= len(ids):
            raise UsageError(
                f"A fleet of {fleet} is {wanted} of the {len(ids)} vehicles of the demand; ask for 1 to all."
            )
        return set(np.random.default_rng([seed, _FLEET]).choice(np.array(ids, dtype=object), wanted, replace=False))
    if is_named(fleet):
        try:
            text = check_plain(Path(fleet)).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise UsageError(f"Cannot read the fleet {fleet}: {error}.") from error
        chosen = {line.strip() for line in text.splitlines() if line.strip()}
        if strangers := sorted(chosen - set(ids)):
            raise UsageError(
                f"{len(strangers)} of the {len(chosen)} ids in {fleet} are not in the demand, such as {strangers[0]!r}."
            )
        if not chosen:
            raise UsageError(f"{fleet} is empty; write one id of a vehicle per line.")
        return chosen
    chosen = {trip.id for trip in demand.trips if fleet in (trip.type, demand.kinds.get(trip.id))}
    if not chosen:
        known = {trip.type for trip in demand.trips} | set(demand.kinds.values())
        raise UsageError(
            f"Fleet {fleet!r} is no number, share, file or vType of the demand; vTypes: {nearest(fleet, known)}"
        )
    return chosen


def _unfit_agents(network: RoadNetwork, demand: Demand, trips: Sequence[BackgroundTrip]) -> dict[str, str]:
    """Why vehicles cannot choose their own way, by id."""
    barred: dict[str, str | None] = {}
    unfit = {}
    for trip in trips:
        if trip.type not in barred:
            barred[trip.type] = _barred(network, demand.types.get(trip.type))
        why = barred[trip.type]
        for edge in (trip.start_edge, trip.destination_edge):
            if edge and not network.has_edge(edge):
                why = f"edge {edge} is not one from and to which a car can drive everywhere"
        if why:
            unfit[trip.id] = why
    return unfit


def _barred(network: RoadNetwork, kind: VehicleType | None) -> str | None:
    vehicle_class = kind.attributes.get("vClass", "passenger") if kind else "passenger"
    if kind is None or vehicle_class == "passenger":
        return None
    shut = [edge.id for edge in network.edges if not network.allows(edge.id, vehicle_class)]
    if not shut:
        return None
    return f"vType {kind.id} ({vehicle_class}) may not use {len(shut)} of the streets, such as {shut[0]}"


def _drivable(network: RoadNetwork, scenario: Scenario, drop: bool) -> Scenario:
    """The scenario without the trips that its closures make impossible; refused where that is not wanted."""
    if not scenario.closures:
        return scenario
    streets = OpenStreets(network, scenario.closures)
    stuck = [trip for trip in scenario.vehicles if not _has_way(streets, trip)]
    if not stuck:
        return scenario
    first, total = stuck[0], len(scenario.agents) + len(scenario.background)
    said = (
        f"The closures leave no way for {len(stuck)} of {total} trips, such as {first.id!r} from {first.start_edge} to "
        f"{first.destination_edge or first.destination}"
    )
    if not drop:
        raise UsageError(
            f"{said}; close fewer streets, or leave these trips out with -s scenario.drop_unreachable=true."
        )
    log.warning("%s; they are left out.", said)
    lost = {trip.id for trip in stuck}
    agents = [trip for trip in scenario.agents if trip.id not in lost]
    if not agents:
        raise UsageError(f"{said}; no agent is left. Close fewer streets.")
    return replace(
        scenario,
        agents=tuple(_renumbered(number, trip) for number, trip in enumerate(agents)),
        background=tuple(trip for trip in scenario.background if trip.id not in lost),
    )


def _has_way(streets: OpenStreets, trip: AgentTrip | BackgroundTrip) -> bool:
    if trip.start_edge in streets.closed(trip.departure):
        return False
    if not streets.network.has_edge(trip.start_edge) or (isinstance(trip, BackgroundTrip) and trip.route):
        # It keeps to its route, or looks for another as it departs.
        return True
    try:
        streets.path(trip.start_edge, trip.goal, trip.departure)
    except UsageError:
        return False
    return True


def _renumbered(number: int, trip: AgentTrip) -> AgentTrip:
    name = f"agent_{number}" if trip.id == f"agent_{trip.agent}" else trip.id
    return replace(trip, agent=number, id=name)


def _with_others(scenario: Scenario, others: Demand, settings: ScenarioSettings) -> Scenario:
    names = {trip.id for trip in scenario.vehicles}
    if double := [trip.id for trip in others.trips if trip.id in names]:
        raise UsageError(
            f"{len(double)} vehicles are in demand and background both, such as {double[0]!r}; give each its own id."
        )
    types = {kind.id: kind for kind in scenario.types}
    for name, kind in others.types.items():
        if types.setdefault(name, kind) != kind:
            raise UsageError(f"The demand and the background define the vType {name!r} differently; rename one.")
    kept = [t for t in others.trips if t.departure >= scenario.begin]
    if len(kept) < len(others.trips):
        log.warning(
            "%d background vehicles depart before %g s, when the clock starts; they are left out.",
            *(len(others.trips) - len(kept), scenario.begin),
        )
    background = [*scenario.background, *kept]
    return replace(
        scenario,
        background=tuple(sorted(background, key=lambda trip: trip.departure)),
        types=tuple(types.values()),
        rerouting=settings.background_routes == "rerouting",
    )


def _agent(number: int, trip: BackgroundTrip) -> AgentTrip:
    return AgentTrip(
        *(number, trip.start_edge, trip.destination, trip.departure),
        id=trip.id,
        destination_edge=trip.destination_edge,
        type=trip.type,
        attributes=trip.attributes,
    )


def _other(network: RoadNetwork, trip: BackgroundTrip, settings: ScenarioSettings) -> BackgroundTrip:
    if settings.background_routes == "fastest" and network.has_edge(trip.start_edge):
        last = trip.destination_edge or trip.route[-1]
        if network.has_edge(last):
            return replace(trip, route=())
    return trip


def _as_wanted(trip: AgentTrip | BackgroundTrip) -> BackgroundTrip:
    if isinstance(trip, BackgroundTrip):
        return trip
    return BackgroundTrip(
        *(trip.start_edge, trip.destination, trip.departure),
        id=trip.id,
        destination_edge=trip.destination_edge,
        type=trip.type,
        attributes=trip.attributes,
    )


def _check_map(scenario: Scenario, network: RoadNetwork, file: Path) -> None:
    if scenario.map != network.name:
        raise UsageError(f"{file} was made for map {scenario.map}, not for {network.name}; say --map {scenario.map}.")
