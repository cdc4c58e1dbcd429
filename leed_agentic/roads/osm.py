"""Is this OpenStreetMap file whole, harmless and does it hold a street a car may use? Asked before SUMO sees it."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler

from leed_agentic.errors import UsageError

DRIVABLE = frozenset(
    {kind + link for kind in ("motorway", "trunk", "primary", "secondary", "tertiary") for link in ("", "_link")}
    | {"unclassified", "residential", "living_street", "unsurfaced"}
)
"""Values of `highway` that SUMO's type map opens to passenger cars; service roads and tracks are not among them."""

_CHUNK = 1 << 16
_AGAIN = "download or export the area again"


class _Streets(ContentHandler):
    """Counts nodes and drivable ways while the file streams by; nothing of it is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.root: str | None = None
        self.nodes = 0
        self.drivable_ways = 0
        self._in_way = self._drivable = False
        self._points = 0

    def startElement(self, name: str, attrs: object) -> None:
        if self.root is None:
            self.root = name
        elif name == "node":
            self.nodes += 1
        elif name == "way":
            self._in_way, self._drivable, self._points = True, False, 0
        elif self._in_way and name == "nd":
            self._points += 1
        elif self._in_way and name == "tag" and attrs.get("k") == "highway":  # type: ignore[attr-defined]
            self._drivable = attrs.get("v") in DRIVABLE  # type: ignore[attr-defined]

    def endElement(self, name: str) -> None:
        if name == "way":
            self._in_way = False
            self.drivable_ways += self._drivable and self._points > 1


def check_osm(file: Path) -> None:
    """Read an OpenStreetMap XML file (gzipped or not) to its end, in constant memory.

    Raises:
        UsageError: missing, empty, truncated, not XML, an entity bomb, not OpenStreetMap's format, or without a
            drivable street.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.expatreader import create_parser

    parser, streets = create_parser(forbid_dtd=True), _Streets()
    parser.setContentHandler(streets)
    ended = False
    try:
        for chunk in _chunks(file):
            parser.feed(chunk)
        ended = True
        parser.close()
    except DefusedXmlException as error:
        raise UsageError(
            f"{file} declares XML entities or a document type, which OpenStreetMap files never do; {_AGAIN}."
        ) from error
    except (SAXParseException, ValueError, LookupError) as error:  # the latter two: encodings nobody knows
        if streets.root is None:
            raise UsageError(f"{file} is not XML; give an OpenStreetMap export (.osm, .osm.xml or .osm.gz).") from error
        if ended:
            raise UsageError(f"{file} is truncated: it ends before </{streets.root}>; {_AGAIN}.") from error
        line = error.getLineNumber() if isinstance(error, SAXParseException) else "?"
        raise UsageError(f"{file} is broken XML at line {line}; {_AGAIN}.") from error
    if streets.root != "osm":
        raise UsageError(f"{file} is not an OpenStreetMap file: its root is <{streets.root}>, not <osm>; {_AGAIN}.")
    if not streets.drivable_ways:
        raise UsageError(
            f"{file} has no drivable road (no way tagged highway=residential, primary, ...); choose a larger area."
        )
    if not streets.nodes:
        raise UsageError(f"{file} has ways but no nodes, so no coordinates; export it with its nodes.")


def _chunks(file: Path) -> Iterator[bytes]:
    """The unpacked bytes; gzip is told by its first two bytes, not by the file's name."""
    if not os.path.isfile(file):  # False, where Path.is_file fails, for a name no file can have
        raise UsageError(f"There is no OpenStreetMap file {file}; check the path.")
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        read = 0
        with gzip.open(file, "rb") if packed else file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                read += len(chunk)
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{file} is a truncated or damaged gzip file; {_AGAIN}.") from error
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror or error}.") from error
    if not read:
        raise UsageError(f"{file} is empty; {_AGAIN}.")
