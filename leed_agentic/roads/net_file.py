"""A SUMO .net.xml read once, every street checked: lengths, speeds, shapes, ids, who may drive it and turn where."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import unescape

from leed_agentic.errors import UsageError
from leed_agentic.roads.definition import OSM_ATTRIBUTION
from leed_agentic.roads.markup import MarkupError, check_is_file, chunks, packing, scan

VEHICLE_CLASSES = (
    *("private", "emergency", "authority", "army", "vip", "passenger", "hov"),
    *("taxi", "bus", "coach", "delivery", "truck", "trailer", "tram"),
    *("rail_urban", "rail", "rail_electric", "rail_fast", "motorcycle", "moped"),
    *("bicycle", "pedestrian", "evehicle", "ship", "container", "cable_car", "subway"),
    *("aircraft", "wheelchair", "scooter", "drone", "custom1", "custom2"),
)
"""SUMO's, in its order; permissions are bit masks over them."""
LONGEST_EDGE = 1e7
SPEEDS = (1e-3, 1e4)
"""Metres per second. Beyond these no street is meant, and seconds of travel leave the range of a float."""

_BIT = {name: 1 << k for k, name in enumerate(VEHICLE_CLASSES)}
_ALL = (1 << len(VEHICLE_CLASSES)) - 1
_AGAIN = "build it again with `leed map build` or netconvert"
_CREDIT = re.compile(r" attribution: (.*?) $")
_LEFT_OUT = re.compile(r" left out: (\d+) edges, (\d+(?:\.\d+)?) km $")

Point = tuple[float, float]


@dataclass(frozen=True)
class Street:
    """One edge of the file: metres, metres per second, shape in network coordinates, classes allowed as a bit mask."""

    id: str
    from_junction: str
    to_junction: str
    length: float
    speed: float
    name: str
    shape: tuple[Point, ...]
    allowed: int


@dataclass
class NetFile:
    """What a network file holds, edges in the order of the file."""

    streets: dict[str, Street] = field(default_factory=dict)
    turns: dict[str, dict[str, int]] = field(default_factory=dict)
    """By edge: the edges that a connection leads to, with the classes allowed to take it."""
    positions: dict[str, Point] = field(default_factory=dict)
    """Junctions, in network coordinates."""
    signals: int = 0
    lefthand: bool = False
    projection: str | None = None
    offset: Point = (0.0, 0.0)
    attribution: str = ""
    left_out: tuple[int, float] = (0, 0.0)
    """Edges and kilometres that building the map left out, as its header says."""

    def degrees(self, points: list[Point]) -> list[Point] | None:
        """Longitude and latitude of points of the network; None without a projection.

        Raises:
            ValueError: the projection is unknown or gives no place on Earth.
        """
        if self.projection is None:
            return None
        import pyproj
        import pyproj.exceptions

        if re.search(r"[/\\]|\binit=|grids=", self.projection):
            raise ValueError("it names another file")
        try:
            project = pyproj.Proj(self.projection)
        except pyproj.exceptions.CRSError as error:
            raise ValueError("PROJ does not know it") from error
        x0, y0 = self.offset
        xs, ys = [x - x0 for x, _ in points], [y - y0 for _, y in points]
        found = list(zip(*project(xs, ys, inverse=True), strict=True))
        if not all(abs(lon) <= 180 and abs(lat) <= 90 for lon, lat in found):  # False for NaN as well
            raise ValueError("it puts junctions beyond the Earth")
        return [(float(lon), float(lat)) for lon, lat in found]


def read_net(file: Path) -> NetFile:
    """Read and check a network, packed or plain; internal edges, crossings and footways' areas are passed over.

    Raises:
        UsageError: missing, unreadable, no SUMO network, or a street in it that cannot be driven; names edge and value.
    """
    check_is_file(file, "network file", "give a .net.xml or .net.xml.gz file, or a map's name")
    if packing(file) not in (None, "gzip"):
        raise UsageError(f"SUMO does not unpack {file}; unpack it first, or pack it with gzip.")
    reader = _Reader()
    try:
        scan(chunks(file, _AGAIN), reader.start, reader.end, comment=reader.comment)
        net = reader.finish()
    except MarkupError as error:
        fix = "SUMO networks hold neither; do not use it" if error.reason in ("doctype", "include") else _AGAIN
        raise UsageError(f"{file} cannot be read as a SUMO network: {error}; {fix}.") from error
    except _Unusable as error:
        raise UsageError(f"{file} is no usable network: {error}; {_AGAIN}.") from error
    if not net.streets:
        raise UsageError(f"{file} holds no streets; is it a SUMO .net.xml file?")
    return net


class _Unusable(Exception):
    """What is wrong with one element."""


class _Reader:
    def __init__(self) -> None:
        self.net = NetFile()
        self._masks: dict[tuple[str | None, str | None], int] = {}
        self._lanes: dict[str, list[int]] = {}
        self._signals: set[str] = set()
        self._edge: dict[str, str] | None = None
        self._in_lane = False
        self._shapes: list[list[Point]] = []
        self._lengths: list[float] = []
        self._speeds: list[float] = []
        self._allowed: list[int] = []
        self._rooted = False

    def comment(self, text: str) -> None:
        if credit := _CREDIT.fullmatch(text):
            self.net.attribution = unescape(credit.group(1))
        elif left := _LEFT_OUT.fullmatch(text):
            self.net.left_out = (int(left.group(1)), float(left.group(2)))
        elif "<osm-files" in text and not self.net.attribution:
            self.net.attribution = OSM_ATTRIBUTION

    def _root(self, name: str, attributes: dict[str, str]) -> None:
        self._rooted = True
        if name != "net":
            raise _Unusable(f"its root is <{name[:40]}>, not <net>")
        self.net.lefthand = attributes.get("lefthand") in ("true", "1")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._rooted:
            self._root(name, attributes)
        elif name == "connection":
            self._connection(attributes)
        elif name == "lane":
            self._in_lane = True
            if self._edge is not None:
                self._lane(self._edge["id"], attributes)
        elif name == "param":
            self._parameter(attributes)
        elif name == "edge":
            self._open_edge(attributes)
        elif name == "junction":
            self._junction(attributes)
        elif name == "location":
            self._location(attributes)

    def end(self, name: str) -> None:
        if name == "lane":
            self._in_lane = False
        elif name == "edge" and self._edge is not None:
            self._close_edge(self._edge)
            self._edge = None

    def finish(self) -> NetFile:
        net = self.net
        for street in net.streets.values():
            for junction in (street.from_junction, street.to_junction):
                if junction not in net.positions:
                    raise _Unusable(f"edge {_shown(street.id)} meets a junction {_shown(junction)} that it lacks")
        net.signals = len(self._signals)
        return net

    # -- elements ------------------------------------------------------------------------------------------------------
    def _open_edge(self, attributes: dict[str, str]) -> None:
        if attributes.get("function", "normal") not in ("", "normal"):
            self._edge = None
            return
        edge_id = _word(attributes, "id", "an edge")
        if edge_id in self.net.streets:
            raise _Unusable(f"it has two edges {_shown(edge_id)}")
        self._edge = attributes
        self._shapes, self._lengths, self._speeds, self._allowed = [], [], [], []

    def _lane(self, edge_id: str, attributes: dict[str, str]) -> None:
        what = f"edge {_shown(edge_id)}"
        self._lengths.append(_within(attributes, "length", what, 0.0, LONGEST_EDGE))
        self._speeds.append(_within(attributes, "speed", what, *SPEEDS))
        self._shapes.append(_points(attributes.get("shape", ""), what))
        self._allowed.append(self._mask(attributes))

    def _parameter(self, attributes: dict[str, str]) -> None:
        """netconvert keeps OpenStreetMap's name as a parameter where it was asked for all attributes."""
        if self._edge is not None and not self._in_lane and attributes.get("key") == "name":
            self._edge = {"name": attributes.get("value", ""), **self._edge}

    def _close_edge(self, attributes: dict[str, str]) -> None:
        edge_id = attributes["id"]
        if not self._lengths:
            raise _Unusable(f"edge {_shown(edge_id)} has no lane")
        allowed = 0
        for mask in self._allowed:
            allowed |= mask
        self._lanes[edge_id] = self._allowed
        self.net.turns[edge_id] = {}
        self.net.streets[edge_id] = Street(
            id=edge_id,
            from_junction=_word(attributes, "from", f"edge {_shown(edge_id)}"),
            to_junction=_word(attributes, "to", f"edge {_shown(edge_id)}"),
            length=self._lengths[0],
            speed=self._speeds[-1],
            name=attributes.get("name", ""),
            shape=_middle(self._shapes),
            allowed=allowed,
        )

    def _junction(self, attributes: dict[str, str]) -> None:
        if attributes.get("id", "").startswith(":"):
            return
        name = _word(attributes, "id", "a junction")
        what = f"junction {_shown(name)}"
        self.net.positions[name] = (_number(attributes, "x", what), _number(attributes, "y", what))

    def _connection(self, attributes: dict[str, str]) -> None:
        before, after = attributes.get("from", ""), attributes.get("to", "")
        if before not in self._lanes or after not in self._lanes:
            return  # from or onto an internal edge, a crossing or a footway's area
        try:
            leaves = self._lanes[before][_index(attributes, "fromLane")]
            enters = self._lanes[after][_index(attributes, "toLane")]
        except (ValueError, IndexError) as error:
            raise _Unusable(f"the turn from {_shown(before)} to {_shown(after)} names a lane there is not") from error
        turns = self.net.turns[before]
        turns[after] = turns.get(after, 0) | (leaves & enters & self._mask(attributes))
        if light := attributes.get("tl"):
            self._signals.add(light)

    def _location(self, attributes: dict[str, str]) -> None:
        projection = attributes.get("projParameter", "!")
        self.net.projection = None if projection in ("!", "") else projection
        offset = attributes.get("netOffset", "0,0").split(",")
        try:
            x, y = (float(part) for part in offset)
        except ValueError as error:
            raise _Unusable(f"its netOffset is {_shown(','.join(offset))}, not two numbers") from error
        if not (math.isfinite(x) and math.isfinite(y)):
            raise _Unusable(f"its netOffset is {_shown(','.join(offset))}, not two numbers")
        self.net.offset = (x, y)

    def _mask(self, attributes: dict[str, str]) -> int:
        key = attributes.get("allow"), attributes.get("disallow")
        mask = self._masks.get(key)
        if mask is None:
            allow, disallow = key
            # As SUMO reads them: allow rules where both stand; names it no longer knows count for nothing.
            mask = _bits(allow) if allow else _ALL & ~_bits(disallow or "")
            self._masks[key] = mask
        return mask


def _bits(names: str) -> int:
    mask = 0
    for name in names.split():
        mask |= _ALL if name == "all" else _BIT.get(name, 0)
    return mask


def class_bit(vehicle_class: str) -> int:
    """The bit of a vehicle class; 0 for one that SUMO does not know, all bits for "ignoring" permissions."""
    return _ALL if vehicle_class == "ignoring" else _BIT.get(vehicle_class, 0)


def _middle(lanes: list[list[Point]]) -> tuple[Point, ...]:
    """The line in the middle of an edge, as sumolib draws it."""
    count = len(lanes)
    if count % 2:
        return tuple(lanes[count // 2])
    return tuple(
        (sum(p[0] for p in points) / count, sum(p[1] for p in points) / count) for points in zip(*lanes, strict=False)
    )


def _word(attributes: dict[str, str], key: str, what: str) -> str:
    text = attributes.get(key, "")
    # The only white space that is printable.
    if not text or not text.isprintable() or " " in text:
        raise _Unusable(f"{what} has {key}={_shown(text)}, which is not one word")
    return text


def _number(attributes: dict[str, str], key: str, what: str) -> float:
    text = attributes.get(key, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise _Unusable(f"{what} has {key}={_shown(text)}, which is no finite number")
    return value


def _within(attributes: dict[str, str], key: str, what: str, low: float, high: float) -> float:
    value = _number(attributes, key, what)
    if not low <= value <= high or value <= 0:
        least = f"at least {low:g}" if low else "above 0"
        raise _Unusable(f"{what} has {key}={_shown(attributes[key])}, which must be {least} and at most {high:g}")
    return value


def _points(text: str, what: str) -> list[Point]:
    points: list[Point] = []
    try:
        for place in text.split():
            x, y = map(float, place.split(",")[:2])
            points.append((x, y))
    except ValueError:
        points = []
    if len(points) < 2 or not math.isfinite(sum(map(sum, points))):
        raise _Unusable(f"{what} has shape={_shown(text)}, not a line of two or more points")
    return points


def _index(attributes: dict[str, str], key: str) -> int:
    index = int(attributes[key]) if key in attributes else -1
    if index < 0:
        raise ValueError(key)
    return index


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
