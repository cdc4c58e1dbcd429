"""From OpenStreetMap to a SUMO network in which every street can be reached from every other, by netconvert."""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from leed_agentic.errors import LeedError, UsageError
from leed_agentic.roads.definition import OSM_ATTRIBUTION, Box
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.osm import check_osm
from leed_agentic.roads.programs import run_program, sumo_home

RECIPE = (
    "--geometry.remove",
    "--ramps.guess",
    "--roundabouts.guess",
    "--junctions.join",
    "--junctions.join-dist=15",
    "--tls.guess-signals",
    "--tls.discard-simple",
    "--tls.join",
    # Static lights: actuated ones make a fast reset of the simulation inexact.
    "--tls.default-type=static",
    "--keep-edges.by-vclass=passenger",
    "--keep-edges.components=1",
    "--remove-edges.isolated",
    "--output.street-names",
    "--output.original-names",
)
"""netconvert's options for every OpenStreetMap import."""

TYPE_MAPS = ("osmNetconvert.typ.xml", "osmNetconvertUrbanDe.typ.xml")
"""Defaults per kind of street; without the second, an untagged primary street allows 100 km/h in the city."""

_MAX_ROUNDS = 10
_HEADER = re.compile(rb"<!--.*?-->\s*", re.DOTALL)
_CREDIT = re.compile(r"<!-- attribution: (.*?) -->")


def build_network(
    osm_file: str | Path,
    out_net_file: str | Path,
    *,
    bbox: Box | None = None,
    lefthand: bool = False,
    options: Sequence[str] = (),
    attribution: str = OSM_ATTRIBUTION,
) -> None:
    """Build a SUMO network of the passenger streets of an OpenStreetMap file (.osm, .xml, either one gzipped).

    The same file and options give the same bytes. The output appears at once, when it is complete, or not at all.

    Args:
        bbox: keep only streets inside west, south, east, north (degrees).
        lefthand: vehicles drive on the left.
        options: further options of netconvert.

    Raises:
        UsageError: the file is not a whole, harmless OpenStreetMap file with drivable, connected streets.
        UnavailableError: SUMO's netconvert is missing.
    """
    osm_file, out_net_file = Path(osm_file).resolve(), Path(out_net_file)
    check_osm(osm_file)
    types = sumo_home() / "data" / "typemap"
    area = [f"--keep-edges.in-geo-boundary={','.join(map(repr, bbox))}"] if bbox else []
    side = ["--lefthand"] if lefthand else []
    with unfinished(out_net_file) as net_file:
        source = str(osm_file)
        if "," in source:  # netconvert would read two names
            source = shutil.copyfile(osm_file, net_file.with_name("input.osm")).name
        files = [f"--osm-files={source}", f"--type-files={','.join(str(types / name) for name in TYPE_MAPS)}"]
        try:
            _convert([*files, *RECIPE, *area, *side, *options], net_file, osm_file)
        except UsageError as error:
            if "No edges loaded" not in str(error):
                raise
            where = f"inside the box {','.join(map(repr, bbox))}" if bbox else "that leads anywhere"
            raise UsageError(f"{osm_file} has no drivable road {where}; choose a larger or another area.") from error
        _keep_strongly_connected(net_file, osm_file)
        write_header(net_file, attribution)


def generate_network(out_net_file: str | Path, options: Sequence[str], attribution: str = "") -> None:
    """Make a regular network with SUMO's netgenerate; the same options give the same bytes.

    Raises:
        UsageError: netgenerate refuses the options.
        UnavailableError: netgenerate is missing.
    """
    with unfinished(Path(out_net_file)) as net_file:
        run_program(
            "netgenerate", [*options, f"--output-file={net_file.name}"], net_file.parent, "The map cannot be generated"
        )
        write_header(net_file, attribution)


def rebuild_lights(source_net_file: Path, out_net_file: Path, attribution: str) -> None:
    """Copy a SUMO network with ordinary static traffic lights in place of its own programs.

    Braunschweig's game network holds a light that waits 1000 s for a player, Berlin's lights are actuated.

    Raises:
        UsageError: netconvert refuses the network.
        UnavailableError: netconvert is missing.
    """
    with unfinished(out_net_file) as net_file:
        options = [f"--sumo-net-file={source_net_file}", "--tls.rebuild", "--tls.default-type=static"]
        options += ["--output.street-names", "--output.original-names"]
        _convert(options, net_file, source_net_file)
        write_header(net_file, attribution)


@contextlib.contextmanager
def unfinished(file: Path) -> Iterator[Path]:
    """A file name to write to; what was written moves to `file` in one step when the block ends without an error."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=file.parent) as folder:
            draft = Path(folder) / "draft.net.xml"
            yield draft
            draft.replace(file)
    except OSError as error:
        raise UsageError(
            f"Cannot write {file} ({error.strerror or error}); choose a writable folder, such as -s map.cache=FOLDER."
        ) from error


def write_header(net_file: Path, attribution: str) -> None:
    """Put the credit where SUMO puts the time of day and the paths of this machine: the same input, the same bytes."""
    text = net_file.read_bytes()
    credit = f"<!-- attribution: {escape(attribution)} -->\n\n".encode() if attribution else b""
    net_file.write_bytes(_HEADER.sub(lambda _: credit, text, count=1))


def read_attribution(net_file: Path) -> str:
    """The credit in a network's header; networks that SUMO made from OpenStreetMap are recognised as well."""
    opener = gzip.open if net_file.name.endswith(".gz") else open
    with opener(net_file, "rt", encoding="utf-8", errors="replace") as stream:
        head = stream.read(20_000)
    credit = _CREDIT.search(head)
    if credit:
        return unescape(credit.group(1))
    return OSM_ATTRIBUTION if "<osm-files" in head else ""


def _convert(options: list[str], net_file: Path, osm_file: Path) -> None:
    purpose = f"{osm_file} cannot be built into a map"
    run_program("netconvert", [*options, f"--output-file={net_file.name}"], net_file.parent, purpose)


def _keep_strongly_connected(net_file: Path, osm_file: Path) -> None:
    """Cut the network to its largest strongly connected part.

    netconvert's own choice of component ignores direction and turn bans. Removing streets can also change the turns of
    those that stay, hence the rounds; one or two are usual.
    """
    for _ in range(_MAX_ROUNDS):
        try:
            network = RoadNetwork(net_file)
        except UsageError as error:
            raise UsageError(
                f"{osm_file} has no connected streets for passenger cars in the chosen area; choose a larger one."
            ) from error
        if not network.left_out:
            return
        chosen = net_file.with_name("kept.txt")
        chosen.write_text("".join(f"{edge.id}\n" for edge in network.edges), encoding="utf-8")
        whole = net_file.replace(net_file.with_name("whole.net.xml"))
        _convert(
            [
                f"--sumo-net-file={whole.name}",
                f"--keep-edges.input-file={chosen.name}",
                "--geometry.remove",
                "--remove-edges.isolated",
                # The signals were guessed for the streets of the round before; keep none of their leftover phases.
                "--tls.rebuild",
                "--tls.default-type=static",
                "--output.street-names",
                "--output.original-names",
            ],
            net_file,
            osm_file,
        )
    raise LeedError(f"{osm_file} did not settle on one connected set of streets; choose a slightly different area.")
