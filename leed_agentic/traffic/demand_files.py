"""SUMO's demand files: checked here, read by SUMO's own od2trips and duarouter."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import ParseError

from leed_agentic.errors import UsageError
from leed_agentic.roads.markup import MarkupError, chunks, packing, scan
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.programs import plain_link, run_program
from leed_agentic.traffic.additional import VEHICLE_ATTRIBUTES
from leed_agentic.traffic.scenario import VEHICLE_TYPE, BackgroundTrip, VehicleType
from leed_agentic.traffic.sumo_run import elements

DEFAULT_TYPE = "DEFAULT_VEHTYPE"
"""What SUMO calls the type of vehicles that name none."""
_ADVICE = "give the file that your tool wrote"
_PEOPLE = ("person", "personFlow", "container", "containerFlow", "personTrip")
_PLACES = ("id", "type", "depart", "from", "to", "fromTaz", "toTaz", "fromJunction", "toJunction", "via", "route")


@dataclass
class Found:
    """What duarouter made of the files: every vehicle by itself, with a route."""

    trips: list[BackgroundTrip] = field(default_factory=list)
    types: dict[str, VehicleType] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@dataclass
class _Seen:
    """What the files say themselves."""

    vehicles: dict[str, str] = field(default_factory=dict)
    """Trips, vehicles and flows by id: their tag."""
    goals: dict[str, str] = field(default_factory=dict)
    """The junctions that those of them lead to that lead to one."""
    kinds: dict[str, str] = field(default_factory=dict)
    ends: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The edges on which those of them begin and end that name some."""
    classes: dict[str, str] = field(default_factory=dict)
    """The vehicle classes of the types that the files define."""
    default: dict[str, str] = field(default_factory=dict)
    """Attributes of SUMO's default type, where a file sets them."""
    with_route: set[str] = field(default_factory=set)
    strangers: dict[str, str] = field(default_factory=dict)
    """Edges or junctions that the map lacks, by vehicle."""
    left_out: Counter[str] = field(default_factory=Counter)
    zones: bool = False
    relations: bool = False


def kind_of(file: Path) -> str:
    """What a file of demand holds, by its first characters: scenario, sumo, matrix or table.

    Raises:
        UsageError: it cannot be read, or is empty.
    """
    head = b""
    for piece in chunks(file, _ADVICE):
        head += piece
        if len(head.strip(b"\xef\xbb\xbf \t\r\n")) > 1:
            break
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        raise UsageError(f"{file} is empty; give a file of trips.")
    return {b"{": "scenario", b"<": "sumo", b"$": "matrix"}.get(start, "table")


def read_sumo(files: Sequence[Path], network: RoadNetwork, folder: Path, seed: int, drop: bool) -> Found:
    """The vehicles of SUMO's files, trips on fastest paths and vehicles with a route on that.

    Args:
        folder: a place for what SUMO's tools write.
        drop: leave out what cannot be driven.

    Raises:
        UsageError: a file cannot be used; the message names it and the vehicle.
    """
    seen = _Seen()
    plain: list[Path] = []
    zones: list[Path] = []
    matrices: list[Path] = []
    relations: list[Path] = []
    routes: list[Path] = []
    for number, file in enumerate(files):
        # A name without commas, ending as SUMO wants it.
        name = {"gzip": ".xml.gz", None: ".xml"}.get(packing(file))
        if name is None:
            raise UsageError(f"SUMO does not unpack {file}; unpack it first, or pack it with gzip.")
        plain.append(folder / f"{number}{name}")
        plain_link(file, plain[-1])
        if kind_of(file) == "matrix":
            _check_matrix(file)
            matrices.append(plain[-1])
            continue
        seen.zones = seen.relations = False
        _scan(file, seen, network)
        (zones if seen.zones else relations if seen.relations else routes).append(plain[-1])
    if matrices or relations:
        if not zones:
            raise UsageError(
                f"{files[0]} is an origin-destination matrix; give the file of its zones as well: --demand TAZ.xml "
                "--demand MATRIX."
            )
        trips = _trips_of_matrices(zones, matrices, relations, folder, seed)
        _scan(trips, seen, network)
        routes.append(trips)
    elif zones and not routes:
        raise UsageError(f"{files[0]} holds zones alone; give the origin-destination matrix as a second --demand.")
    if not seen.vehicles:
        raise UsageError(f"There is no trip, vehicle or flow in {', '.join(map(str, files))}.")
    _check_edges(files, seen, network)
    found = _routed(files, network, seen, zones, routes, folder, seed)
    _check_lost(found, seen, drop, network)
    if seen.left_out:
        parts = ", ".join(f"{count} {what}" for what, count in sorted(seen.left_out.items()))
        found.remarks.append(f"Of {', '.join(map(str, files))} the following is not driven: {parts}.")
    return found


def _scan(file: Path, seen: _Seen, network: RoadNetwork) -> None:
    inside = ""

    def start(tag: str, words: dict[str, str]) -> None:
        nonlocal inside
        name = words.get("id", "")
        if tag in ("trip", "vehicle", "flow"):
            _vehicle(file, tag, name, words, seen)
            inside = name
        elif tag in ("taz", "tazs"):
            seen.zones = True
        elif tag == "tazRelation":
            seen.relations = True
            _not_negative(file, words.get("count", "0"), f"from {words.get('from')} to {words.get('to')}")
        elif tag == "vType":
            seen.classes[name] = words.get("vClass", "passenger")
            if name == DEFAULT_TYPE:
                seen.default |= words
        elif tag in ("stop", *_PEOPLE):
            seen.left_out[f"{tag}s"] += 1
        for edge in _edges(tag, words):
            if network.allows(edge) is None:
                seen.strangers.setdefault(inside or name, edge)
        if tag == "route" and not name:
            seen.with_route.add(inside)
        if junction := words.get("toJunction"):
            seen.goals[name] = junction
        for junction in (words.get("fromJunction"), words.get("toJunction")):
            if junction and not network.has_junction(junction):
                seen.strangers.setdefault(name, junction)

    def end(tag: str) -> None:
        nonlocal inside
        if tag in ("trip", "vehicle", "flow"):
            inside = ""

    try:
        scan(chunks(file, _ADVICE), start, end)
    except MarkupError as error:
        raise UsageError(f"{file} cannot be read as a SUMO demand: {error}; {_ADVICE}.") from error


def _vehicle(file: Path, tag: str, name: str, words: dict[str, str], seen: _Seen) -> None:
    if not name:
        raise UsageError(f"{file} holds a {tag} without an id; give every vehicle one.")
    if name in seen.vehicles:
        raise UsageError(f"{file} holds the id {name!r} a second time; give every vehicle its own.")
    seen.vehicles[name] = tag
    seen.ends[name] = tuple(words[place] for place in ("from", "to") if place in words)
    if "type" in words:
        seen.kinds[name] = words["type"]
    if "route" in words:
        seen.with_route.add(name)
    if tag == "flow":
        if "end" not in words and "number" not in words:
            raise UsageError(f"{file}: flow {name!r} has no end; give it an end or a number.")
    else:
        depart = words.get("depart", "")
        import sumolib

        try:
            seconds = float(sumolib.miscutils.parseTime(depart))
        except (ValueError, TypeError):
            seconds = math.nan
        if not math.isfinite(seconds) or seconds < 0:
            raise UsageError(f"{file}: vehicle {name!r} departs at {depart[:40]!r}; give seconds of 0 or more.")
    for other in set(words) - set(VEHICLE_ATTRIBUTES) - set(_PLACES):
        if tag != "flow" and other not in ("color",):
            seen.left_out[f"attributes {other}"] += 1


def _edges(tag: str, words: dict[str, str]) -> list[str]:
    if tag in ("trip", "vehicle", "flow"):
        return [edge for key in ("from", "to", "via") for edge in words.get(key, "").split()]
    return words.get("edges", "").split() if tag == "route" else []


def _check_edges(files: Sequence[Path], seen: _Seen, network: RoadNetwork) -> None:
    if not seen.strangers:
        return
    name, place = next(iter(seen.strangers.items()))
    where = ", ".join(map(str, files))
    if len(seen.strangers) >= len(seen.vehicles):
        raise UsageError(
            f"No vehicle of {where} is on map {network.name}, which has no {place!r}; is it for another map?"
        )
    try:
        network.edge(place)
    except UsageError as error:
        raise UsageError(f"{where}: {len(seen.strangers)} vehicles, first {name!r}: {error}") from None


def _check_matrix(file: Path) -> None:
    lines = b"".join(chunks(file, _ADVICE)).decode("utf-8", "replace").splitlines()
    rows = [line.split() for line in lines[1:] if line.strip() and not line.startswith(("*", "$"))]
    rows_of_cells = lines[0].startswith("$O")
    for row in rows:
        cells = [row[2]] if rows_of_cells and len(row) == 3 else [] if rows_of_cells else row
        for cell in cells:
            _not_negative(file, cell, f"from {row[0]} to {row[1]}" if rows_of_cells else f"in {' '.join(row)[:60]}")


def _not_negative(file: Path, cell: str, where: str) -> None:
    try:
        value = float(cell)
    except ValueError:
        return
    if not value >= 0:
        raise UsageError(f"{file}: the trips {where} are {cell}; a number of trips is 0 or more.")


def _trips_of_matrices(
    zones: Sequence[Path], matrices: Sequence[Path], relations: Sequence[Path], folder: Path, seed: int
) -> Path:
    file = folder / "od.trips.xml"
    options = [
        *("--taz-files", _joined(zones), "--output-file", str(file), "--seed", str(seed % 2**31)),
        *("--no-step-log", "true", "--prefix", "od"),
        *(("--od-matrix-files", _joined(matrices)) if matrices else ()),
        *(("--tazrelation-files", _joined(relations)) if relations else ()),
    ]
    run_program("od2trips", options, folder, "The origin-destination matrix cannot be used")
    return file


def _routed(
    files: Sequence[Path],
    network: RoadNetwork,
    seen: _Seen,
    zones: Sequence[Path],
    routes: Sequence[Path],
    folder: Path,
    seed: int,
) -> Found:
    file = folder / "demand.rou.xml"
    net = folder / ("map.net.xml.gz" if packing(network.net_file) == "gzip" else "map.net.xml")
    plain_link(network.net_file, net)
    options = [
        *("--net-file", str(net), "--route-files", _joined(routes), "--output-file", str(file)),
        *(("--additional-files", _joined(zones)) if zones else ()),
        *("--junction-taz", "true", "--unsorted-input", "true", "--skip-new-routes", "true", "--ignore-errors", "true"),
        *("--seed", str(seed % 2**31), "--no-step-log", "true", "--no-warnings", "true", "--xml-validation", "never"),
    ]
    run_program("duarouter", options, folder, f"{', '.join(map(str, files))} cannot be used as a demand")
    found = Found()
    if seen.default:
        found.types[VEHICLE_TYPE] = VehicleType(VEHICLE_TYPE, _without_id(seen.default))
    try:
        for element in elements(file, "vehicle", "vType"):
            if element.tag == "vType":
                parameters = {p.get("key", ""): p.get("value", "") for p in element.iter("param")}
                name = element.get("id", "")
                found.types[name] = VehicleType(name, _without_id(element.attrib), parameters)
                continue
            trip = _trip(element.attrib, element.find("route"), seen, network)
            if trip is not None:
                found.trips.append(trip)
                source = _source(trip.id, seen)
                if source in seen.kinds:
                    found.kinds[trip.id] = seen.kinds[source]
    except (OSError, ParseError, KeyError, ValueError) as error:
        raise UsageError(f"duarouter's reading of {', '.join(map(str, files))} is damaged ({error}).") from error
    return found


def _trip(words: dict[str, str], route: object, seen: _Seen, network: RoadNetwork) -> BackgroundTrip | None:
    edges = tuple((getattr(route, "attrib", {}).get("edges") or "").split())
    if not edges:
        return None
    source = _source(words["id"], seen)
    junction = seen.goals.get(source)
    last = network.edge(edges[-1]) if network.has_edge(edges[-1]) else None
    to_edge = junction is None
    if junction is None:
        junction = last.to_junction if last else ""
    # What goes on its fastest path says so by having no route.
    free = source not in seen.with_route and network.has_edge(edges[0]) and last is not None
    return BackgroundTrip(
        *(edges[0], junction, float(words["depart"])),
        id=words["id"],
        destination_edge=edges[-1] if to_edge else None,
        type=words.get("type", VEHICLE_TYPE),
        attributes={name: words[name] for name in VEHICLE_ATTRIBUTES if name in words},
        route=() if free and all(map(network.has_edge, edges)) else edges,
    )


def _source(name: str, seen: _Seen) -> str:
    """The id that a vehicle has in its file: that of its flow, for one of a flow."""
    return name if name in seen.vehicles else name.rpartition(".")[0]


def _check_lost(found: Found, seen: _Seen, drop: bool, network: RoadNetwork) -> None:
    driven = {_source(trip.id, seen) for trip in found.trips}
    lost = [name for name in seen.vehicles if name not in driven]
    if not lost:
        return
    vehicle_class = seen.classes.get(seen.kinds.get(lost[0], DEFAULT_TYPE), "passenger")
    barred = [edge for edge in seen.ends[lost[0]] if network.allows(edge, vehicle_class) is False]
    why = f"a {vehicle_class} may not use {barred[0]}" if barred else "no way leads there"
    said = (
        f"{len(lost)} of {len(seen.vehicles)} trips and flows cannot be driven on this map, such as {lost[0]!r}: {why}"
    )
    if not drop or not found.trips:
        raise UsageError(f"{said}; mend them, or leave them out: -s scenario.drop_unreachable=true.")
    found.remarks.append(f"{said}; they are left out.")


def _without_id(words: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in words.items() if name not in ("id", "probability")}


def _joined(files: Sequence[Path]) -> str:
    return ",".join(map(str, files))
