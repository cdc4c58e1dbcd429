"""Every map by its name or its file: what exists, where it is kept, and the street graph of one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest
from leed_agentic.roads.build import RECIPE, TYPE_MAPS, build_network, generate_network, rebuild_lights
from leed_agentic.roads.definition import (
    BundledMap,
    DownloadedMap,
    GeneratedMap,
    MapDefinition,
    named_maps,
    read_definition,
)
from leed_agentic.roads.download import download_osm
from leed_agentic.roads.markup import check_is_file
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.programs import sumo_home
from leed_agentic.runs.files import check_plain
from leed_agentic.setting_groups import MapSettings

Progress = Callable[[str], None]

NET_ENDINGS = (".net.xml", ".net.xml.gz")
NOT_YET_HERE = "downloaded at first use"
OSM_ENDINGS = tuple(f".osm{kind}{packed}" for packed in ("", ".gz", ".bz2", ".xz", ".zip") for kind in ("", ".xml"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def open_map(name_or_file: str, settings: MapSettings, progress: Progress | None = None) -> RoadNetwork:
    """The street graph of a named map, of a map the user built, of a SUMO network file or of an OpenStreetMap file.

    What has to be downloaded or built is kept in the cache folder, so it happens once.

    Args:
        progress: called with one line before each thing that takes time.

    Raises:
        UsageError: no such map or file, or a file that is no usable network or OpenStreetMap extract.
        UnavailableError: SUMO or the Overpass server cannot be used.
    """
    say = progress or (lambda _line: None)
    text = str(name_or_file)
    if text in named_maps():
        return _named(text, settings, say)
    if _NAME.fullmatch(text) and (built := built_map_file(text, settings)).is_file():
        return RoadNetwork(built, text)
    if text.endswith(NET_ENDINGS):
        return RoadNetwork(text)
    if text.endswith((*OSM_ENDINGS, ".pbf", ".o5m")):
        return _osm_file(Path(text), settings, say)
    raise _unknown(text, settings)


@dataclass(frozen=True)
class MapEntry:
    """One line of the list of maps."""

    name: str
    title: str
    origin: str


def map_entries(settings: MapSettings) -> list[MapEntry]:
    """Every map there is by name: those of this package, then those the user built."""
    definitions = {name: read_definition(file) for name, file in named_maps().items()}
    entries = [MapEntry(name, d.title, _origin(name, d, settings)) for name, d in definitions.items()]
    built = sorted((cache_folder(settings) / "built").glob("*.net.xml"))
    names = [file.name.removesuffix(".net.xml") for file in built]
    return entries + [MapEntry(name, name, "built by you") for name in names]


def map_names(settings: MapSettings) -> list[str]:
    """The names of all maps."""
    return [entry.name for entry in map_entries(settings)]


def _origin(name: str, definition: MapDefinition, settings: MapSettings) -> str:
    if isinstance(definition, BundledMap):
        return "comes with SUMO"
    if isinstance(definition, GeneratedMap):
        return "generated"
    return "downloaded" if _cached_file(name, definition, settings).is_file() else NOT_YET_HERE


def built_map_file(name: str, settings: MapSettings) -> Path:
    """Where `leed map build --name` keeps the map.

    Raises:
        UsageError: the name cannot be a file's name, or is taken by a map of this package.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a map; use up to 64 letters, digits, '-' and '_'.")
    if name in named_maps():
        raise UsageError(f"{name!r} is a map that comes with this package; choose another name.")
    return cache_folder(settings) / "built" / f"{name}.net.xml"


def download_map(
    name: str, settings: MapSettings, progress: Progress | None = None, again: bool = False
) -> RoadNetwork:
    """Download and build a named map ahead of its first use; `again` does so even if it is in the cache.

    Raises:
        UsageError: the map is unknown or is not one that is downloaded.
        UnavailableError: the Overpass server cannot be used.
    """
    files = named_maps()
    if name not in files:
        raise _unknown(name, settings, downloadable=True)
    definition = read_definition(files[name])
    if not isinstance(definition, DownloadedMap):
        raise UsageError(f"The map {name} needs no download; use it as it is, such as `leed map show {name}`.")
    return _named(name, settings, progress or (lambda _line: None), again)


def cache_folder(settings: MapSettings) -> Path:
    """The folder of downloaded and built maps: the setting map.cache, else the user's cache folder."""
    return settings.cache.expanduser() if settings.cache else platformdirs.user_cache_path("leed_agentic") / "maps"


def _named(name: str, settings: MapSettings, say: Progress, again: bool = False) -> RoadNetwork:
    definition = read_definition(named_maps()[name])
    net_file = _cached_file(name, definition, settings)
    if again or not net_file.is_file():
        if isinstance(definition, GeneratedMap):
            say(f"Generating {name} ...")
            generate_network(net_file, definition.options, definition.attribution)
        elif isinstance(definition, BundledMap):
            say(f"Giving {name} ordinary traffic lights ...")
            rebuild_lights(sumo_home() / definition.file, net_file, definition.attribution)
        elif isinstance(definition, DownloadedMap):
            with download_osm(definition, settings, net_file.parent, say) as osm_file:
                say(f"Building {name} ...")
                build_network(
                    osm_file,
                    net_file,
                    bbox=definition.bbox,
                    lefthand=definition.lefthand,
                    options=definition.options,
                    attribution=definition.attribution,
                )
    return RoadNetwork(net_file, name, definition.attribution, definition.title)


def _cached_file(name: str, definition: MapDefinition, settings: MapSettings) -> Path:
    """Changing the definition changes the file's name, so an old network never passes for the new one."""
    return cache_folder(settings) / "named" / f"{name}-{_key(definition.model_dump_json())}.net.xml"


def _osm_file(file: Path, settings: MapSettings, say: Progress) -> RoadNetwork:
    check_is_file(file, "OpenStreetMap file", "check the path")
    name = file.name.split(".")[0]
    try:
        with check_plain(file).open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror or error}.") from error
    net_file = cache_folder(settings) / "files" / f"{_key(content, settings.lefthand)}.net.xml"
    if not net_file.is_file():
        say(f"Building {file} ...")
        build_network(file, net_file, lefthand=settings.lefthand)
    return RoadNetwork(net_file, name)


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps([*parts, RECIPE, TYPE_MAPS]).encode()).hexdigest()[:12]


def _unknown(text: str, settings: MapSettings, downloadable: bool = False) -> UsageError:
    if os.path.isfile(text):
        endings = ", ".join(NET_ENDINGS + OSM_ENDINGS)
        return UsageError(f"{text} is not a map file by its ending ({endings}); rename it, or use `leed map build`.")
    known = named_maps() if downloadable else map_names(settings)
    return UsageError(f"Unknown map {text[:80]!r}: {nearest(text, known)}")
