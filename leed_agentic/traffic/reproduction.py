"""A folder from which SUMO alone drives a run again: net, routes, configuration, and a view for sumo-gui."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import whole_file, write_text
from leed_agentic.traffic.closures import Closure, closures_text
from leed_agentic.traffic.sumo_run import TELEPORT_SECONDS, elements, files_and_clock, outputs

CONFIG = "run.sumocfg"
ROUTES = "routes.rou.xml"
VIEW = "view.xml"
FLEET = "fleet.txt"
CLOSURES = "closures.csv"
FLEET_COLOUR, OTHERS_COLOUR = "230,60,20", "150,150,150"


def write_reproduction(
    folder: Path,
    net_file: Path,
    route_file: Path,
    *,
    begin: float,
    end: float,
    seed: int,
    teleport_seconds: float = TELEPORT_SECONDS,
    additional_files: Sequence[Path] = (),
    options: Sequence[str] = (),
    fleet: Collection[str] | None = None,
    closures: Sequence[Closure] = (),
) -> Path:
    """Write the folder; returns its run.sumocfg, of which plain `sumo -c` makes the same drive and the same outputs.

    Args:
        options: further words for sumo, option and value by turns, as given to `drive_routes`.
        closures: kept beside the rest, for whoever drives its demand another way.
        fleet: ids to draw in a colour of their own; None: everybody alike.

    Raises:
        UsageError: a file cannot be read.
        UnwritableError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    net = folder / ("map.net.xml.gz" if net_file.name.endswith(".gz") else "map.net.xml")
    _copy(net_file, net)
    _copy_routes(route_file, folder / ROUTES, fleet)
    additional = [folder / f"additional-{number}.add.xml" for number, _ in enumerate(additional_files)]
    for source, copy in zip(additional_files, additional, strict=True):
        _copy(source, copy)
    if fleet is not None:
        write_text(folder / FLEET, "".join(f"{name}\n" for name in sorted(fleet)))
    if closures:
        write_text(folder / CLOSURES, closures_text(closures))
    words = [
        *options,
        *files_and_clock(
            net,
            [folder / ROUTES],
            additional,
            begin=begin,
            end=end,
            seed=seed,
            teleport_seconds=teleport_seconds,
            # Beside the configuration, so that the folder can be moved.
            name=lambda file: file.name,
        ),
        *outputs(),
        *("--no-step-log", "true", "--no-warnings", "true", "--gui-settings-file", VIEW),
    ]
    write_config(folder / CONFIG, words)
    write_text(folder / VIEW, _VIEW)
    return folder / CONFIG


def write_config(file: Path, words: Sequence[str]) -> None:
    """SUMO's configuration file of options and values by turns; of one given twice the last counts, as for SUMO."""
    settings = dict(zip(words[::2], words[1::2], strict=True))
    root = Element("sumoConfiguration")
    for option, value in settings.items():
        SubElement(root, option.removeprefix("--"), value=value)
    indent(root)
    write_text(file, tostring(root, encoding="unicode") + "\n")


def read_config(file: Path) -> dict[str, str]:
    """Options of a configuration file, by name without the dashes.

    Raises:
        UsageError: it cannot be read.
    """
    from defusedxml.ElementTree import parse

    try:
        if file.stat().st_size > LONGEST_CONFIG:
            raise UsageError(f"{file} is larger than {LONGEST_CONFIG} bytes and no configuration; give another folder.")
        root = parse(file).getroot()
    except (OSError, ParseError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as a SUMO configuration ({error}).") from error
    return {element.tag: element.attrib["value"] for element in root.iter() if "value" in element.attrib}


def _copy(source: Path, file: Path) -> None:
    try:
        with whole_file(file) as partial:
            shutil.copyfile(source, partial)
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {source}.") from error


def _copy_routes(source: Path, file: Path, fleet: Collection[str] | None) -> None:
    """Unpacked, as SUMO goes by the name; with the fleet coloured."""
    if fleet is None:
        with (
            whole_file(file) as partial,
            gzip.open(source) if source.name.endswith(".gz") else source.open("rb") as stream,
            partial.open("wb") as copy,
        ):
            shutil.copyfileobj(stream, copy)
        return
    ids = set(fleet)
    tags = ("vType", "vTypeDistribution", "trip", "vehicle", "flow", "route")
    with whole_file(file) as partial, partial.open("w", encoding="utf-8") as copy:
        copy.write("<routes>\n")
        for element in elements(source, *tags):
            if element.tag in ("trip", "vehicle", "flow"):
                element.set("color", FLEET_COLOUR if element.get("id") in ids else OTHERS_COLOUR)
            elif element.tag == "route" and not element.get("id"):
                # Inside its vehicle, which comes next.
                continue
            element.tail = "\n"
            copy.write(tostring(element, encoding="unicode"))
        copy.write("</routes>\n")


LONGEST_CONFIG = 1_000_000
"""Bytes; a configuration needs a thousandth."""
_VIEW = """<viewsettings>
    <scheme name="fleet">
        <vehicles vehicleMode="0" vehicleQuality="0" vehicle_minSize="2" vehicle_exaggeration="3"/>
    </scheme>
    <delay value="80"/>
</viewsettings>
"""
