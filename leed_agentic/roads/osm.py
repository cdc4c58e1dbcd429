"""Is this OpenStreetMap file whole, harmless and does it hold a street a car may use? Asked before SUMO sees it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path

from leed_agentic.errors import UsageError
from leed_agentic.roads.markup import MarkupError, check_is_file, chunks, packing, scan

DRIVABLE = frozenset(
    {kind + link for kind in ("motorway", "trunk", "primary", "secondary", "tertiary") for link in ("", "_link")}
    | {"unclassified", "residential", "living_street", "unsurfaced"}
)
"""Values of `highway` that SUMO's type map opens to passenger cars; service roads and tracks are not among them."""
MODES = ("motorcar", "motor_vehicle", "vehicle", "access")
"""Keys that say whether a car may use a way, the most specific first: it overrules those after it."""
CLOSED = frozenset(
    {"no", "private", "agricultural", "forestry", "military", "emergency", "delivery", "psv", "bus", "use_sidepath"}
)
"""Values that keep the cars of everybody out; destination, customers, permissive and the like do not."""
SECTIONS = ("node", "way", "relation")
"""netconvert reads one after the other, and passes over what stands in another order."""
WORDS = 300

_AGAIN = "download or export the area again"
_PAGE = re.compile(rb"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_INT64 = 1 << 63
_UNSEEN = ("script", "style", "title", "head")


@dataclass
class Survey:
    """What a whole file told on its way past."""

    nodes: int = 0
    drivable_ways: int = 0
    closed_ways: int = 0
    """Streets that access tags close to cars, in both directions."""
    closed_at_times: int = 0
    """Streets open to cars that conditional access tags close at some hours or to some cars; taken as open."""
    ordered: bool = True
    """Nodes before ways before relations."""
    access_tags: bool = False
    """Streets whose access tags mean something else to SUMO, which knows access=no alone."""
    repeated: frozenset[str] = frozenset()
    """Ids of ways that occur more than once, as joined extracts have them."""
    packed: str | None = None


def directions(tags: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether a car may drive the way forwards and backwards, by OpenStreetMap's access tags alone.

    >>> directions({"access": "private", "motor_vehicle": "yes"})
    (True, True)
    >>> directions({"vehicle:backward": "no"})
    (True, False)
    """
    return _open(tags, "forward"), _open(tags, "backward")


def _open(tags: Mapping[str, str], direction: str) -> bool:
    for mode in MODES:
        value = tags.get(f"{mode}:{direction}") or tags.get(mode)
        if value:
            return any(part.strip() not in CLOSED for part in value.split(";"))
    return True


def is_closed_at_times(tags: Mapping[str, str]) -> bool:
    """Whether a conditional access tag closes the way to cars, whatever its condition, which nobody here reads.

    >>> is_closed_at_times({"motor_vehicle:conditional": "no @ (Mo-Fr 07:00-09:00)"})
    True
    """
    for mode in MODES:
        for way in ("", ":forward", ":backward"):
            rules = tags.get(f"{mode}{way}:conditional", "").split(";")
            if any(rule.partition("@")[0].strip() in CLOSED for rule in rules):
                return True
    return False


def is_drivable(tags: Mapping[str, str]) -> bool:
    """Whether SUMO's type map makes it a street for cars, access tags aside."""
    return tags.get("highway") in DRIVABLE


def needs_access(tags: Mapping[str, str]) -> bool:
    """Whether SUMO would let cars onto the way, or keep them off it, against its access tags."""
    forward, backward = directions(tags)
    return forward != backward or forward == (tags.get("access") == "no")


class _Surveyor:
    def __init__(self, file: Path) -> None:
        self.survey = Survey()
        self.root: str | None = None
        self._file = file
        self._section = 0
        self._ways: set[str] = set()
        self._repeated: set[str] = set()
        self._tags: dict[str, str] = {}
        self._points = 0
        self._in_way = False
        self._remark: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.root is None:
            self.root = name
            if name != "osm":
                raise UsageError(
                    f"{self._file} is not an OpenStreetMap file: its root is <{name[:40]}>, not <osm>; {_AGAIN}."
                )
        elif name == "nd":
            self._points += 1
            self._id(attributes.get("ref", ""), "a node of a way")
        elif name == "tag":
            if self._in_way:
                self._tags[attributes.get("k", "")] = attributes.get("v", "")
        elif name in SECTIONS:
            self._element(name, attributes)
        elif name == "remark":
            self._remark = []

    def text(self, words: str) -> None:
        if self._remark is not None and len(self._remark) < WORDS:
            self._remark.append(words)

    def end(self, name: str) -> None:
        if name == "way" and self._in_way:
            self._in_way = False
            self._close_way()
        elif name == "remark" and self._remark is not None:
            words, self._remark = " ".join("".join(self._remark).split())[:WORDS].rstrip("."), None
            raise UsageError(f"{self._file} is a partial download; the server's remark: {words}; {_AGAIN}.")

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        section = SECTIONS.index(name)
        self.survey.ordered &= section >= self._section
        self._section = section
        number = attributes.get("id", "")
        self._id(number, f"a {name}")
        if name == "node":
            self.survey.nodes += 1
            self._place(number, attributes)
        elif name == "way":
            self._in_way, self._points, self._tags = True, 0, {}
            if number in self._ways:
                self._repeated.add(number)
            self._ways.add(number)

    def _close_way(self) -> None:
        if self._points < 2 or not is_drivable(self._tags):
            return
        if any(directions(self._tags)):
            self.survey.drivable_ways += 1
            self.survey.closed_at_times += is_closed_at_times(self._tags)
        else:
            self.survey.closed_ways += 1
        self.survey.access_tags |= needs_access(self._tags)

    def _id(self, number: str, what: str) -> None:
        if not _INTEGER.fullmatch(number) or not -_INT64 <= int(number) < _INT64:
            raise UsageError(
                f"{self._file} has {what} with the id {number[:40]!r}; SUMO reads whole numbers below 2^63 alone, so "
                "renumber it with `osmium renumber`."
            )

    def _place(self, number: str, attributes: dict[str, str]) -> None:
        if attributes.get("visible") == "false" or attributes.get("action") == "delete":
            return
        for key, most in (("lat", 90.0), ("lon", 180.0)):
            try:
                value = float(attributes.get(key, ""))
            except ValueError:
                value = math.nan
            if not abs(value) <= most:
                raise UsageError(
                    f"{self._file} has node {number} at {key}={attributes.get(key, '')[:40]!r}, which is no place on "
                    f"Earth; {_AGAIN}."
                )

    def done(self, packed: str | None) -> Survey:
        self.survey.repeated = frozenset(self._repeated)
        self.survey.packed = packed
        return self.survey


def check_osm(file: Path) -> Survey:
    """Read an OpenStreetMap XML file (plain, gzip, bzip2, xz or zip) to its end; of it only the ids of ways are kept.

    Raises:
        UsageError: missing, empty, truncated, a partial download, a web page, not XML, an entity bomb, one that
            includes other files, not OpenStreetMap's format, or without a street that cars may drive.
    """
    check_is_file(file, "OpenStreetMap file", "check the path")
    _refuse_binary(file)
    packed = packing(file)
    surveyor = _Surveyor(file)
    try:
        scan(chunks(file, _AGAIN), surveyor.start, surveyor.end, surveyor.text)
    except MarkupError as error:
        _refuse_page(file)
        if error.reason == "binary":
            raise UsageError(
                f"{file} is not XML; give an OpenStreetMap export (.osm, .osm.xml.gz, .osm.bz2 ...)."
            ) from error
        if error.reason == "doctype":
            raise UsageError(
                f"{file} declares XML entities or a document type, which OpenStreetMap files never do; {_AGAIN}."
            ) from error
        raise UsageError(f"{file} cannot be used: {error}; {_AGAIN}.") from error
    except UsageError:
        if surveyor.root != "osm":
            _refuse_page(file)
        raise
    survey = surveyor.done(packed)
    if not survey.drivable_ways:
        closed = f", and its {survey.closed_ways} streets are closed to cars" if survey.closed_ways else ""
        raise UsageError(
            f"{file} has no drivable road (no open way tagged highway=residential, primary, ...){closed}; choose a "
            "larger area."
        )
    if not survey.nodes:
        raise UsageError(f"{file} has ways but no nodes, so no coordinates; export it with its nodes.")
    return survey


def _refuse_binary(file: Path) -> None:
    with file.open("rb") as stream:
        head = stream.read(64)
    kind = "PBF" if b"OSMHeader" in head else "o5m" if head.startswith(b"\xff\xe0") else None
    if kind:
        raise UsageError(
            f"{file} is OpenStreetMap's {kind} format, which SUMO does not read; convert it first, with "
            f"`osmium cat {file.name} -o {file.name.split('.')[0]}.osm.gz`."
        )


def _refuse_page(file: Path) -> None:
    """A browser saves a busy server's excuse under the name asked for; its words say what to do."""
    head = b"".join(islice(chunks(file, _AGAIN), 1))[: 1 << 16]
    if _PAGE.search(head[:4096]):
        page = _Words()
        page.feed(head.decode("utf-8", "replace"))
        words = " ".join("".join(page.words).split())[:WORDS].rstrip(".")
        raise UsageError(f"{file} is a web page, not OpenStreetMap data; it says: {words or 'nothing'}; {_AGAIN}.")
    if head.lstrip()[:1] in (b"{", b"["):
        try:
            remark = json.loads(head).get("remark", "")
        except (ValueError, RecursionError, AttributeError):
            remark = ""
        said = f" (it says: {' '.join(str(remark).split())[:WORDS]})" if remark else ""
        raise UsageError(f"{file} is JSON, not XML{said}; ask the server for XML, with [out:xml].")


class _Words(HTMLParser):
    """The text of a page that a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in _UNSEEN
        self.words.append(" " if tag in ("p", "br", "div", "h1", "h2", "h3", "li", "tr", "td") else "")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _UNSEEN

    def handle_data(self, data: str) -> None:
        if self._hidden <= 0:
            self.words.append(data)
