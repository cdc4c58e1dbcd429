"""A demand as SUMO writes it: who wants to go where and when, in one file of trips, and routes given to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

from leed_agentic.errors import UsageError
from leed_agentic.roads.programs import run_program
from leed_agentic.runs.files import write_text
from leed_agentic.traffic.driver_noise import DriverNoise, with_noise
from leed_agentic.traffic.sumo_run import elements

Route = tuple[str, ...]
_TYPES = ("vType", "vTypeDistribution")
_PLACES = ("from", "to", "fromJunction", "toJunction", "fromTaz", "toTaz", "via", "route")


@dataclass(frozen=True)
class TripFile:
    """Single trips in order of departure, with the vehicle types they need, in one file that SUMO reads."""

    file: Path
    trips: Mapping[str, Mapping[str, str]]
    """By vehicle: the attributes SUMO knows it by."""
    types: tuple[Element, ...]

    @classmethod
    def gather(cls, files: Sequence[Path], net_file: Path, folder: Path, noise: DriverNoise | None = None) -> TripFile:
        """One file, in `folder`, of what SUMO files of trips, flows and vehicles with routes hold.

        Of a vehicle with a route its first and last edge are kept; flows become single trips, by duarouter. A file may
        use the vehicle types of those before it.

        Args:
            noise: of all drivers; None: as the files say.

        Raises:
            UsageError: a file cannot be read or is refused by duarouter, an id is there twice, or there is no trip.
        """
        folder.mkdir(parents=True, exist_ok=True)
        trips: dict[str, dict[str, str]] = {}
        types: dict[str, Element] = {}
        for number, file in enumerate(files):
            for element in _read(_single_trips(file, net_file, folder / f"single-{number}.trips.xml", types)):
                name = element.get("id", "")
                if element.tag in _TYPES:
                    types[name] = element
                elif name in trips:
                    raise UsageError(f"{file} holds the vehicle {name!r} again; give every vehicle an id of its own.")
                else:
                    trips[name] = dict(element.attrib)
        if not trips:
            raise UsageError(f"There is no trip in {', '.join(map(str, files))}.")
        ordered = dict(sorted(trips.items(), key=lambda item: departure(item[1])))
        gathered = cls(folder / "demand.trips.xml", ordered, tuple(types.values()))
        gathered.write()
        if noise is None:
            return gathered
        noisy = folder / "noise"
        noisy.mkdir(exist_ok=True)
        (copy,) = with_noise([gathered.file], noise, noisy)
        return cls(copy, ordered, tuple(element for element in _read(copy) if element.tag in _TYPES))

    @cached_property
    def first(self) -> float:
        """Earliest departure, in seconds of the simulation."""
        return min(departure(trip) for trip in self.trips.values())

    @cached_property
    def last(self) -> float:
        """Latest departure."""
        return max(departure(trip) for trip in self.trips.values())

    def write_routes(self, file: Path, routes: Mapping[str, Route]) -> None:
        """The vehicles that have a route, each as its trip says but on that route, in order of departure.

        Raises:
            UsageError: a route is not one of this demand: a vehicle it does not have, or another start or end.
        """
        if strangers := sorted(set(routes) - set(self.trips)):
            raise UsageError(
                f"{len(strangers)} routes belong to no vehicle of the demand, such as {strangers[0]!r}; "
                "give the demand that these routes were made for."
            )
        root = Element("routes")
        root.extend(self.types)
        for name, trip in self.trips.items():
            if name in routes:
                _fits(name, trip, routes[name])
                kept = {key: value for key, value in trip.items() if key not in _PLACES}
                SubElement(SubElement(root, "vehicle", kept), "route", edges=" ".join(routes[name]))
        _save(root, file)

    def write(self) -> None:
        """Write `file` from trips and types."""
        root = Element("routes")
        root.extend(self.types)
        for trip in self.trips.values():
            SubElement(root, "trip", dict(trip))
        _save(root, self.file)


def read_routes(file: Path) -> dict[str, Route]:
    """The routes of a SUMO file, by vehicle.

    Raises:
        UsageError: it cannot be read or holds no vehicle with a route.
    """
    named: dict[str, str] = {}
    routes: dict[str, Route] = {}
    for element in _read(file, "vehicle", "route"):
        if element.tag == "route" and element.get("id"):
            named[element.attrib["id"]] = element.get("edges", "")
        elif element.tag == "vehicle":
            inner = list(element.iter("route"))
            edges = inner[-1].get("edges", "") if inner else named.get(element.get("route", ""), "")
            routes[element.get("id", "")] = tuple(edges.split())
    if not any(routes.values()):
        raise UsageError(f"{file} holds no vehicle with a route; give a .rou.xml file, or it as the --demand.")
    return routes


def departure(trip: Mapping[str, str]) -> float:
    """Seconds of the simulation; SUMO also writes days and clock times.

    Raises:
        UsageError: it is neither.
    """
    import sumolib

    try:
        return float(sumolib.miscutils.parseTime(trip["depart"]))
    except (KeyError, ValueError, TypeError):
        raise UsageError(
            f"Vehicle {trip.get('id', '')!r} departs at {trip.get('depart')!r}; give seconds or hh:mm:ss."
        ) from None


def _single_trips(file: Path, net_file: Path, single: Path, types: Mapping[str, Element]) -> Path:
    """The file itself where it holds nothing but trips, else what duarouter makes of it."""
    own: set[str] = set()
    plain = True
    for element in _read(file, "trip", "vehicle", "flow", "route", *_TYPES):
        plain = plain and element.tag in ("trip", *_TYPES)
        if element.tag in _TYPES:
            own.add(element.get("id", ""))
        elif element.tag == "flow" and not {"end", "number"} & element.attrib.keys():
            raise UsageError(f"{file}: flow {element.get('id')!r} has no end; give it an end or a number.")
    if plain:
        return file
    options = [
        *("--net-file", str(net_file.absolute()), "--route-files", str(file.absolute()), "--write-trips", "true"),
        *("--output-file", str(single.absolute()), "--unsorted-input", "true", "--junction-taz", "true"),
        *("--no-step-log", "true", "--no-warnings", "true", "--xml-validation", "never"),
    ]
    if others := [element for name, element in types.items() if name not in own]:
        root = Element("additional")
        root.extend(others)
        _save(root, single.with_suffix(".types.xml"))
        options += ["--additional-files", str(single.with_suffix(".types.xml").absolute())]
    run_program("duarouter", options, single.parent, f"{file} cannot be used as a demand")
    return single


def _read(file: Path, *tags: str) -> Iterator[Element]:
    try:
        yield from elements(file, *(tags or ("trip", *_TYPES)))
    except (OSError, EOFError, ParseError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as a SUMO route file ({error}).") from error


def _fits(name: str, trip: Mapping[str, str], route: Route) -> None:
    if not route:
        raise UsageError(f"The route of vehicle {name!r} is empty; give it one or leave the vehicle out.")
    if trip.get("from", route[0]) != route[0] or ("toJunction" not in trip and trip.get("to", route[-1]) != route[-1]):
        raise UsageError(
            f"The route of vehicle {name!r} leads from {route[0]} to {route[-1]}, its trip in the demand from "
            f"{trip.get('from')} to {trip.get('to')}; give the demand that these routes were made for."
        )


def _save(root: Element, file: Path) -> None:
    indent(root)
    write_text(file, tostring(root, encoding="unicode") + "\n")
