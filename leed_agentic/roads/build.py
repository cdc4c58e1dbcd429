"""From OpenStreetMap to a SUMO network in which every street can be reached from every other, by netconvert."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from leed_agentic.errors import LeedError, UsageError
from leed_agentic.roads.definition import OSM_ATTRIBUTION, Box
from leed_agentic.roads.edges import VEHICLE_CLASS
from leed_agentic.roads.net_file import class_bit, read_net
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.osm import check_osm
from leed_agentic.roads.programs import plain_link, run_program, sumo_home
from leed_agentic.roads.streets import needs_rewriting, rewrite
from leed_agentic.runs.files import check_plain

log = logging.getLogger(__name__)

_MAINLAND = "--keep-edges.components=1"
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
    _MAINLAND,
    "--remove-edges.isolated",
    "--output.street-names",
    "--output.original-names",
)
"""netconvert's options for every OpenStreetMap import."""

TYPE_MAPS = ("osmNetconvert.typ.xml", "osmNetconvertUrbanDe.typ.xml")
"""Defaults per kind of street; without the second, an untagged primary street allows 100 km/h in the city."""

_MAX_ROUNDS = 10
_ISLANDS = re.compile(r"Found \d+ components and removed \d+ \(\d+ edges\)")
_HEADER_BYTES = 1 << 20
"""SUMO's comment lists its options; the streets after it may be gigabytes."""
_HEADER = re.compile(rb"<!--.*?-->\s*", re.DOTALL)


def build_network(
    osm_file: str | Path,
    out_net_file: str | Path,
    *,
    bbox: Box | None = None,
    lefthand: bool = False,
    options: Sequence[str] = (),
    attribution: str = OSM_ATTRIBUTION,
) -> None:
    """Build a SUMO network of the passenger streets of an OpenStreetMap file (XML, plain or packed).

    The same file and options give the same bytes. The output appears at once, when it is complete, or not at all.

    Args:
        bbox: keep only streets inside west, south, east, north (degrees).
        lefthand: vehicles drive on the left.
        options: further options of netconvert.

    Raises:
        UsageError: the file is not a whole, harmless OpenStreetMap file with drivable, connected streets.
        UnavailableError: SUMO's netconvert is missing.
    """
    try:
        # By the name that the user gave it.
        check_plain(Path(osm_file))
    except OSError as error:
        raise UsageError(f"Cannot read {osm_file}: {error.strerror}; give a file of OpenStreetMap XML.") from error
    osm_file, out_net_file = Path(osm_file).resolve(), Path(out_net_file)
    survey = check_osm(osm_file)
    if survey.closed_at_times:
        log.warning(
            "%d streets of %s are closed to cars at some hours or to some cars; their conditions are not read, and "
            "they count as open.",
            *(survey.closed_at_times, osm_file),
        )
    types = sumo_home() / "data" / "typemap"
    area = [f"--keep-edges.in-geo-boundary={','.join(map(repr, bbox))}"] if bbox else []
    side = ["--lefthand"] if lefthand else []
    with unfinished(out_net_file) as net_file:
        # Names of our own, in the folder it runs in: netconvert reads a comma as the start of another name.
        source = net_file.with_name("input.osm")
        if needs_rewriting(survey):
            rewrite(osm_file, survey, source)
        else:
            plain_link(osm_file, source)
        for name in TYPE_MAPS:
            plain_link(types / name, net_file.with_name(name))
        files = [f"--osm-files={source.name}", f"--type-files={','.join(TYPE_MAPS)}"]
        try:
            said = _convert([*files, *RECIPE, *area, *side, *options, "--verbose"], net_file, osm_file)
        except UsageError as error:
            if "No edges loaded" not in str(error):
                raise
            where = f"inside the box {','.join(map(repr, bbox))}" if bbox else "that leads anywhere"
            raise UsageError(f"{osm_file} has no drivable road {where}; choose a larger or another area.") from error
        edges = metres = 0.0
        if _ISLANDS.search(said):
            everywhere = net_file.with_name("everywhere.net.xml")
            recipe = [option for option in RECIPE if option != _MAINLAND]
            _convert([*files, *recipe, *area, *side, *options], everywhere, osm_file)
            (all_edges, all_metres), (kept_edges, kept_metres) = _size(everywhere), _size(net_file)
            edges, metres = max(0, all_edges - kept_edges), max(0.0, all_metres - kept_metres)
        cut_edges, cut_metres = _keep_strongly_connected(net_file, osm_file)
        edges, metres = edges + cut_edges, metres + cut_metres
        write_header(net_file, attribution, f"left out: {edges:.0f} edges, {metres / 1000:.3f} km")


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
        source = net_file.with_name("source.net.xml")
        plain_link(source_net_file, source)
        options = [f"--sumo-net-file={source.name}", "--tls.rebuild", "--tls.default-type=static"]
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


def write_header(net_file: Path, attribution: str, note: str = "") -> None:
    """Put the credit where SUMO puts the time of day and the paths of this machine: the same input, the same bytes."""
    lines = [*([f"attribution: {escape(attribution)}"] if attribution else []), *([note] if note else [])]
    credit = "".join(f"<!-- {line} -->\n\n" for line in lines).encode()
    draft = net_file.with_suffix(".draft")
    with net_file.open("rb") as source, draft.open("wb") as target:
        head = source.read(_HEADER_BYTES)
        target.write(_HEADER.sub(lambda _: credit, head, count=1))
        shutil.copyfileobj(source, target, 1 << 20)
    draft.replace(net_file)


def _size(net_file: Path) -> tuple[int, float]:
    """Edges and metres of all streets for passenger cars, connected or not."""
    car = class_bit(VEHICLE_CLASS)
    lengths = [street.length for street in read_net(net_file).streets.values() if street.allowed & car]
    return len(lengths), sum(lengths)


def _convert(options: list[str], net_file: Path, osm_file: Path) -> str:
    purpose = f"{osm_file} cannot be built into a map"
    return run_program("netconvert", [*options, f"--output-file={net_file.name}"], net_file.parent, purpose)


def _keep_strongly_connected(net_file: Path, osm_file: Path) -> tuple[int, float]:
    """Cut the network to its largest strongly connected part; the number and the metres of the streets that go.

    netconvert's own choice of component ignores direction and turn bans. Removing streets can also change the turns of
    those that stay, hence the rounds; one or two are usual.
    """
    edges, metres = 0, 0.0
    for _ in range(_MAX_ROUNDS):
        try:
            network = RoadNetwork(net_file)
        except UsageError as error:
            raise UsageError(
                f"{osm_file} has no two streets for passenger cars in the chosen area that lead to one another; "
                "choose a larger one."
            ) from error
        if not network.unconnected:
            return edges, metres
        edges, metres = edges + network.unconnected, metres + 1000 * network.left_out_km
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
