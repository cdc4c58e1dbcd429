"""A driven run in the formats of others: GeoJSON and CSV by us, all else by SUMO itself from the run's folder."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest
from leed_agentic.roads.markup import check_markup
from leed_agentic.roads.programs import run_program
from leed_agentic.runs.files import copy_file, whole_file, write_text
from leed_agentic.runs.folder import check_links
from leed_agentic.traffic.measures import FleetMeasures, measure
from leed_agentic.traffic.positions import FILE as POSITIONS
from leed_agentic.traffic.positions import read_fcd
from leed_agentic.traffic.reproduction import CONFIG, FLEET, read_config
from leed_agentic.traffic.sumo_run import (
    EDGE_DATA,
    TRIPINFO,
    Driven,
    edge_data_request,
    outputs,
    read_driven,
)

EDGE_DATA_SECONDS = 300
FCD = "fcd.xml"
COLUMNS = (
    *("id", "type", "fleet", "planned", "departed", "arrived", "travel_time"),
    *("insertion_delay", "time_loss", "waiting", "metres", "route"),
)
_KEPT = re.compile(
    r"begin|end|seed|step-length|junction-taz|scale|xml-validation|ignore-route-errors|max-depart-delay"
    r"|(time-to-teleport|collision|default|device\.rerouting|weights|routing-algorithm)(\.[\w.-]+)?"
)
"""Options of a run's configuration that are followed: how it drives. One that writes a file is not, wherever the folder
comes from."""
_FILES = ("net-file", "route-files", "additional-files")


@dataclass(frozen=True)
class Export:
    """One format: the file it is called, and the words with which SUMO writes it; none: it is ours."""

    file: str
    words: tuple[str, ...] = ()


EXPORTS = {
    "geojson": Export("run.geojson"),
    "csv": Export("vehicles.csv"),
    "tripinfo": Export(TRIPINFO),
    "edgedata": Export(EDGE_DATA),
    "fcd": Export(FCD, ("--fcd-output", FCD, "--fcd-output.geo", "{geo}")),
    "positions": Export(POSITIONS, ("--fcd-output", FCD, "--fcd-output.attributes", "x,y")),
    "emissions": Export("emissions.xml", ("--device.emissions.probability", "1")),
}


def export_run(run: Path, form: str, file: Path | None = None) -> Path:
    """Drive a run's folder again by SUMO and write one format; returns the file.

    The folder is one that `leed drive --out` or `leed demo generate` wrote, or any with a run.sumocfg.

    Args:
        form: a name of EXPORTS.
        file: where to; None: beside the run under the format's own name.

    Raises:
        UsageError: an unknown format, a folder without run.sumocfg, or SUMO refuses what it names.
        UnwritableError: the file cannot be written.
    """
    if form not in EXPORTS:
        raise UsageError(f"Unknown format {form!r}: {nearest(form, EXPORTS)}")
    config = config_of(run)
    export = EXPORTS[form]
    target = file or run / export.file
    with tempfile.TemporaryDirectory(prefix="leed-export-") as name:
        place = Path(name)
        net = _inside(run, config.get("net-file", "map.net.xml"))
        geo = net.is_file() and _has_projection(net)
        driven = drive_again(run, config, place, [word.format(geo=str(geo).lower()) for word in export.words], form)
        if form == "geojson":
            _write_geojson(target, driven, net, _fleet(run))
        elif form == "csv":
            _write_csv(target, driven, _fleet(run))
        elif form == "positions":
            read_fcd(place / FCD).save(target)
        else:
            copy_file(place / (TRIPINFO if form == "emissions" else export.file), target)
    return target


def check_format(form: str) -> None:
    """Raises UsageError for an unknown one."""
    if form not in EXPORTS:
        raise UsageError(f"Unknown format {form!r}: {nearest(form, EXPORTS)}")


def measure_run(run: Path, emissions: bool = False) -> FleetMeasures:
    """The figures of a run's fleet, or of all where it names none: its folder driven again by SUMO.

    Raises:
        UsageError: as `export_run`.
    """
    with tempfile.TemporaryDirectory(prefix="leed-measure-") as name:
        words = EXPORTS["emissions"].words if emissions else ()
        driven = drive_again(run, config_of(run), Path(name), list(words), "csv")
    fleet = _fleet(run)
    return measure(driven, None if fleet is None else fleet & driven.vehicles.keys())


def config_of(run: Path) -> dict[str, str]:
    """Options of a run's run.sumocfg by name. Raises UsageError where the folder has none."""
    check_links(run)
    if not (run / CONFIG).is_file():
        raise UsageError(f"The folder {run} holds no {CONFIG}; give a run that `leed drive --out` wrote.")
    return read_config(run / CONFIG)


def drive_again(run: Path, config: dict[str, str], place: Path, words: list[str], form: str = "") -> Driven:
    """Drive a run again by SUMO: its outputs come into `place`, the run's own folder is only read.

    Args:
        words: further options of SUMO.
        form: "edgedata" also asks for figures per street.

    Raises:
        UsageError: SUMO refuses what the configuration names, or it names what lies elsewhere.
    """
    end = float(config.get("end", "-1"))
    begin = float(config.get("begin", "0"))
    options = []
    additional = [edge_data_request(place, EDGE_DATA_SECONDS)] if form == "edgedata" else []
    for option, value in config.items():
        if option in _FILES:
            files = [_inside(run, part.strip()) for part in value.split(",")]
            for file in files:
                check_markup(file, "a file of SUMO's", "give a run folder as `leed drive --out` writes it")
            if option == "additional-files":
                for file in files:
                    _check_additional(file)
                additional += files
            else:
                options += [f"--{option}", ",".join(map(str, files))]
        elif _KEPT.fullmatch(option):
            options += [f"--{option}", value]
    if additional:
        options += ["--additional-files", ",".join(map(str, additional))]
    run_program("sumo", [*options, *outputs(), *words], place, f"The run {run} cannot be driven again")
    return read_driven(place, begin=begin, end=end, seed=int(config.get("seed", "23423")))


def _inside(run: Path, part: str) -> Path:
    file = (run / part).resolve()
    if not file.is_relative_to(run.resolve()):
        raise UsageError(f"{run / CONFIG} names {part}, which lies outside the folder; copy it there.")
    return file


def _check_additional(file: Path) -> None:
    """An additional file can have SUMO write anywhere, and the folder may be anybody's."""
    from defusedxml.ElementTree import parse

    try:
        if any(element.get("file") or element.get("output") for element in parse(file).iter()):
            raise UsageError(f"{file} has SUMO write files; take that out before the run is exported.")
    except (OSError, ParseError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as an additional file of SUMO ({error}).") from error


def _fleet(run: Path) -> set[str] | None:
    file = run / FLEET
    try:
        return set(file.read_text(encoding="utf-8").split("\n")) - {""} if file.is_file() else None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as a list of ids ({error}); give the run's own.") from error


def _write_csv(file: Path, driven: Driven, fleet: set[str] | None) -> None:
    with whole_file(file) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for drive in driven.vehicles.values():
            ours = int(fleet is None or drive.id in fleet)
            row: list[Any] = [drive.id, drive.type, ours, drive.planned, drive.departed, drive.arrived]
            row += [round(drive.travel_time(driven.end), 2), drive.insertion_delay, drive.time_loss, drive.waiting]
            writer.writerow([*row, drive.length, " ".join(drive.route)])


def _write_geojson(file: Path, driven: Driven, net_file: Path, fleet: set[str] | None) -> None:
    """A FeatureCollection: a line per vehicle (its route) and a line per driven street (cars and mean seconds).

    Longitude and latitude, as RFC 7946 has it.

    Raises:
        UsageError: the net has no projection, so that nobody knows where it lies.
    """
    line = edge_lines(net_file)
    features = []
    used: defaultdict[str, int] = defaultdict(int)
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for drive in driven.vehicles.values():
        entered = drive.departed
        for edge, left in zip(drive.route, drive.exit_times, strict=False):
            if left < 0 or entered is None:
                break
            used[edge] += 1
            seconds[edge].append(left - entered)
            entered = left
        if not drive.route:
            continue
        facts = {
            "kind": "route",
            "id": drive.id,
            "fleet": fleet is None or drive.id in fleet,
            "planned": drive.planned,
            "arrived": drive.arrived,
            "travel_time": round(drive.travel_time(driven.end), 2),
        }
        points = [point for edge in drive.route for point in line(edge)]
        # An edge begins where the one before it ends, near enough.
        kept = [point for k, point in enumerate(points) if not k or point != points[k - 1]]
        features.append(_feature(kept, facts))
    for edge, vehicles in sorted(used.items()):
        mean = sum(seconds[edge]) / len(seconds[edge])
        facts = {"kind": "street", "id": edge, "vehicles": vehicles, "mean_seconds": round(mean, 2)}
        features.append(_feature(line(edge), facts))
    write_text(file, json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False) + "\n")


def _feature(points: list[list[float]], facts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": "LineString", "coordinates": points}, "properties": facts}


def edge_lines(net_file: Path) -> Callable[[str], list[list[float]]]:
    """A street's line as [longitude, latitude] by its id. Raises UsageError when the map has no place on the globe."""
    import sumolib

    # expat, not lxml: a net may come from anywhere.
    net = sumolib.net.readNet(str(net_file), withInternal=False, lxml=False)
    if not net.hasGeoProj():
        raise UsageError(f"{net_file} has no projection, so nobody knows where it lies; export csv or edgedata.")
    found: dict[str, list[list[float]]] = {}

    def line(edge: str) -> list[list[float]]:
        if edge not in found:
            places = (net.convertXY2LonLat(x, y) for x, y in net.getEdge(edge).getShape())
            found[edge] = [[round(lon, 7), round(lat, 7)] for lon, lat in places]
        return found[edge]

    return line


def _has_projection(net_file: Path) -> bool:
    import gzip

    with gzip.open(net_file) if net_file.name.endswith(".gz") else net_file.open("rb") as stream:
        return b'projParameter="!"' not in stream.read(20_000)
