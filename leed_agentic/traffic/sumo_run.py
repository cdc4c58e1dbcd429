"""One run of SUMO's own program on routes from files, and what it says of every vehicle: no code of ours drives."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.roads.markup import Stream, beyond_limits
from leed_agentic.roads.programs import plain_name, run_program

TRIPINFO = "tripinfo.xml"
VEHICLE_ROUTES = "vehroutes.xml"
STATISTICS = "statistics.xml"
EDGE_DATA = "edgedata.xml"
DEFAULT_SEED = 23423
"""SUMO's own: who gives `sumo` no seed drives the same."""
TELEPORT_SECONDS = 300.0
"""SUMO's own."""
REROUTING = ("--device.rerouting.probability", "1", "--device.rerouting.period", "60")
"""SUMO's navigation device in every vehicle, asked once a minute; how it averages speeds is SUMO's default (180 s)."""


@dataclass(frozen=True, slots=True)
class Drive:
    """How one vehicle drove; times in seconds of the simulation, lengths in metres."""

    id: str
    type: str
    planned: float
    """When it wanted to depart."""
    departed: float | None
    """When it was inserted; None: never."""
    arrived: float | None
    """None: not by the end of the simulation."""
    route: tuple[str, ...]
    """Edges of its last route; empty for a vehicle that was never inserted."""
    exit_times: tuple[float, ...]
    """When it left each of these edges; -1 where it did not."""
    insertion_delay: float
    time_loss: float
    """Seconds lost on the way against driving alone at its own speed."""
    waiting: float
    length: float
    co2: float | None
    """Grams; None where emissions were not asked for."""

    def travel_time(self, end: float) -> float:
        """Seconds from the planned departure to the arrival, or to the end for a vehicle that did not arrive."""
        return (end if self.arrived is None else self.arrived) - self.planned

    @classmethod
    def of_nobody(cls, name: str, kind: str, end: float) -> Drive:
        """A vehicle whose departure lies behind the end: it counts as unfinished, and for no seconds."""
        return cls(name, kind, end, None, None, (), (), 0.0, 0.0, 0.0, 0.0, None)


@dataclass(frozen=True)
class Driven:
    """One run: all vehicles that wanted to depart before its end, in the order of SUMO's output."""

    vehicles: dict[str, Drive]
    begin: float
    end: float
    seed: int
    teleports: int
    collisions: int
    seconds: float
    """Wall-clock seconds that SUMO took."""

    @cached_property
    def travel_times(self) -> np.ndarray:
        """Seconds from planned departure to arrival, or to the end, shape (vehicles,)."""
        return np.array([drive.travel_time(self.end) for drive in self.vehicles.values()])

    @property
    def mean_travel_time(self) -> float:
        """Insertion delay included, unfinished vehicles to the end of the simulation."""
        return float(self.travel_times.mean())

    @cached_property
    def unfinished(self) -> int:
        """How many had not arrived by the end."""
        return sum(drive.arrived is None for drive in self.vehicles.values())


def drive_routes(
    net_file: Path,
    route_files: Sequence[Path],
    *,
    end: float,
    begin: float = 0.0,
    seed: int = DEFAULT_SEED,
    additional_files: Sequence[Path] = (),
    teleport_seconds: float = TELEPORT_SECONDS,
    edge_data_seconds: float | None = None,
    emissions: bool = False,
    options: Sequence[str] = (),
    folder: Path | None = None,
) -> Driven:
    """Drive what the route files hold (trips and flows too) in SUMO, in steps of a second.

    Args:
        end: seconds of the simulation at which it ends at the latest; vehicles on the way count to here.
        edge_data_seconds: also write the mean travel times of every edge over this many seconds to EDGE_DATA.
        options: further words for sumo, such as those of its rerouting device; they go before ours.
        folder: where SUMO's outputs stay; None: a temporary folder, which is removed.

    Raises:
        UsageError: SUMO refuses its input, with SUMO's own words, or no vehicle wanted to depart before `end`.
        UnavailableError: SUMO is missing or cannot be started.
    """
    with _working_folder(folder) as place:
        additional = list(additional_files)
        if edge_data_seconds:
            additional.append(edge_data_request(place, edge_data_seconds))
        words = [
            *options,
            *files_and_clock(
                net_file, route_files, additional, begin=begin, end=end, seed=seed, teleport_seconds=teleport_seconds
            ),
            *outputs(emissions),
            *("--no-step-log", "true", "--no-warnings", "true"),
        ]
        started = time.perf_counter()
        run_program("sumo", words, place, "SUMO cannot drive these routes")
        seconds = time.perf_counter() - started
        return read_driven(place, begin=begin, end=end, seed=seed, seconds=seconds)


def files_and_clock(
    net_file: Path,
    route_files: Sequence[Path],
    additional_files: Sequence[Path] = (),
    *,
    begin: float,
    end: float,
    seed: int,
    teleport_seconds: float,
    name: Callable[[Path], str] = lambda file: plain_name(file.absolute()),
) -> list[str]:
    """Option and value by turns: all that decides how SUMO drives, but for further options of the caller's.

    Args:
        name: what a file is called; its whole path, unless SUMO runs in its folder.
    """
    routes, additional = (",".join(map(name, files)) for files in (route_files, additional_files))
    return [
        *("--net-file", name(net_file), "--route-files", routes),
        *(("--additional-files", additional) if additional else ()),
        *("--begin", f"{begin:.10g}", "--end", f"{end:.10g}", "--seed", str(seed), "--step-length", "1"),
        *("--time-to-teleport", f"{teleport_seconds:g}", "--collision.action", "warn", "--junction-taz", "true"),
        *("--xml-validation", "never"),
    ]


def outputs(emissions: bool = False, folder: Path | None = None) -> list[str]:
    """Option and value by turns: what `read_driven` reads, in the folder; None: in that in which SUMO is started."""
    tripinfo, statistics, routes = (
        str(folder / name) if folder else name for name in (TRIPINFO, STATISTICS, VEHICLE_ROUTES)
    )
    return [
        *("--tripinfo-output", tripinfo, "--tripinfo-output.write-unfinished", "true"),
        *("--tripinfo-output.write-undeparted", "true", "--statistic-output", statistics),
        *("--vehroute-output", routes, "--vehroute-output.exit-times", "true"),
        *("--vehroute-output.last-route", "true", "--vehroute-output.write-unfinished", "true"),
        *(("--device.emissions.probability", "1") if emissions else ()),
    ]


def read_driven(folder: Path, *, begin: float, end: float, seed: int, seconds: float = 0.0) -> Driven:
    """The outputs that `drive_routes` left in a folder.

    Raises:
        UsageError: no vehicle wanted to depart before the end.
        UnavailableError: an output is missing or damaged.
    """
    try:
        routes = {vehicle.get("id", ""): _route(vehicle) for vehicle in elements(folder / VEHICLE_ROUTES, "vehicle")}
        vehicles = {}
        for row in elements(folder / TRIPINFO, "tripinfo"):
            drive = _drive(row, routes.get(row.get("id", ""), ((), ())), end)
            vehicles[drive.id] = drive
        counts = {row.tag: row.attrib for row in elements(folder / STATISTICS, "teleports", "safety")}
        teleports, collisions = int(counts["teleports"]["total"]), int(counts["safety"]["collisions"])
    except (OSError, ParseError, KeyError, ValueError) as error:
        raise UnavailableError(f"SUMO's output in {folder} cannot be read ({error}); drive it again.") from error
    if not vehicles:
        raise UsageError(f"No vehicle departs between {begin:g} and {end:g} s; give a later end or an earlier begin.")
    return Driven(vehicles, begin, end, seed, teleports, collisions, seconds)


def elements(file: Path, *tags: str) -> Iterator[Element]:
    """The elements of these tags of an XML file, plain or gzipped, one after the other; the file is never held whole.

    Raises:
        UsageError: the file cannot be read or unpacked.
        ParseError, ValueError: it is not well-formed, includes another file, or declares a document type.
    """
    from defusedxml.ElementTree import iterparse

    depth = 0
    ancestors: list[Any] = []
    for event, element in iterparse(Stream(file, "give a whole one"), events=("start", "end"), forbid_dtd=True):
        if event == "start":
            # SUMO goes by the name alone, whatever its namespace.
            if element.tag.rpartition("}")[2] == "include":
                raise ValueError("it includes another file")
            ancestors.append(element)
            if too_much := beyond_limits(element.attrib, len(ancestors)):
                raise ValueError(too_much)
            depth += element.tag in tags
            continue
        ancestors.pop()
        if element.tag in tags:
            depth -= 1
            yield element
        if not depth and ancestors:
            # Else its parent would hold it to the end of the file; whoever was given it may keep it.
            ancestors[-1].remove(element)


def _route(vehicle: Element) -> tuple[tuple[str, ...], tuple[float, ...]]:
    routes = list(vehicle.iter("route"))
    if not routes:
        return (), ()
    times = tuple(float(text) for text in (routes[-1].get("exitTimes") or "").split())
    return tuple((routes[-1].get("edges") or "").split()), times


def _drive(row: Element, route: tuple[tuple[str, ...], tuple[float, ...]], end: float) -> Drive:
    number = {key: float(row.attrib[key]) for key in ("depart", "departDelay", "arrival", "timeLoss", "routeLength")}
    departed = number["depart"] if number["depart"] >= 0 else None
    finished = number["arrival"] >= 0 and not row.get("vaporized")
    emissions = row.find("emissions")
    return Drive(
        id=row.attrib["id"],
        type=row.get("vType", ""),
        planned=round((end if departed is None else departed) - number["departDelay"], 2),
        departed=departed,
        arrived=number["arrival"] if finished else None,
        route=route[0],
        exit_times=route[1],
        insertion_delay=number["departDelay"],
        time_loss=number["timeLoss"],
        waiting=float(row.get("waitingTime", 0.0)),
        length=number["routeLength"],
        co2=float(emissions.attrib["CO2_abs"]) / 1000 if emissions is not None else None,
    )


def edge_data_request(folder: Path, seconds: float) -> Path:
    """An additional file, in `folder`, that has SUMO write EDGE_DATA there."""
    file = folder / "edgedata.add.xml"
    # What no car drove is left out; SUMO takes the free-flow time there.
    request = f'<edgeData id="edges" freq="{seconds:g}" file="{EDGE_DATA}" excludeEmpty="true"/>'
    file.write_text(f"<additional>{request}</additional>\n", encoding="utf-8")
    return file


@contextmanager
def _working_folder(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="leed-sumo-") as name:
            yield Path(name)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
