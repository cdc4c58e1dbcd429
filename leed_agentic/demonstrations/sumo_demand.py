"""Vehicles, trips, flows and persons of a SUMO route file, each with its routes, classes, stops and plain mistakes.

SUMO reads such a file from top to bottom: what a vehicle refers to stands before it, and departures ascend.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace

from leed_agentic.roads.net_file import VEHICLE_CLASSES
from leed_agentic.traffic.scenario import AgentTrip

DRIVING = ("vehicle", "trip", "flow")
ON_FOOT = ("person", "personFlow", "container", "containerFlow")
STANDARD_TYPES = {
    "DEFAULT_VEHTYPE": "passenger",
    "DEFAULT_BIKETYPE": "bicycle",
    "DEFAULT_TAXITYPE": "taxi",
    "DEFAULT_RAILTYPE": "rail",
    "DEFAULT_PEDTYPE": "pedestrian",
    "DEFAULT_CONTAINERTYPE": "container",
}
"""SUMO's vehicle types that need no definition, with their classes."""
_ROOTS = ("routes", "additional")
_GROUPS = ("interval", "vTypeDistribution", "routeDistribution")
_FORBIDDEN = re.compile(r"[ \t\n\r|\\'\";,<>&]")
_INSTANCE = re.compile(r"(.+)\.\d+")
_CLOCK = re.compile(r"(\d+:)?\d+:\d+:\d+(\.\d+)?")
_SECONDS = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_WORDS = ("triggered", "containerTriggered", "split", "begin", "now")
_RATES = ("period", "vehsPerHour", "perHour", "probability", "number")
_PLACES = ("Taz", "Junction", "XY", "LonLat")
_STOP_PLACES = ("busStop", "trainStop", "containerStop", "chargingStation", "parkingArea", "overheadWireSegment")

Attributes = dict[str, str]


@dataclass(frozen=True)
class Demand:
    """One thing that moves, and what of it can be judged against a map."""

    kind: str
    """agent (of a plan), or SUMO's own word: vehicle, trip, flow, person ..."""
    id: str
    routes: tuple[tuple[str, ...], ...] = ()
    """It drives one of these."""
    via: tuple[str, ...] = ()
    """Without a route: edges that it passes in this order on a way of its own."""
    classes: tuple[str, ...] = ("passenger",)
    """The vehicle classes it may turn out to have."""
    stops: tuple[str, ...] = ()
    """Edges on which it stops, in order."""
    repeats: bool = False
    """The route is driven again, from its last edge to its first."""
    trip: AgentTrip | None = None
    """Start and destination, where the file tells them."""
    faults: tuple[tuple[str, str], ...] = ()
    """Kind and sentence of what is wrong with it on any map."""
    unjudged: str = ""
    """Why nothing can be said about it."""


class NoDemandError(Exception):
    """The root element's name is none of a file of demand."""


@dataclass
class _Open:
    """An element whose end has not come yet."""

    kind: str
    attributes: Attributes
    routes: list[tuple[str, ...]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    unjudged: str = ""
    repeats: bool = False
    own_routes: int = 0


class DemandReader:
    """Handlers for a stream of XML; `demands` is complete at its end."""

    def __init__(self) -> None:
        self._rooted = False
        self._stack: list[str] = []
        self._mover: _Open | None = None
        self._distribution: _Open | None = None
        self._mixture: tuple[str, list[str]] | None = None
        self._interval: Attributes = {}
        self._types: dict[str, tuple[str, ...]] = {name: (kind,) for name, kind in STANDARD_TYPES.items()}
        self._own_types: set[str] = set()
        self._routes: dict[str, list[tuple[str, ...]]] = {}
        self._repeating: set[str] = set()
        self._used: set[str] = set()
        self._awaited: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._ids: set[tuple[str, str]] = set()
        self._flows: set[tuple[str, str]] = set()
        self._stems: set[tuple[str, str]] = set()
        """Of ids such as f.0: SUMO calls the vehicles of a flow f so."""
        self._last = 0.0
        self._demands: list[Demand] = []

    # -- the stream ----------------------------------------------------------------------------------------------------
    def start(self, name: str, attributes: Attributes) -> None:
        if not self._rooted:
            self._rooted = True
            if name not in _ROOTS:
                raise NoDemandError(name[:40])
            return
        self._stack.append(name)
        if self._mover is not None:
            self._inside(self._mover, name, attributes)
        elif len(self._stack) > 1 and self._stack[0] not in _GROUPS:
            return  # a part of something that is no demand
        elif name in DRIVING or name in ON_FOOT:
            self._mover = _Open(name, {**self._interval, **attributes})
        elif name == "interval":
            self._interval = {key: attributes[key] for key in ("begin", "end") if key in attributes}
        elif name == "vType":
            self._type(attributes)
        elif name == "vTypeDistribution":
            self._mixture = (attributes.get("id", ""), attributes.get("vTypes", "").split())
        elif name == "route":
            self._route(attributes)
        elif name == "routeDistribution":
            self._distribution = _Open(name, attributes)
            self._refer(self._distribution, attributes.get("routes", "").split())
        elif name not in ("param", "carFollowing", "include") and len(self._stack) == 1:
            self._demands.append(Demand(name[:40], attributes.get("id", "")[:80], unjudged="it is no demand"))

    def end(self, name: str) -> None:
        if not self._stack:
            return
        self._stack.pop()
        if self._mover is not None:
            if name == self._mover.kind and name not in self._stack:
                self._close(self._mover)
                self._mover = None
        elif name == "interval":
            self._interval = {}
        elif name == "vTypeDistribution" and self._mixture is not None:
            key, members = self._mixture
            self._mixture = None
            classes = [c for member in members for c in self._types.get(member, ("?" + member,))]
            self._define_type(key, tuple(dict.fromkeys(classes)))
        elif name == "routeDistribution" and self._distribution is not None:
            distribution, self._distribution = self._distribution, None
            key = distribution.attributes.get("id", "")
            if distribution.faults:
                self._demands.append(Demand(name, key[:80], faults=tuple(distribution.faults)))
            self._define_route(key, distribution.routes)

    def demands(self) -> list[Demand]:
        """Everything that moves, in the order of the file; routes nobody drives are judged as a car's."""
        demands = list(self._demands)
        for (kind, name), places in self._awaited.items():
            later = name in (self._routes if kind == "route" else self._types)
            for place in places:
                known = demands[place]
                if later:
                    message = f"its {kind} {name[:60]!r} stands after it; SUMO needs it before"
                    demands[place] = replace(known, faults=(*known.faults, ("unknown_reference", message)))
                else:
                    reason = f"its {kind} {name[:60]!r} is not in this file"
                    demands[place] = replace(known, unjudged=known.unjudged or reason)
        for name, routes in self._routes.items():
            if name not in self._used:
                repeats = name in self._repeating
                demands.append(Demand("route", name, tuple(routes), repeats=repeats))
        return demands

    # -- definitions ---------------------------------------------------------------------------------------------------
    def _type(self, attributes: Attributes) -> None:
        name = attributes.get("id", "")
        if self._mixture is not None:
            self._mixture[1].append(name)
        self._define_type(name, (attributes.get("vClass", "passenger"),))

    def _define_type(self, name: str, classes: tuple[str, ...]) -> None:
        if name in self._own_types or not name or _FORBIDDEN.search(name):
            self._mistake("vType", name, self._own_types)
        self._own_types.add(name)
        self._types[name] = classes

    def _define_route(self, name: str, routes: list[tuple[str, ...]]) -> None:
        if name in self._routes or not name or _FORBIDDEN.search(name):
            self._mistake("route", name, self._routes)
        self._routes[name] = routes

    def _mistake(self, kind: str, name: str, taken: object) -> None:
        twice = isinstance(taken, set | dict) and name in taken
        message = f"there is a second {kind} {name[:60]!r}" if twice else f"{name[:60]!r} cannot be an id in SUMO"
        self._demands.append(Demand(kind, name[:80], faults=(("duplicate" if twice else "bad_id", message),)))

    def _route(self, attributes: Attributes) -> None:
        edges = tuple(attributes.get("edges", "").split())
        if self._distribution is not None:
            if "refId" in attributes:
                self._refer(self._distribution, [attributes["refId"]])
            else:
                self._distribution.routes.append(edges)
                if "id" in attributes:
                    self._define_route(attributes["id"], [edges])
                    self._used.add(attributes["id"])
            return
        name = attributes.get("id", "")
        self._define_route(name, [edges])
        if _number(attributes.get("repeat", "0")) > 0:
            self._repeating.add(name)

    def _refer(self, holder: _Open, names: list[str]) -> None:
        for name in names:
            if name in self._routes:
                self._used.add(name)
                holder.routes += self._routes[name]
                holder.repeats |= name in self._repeating
            elif holder.kind == "routeDistribution":
                holder.faults.append(("unknown_reference", f"SUMO knows no route {name[:60]!r} before it"))
            else:
                self._awaited["route", name].append(len(self._demands))

    # -- what moves ----------------------------------------------------------------------------------------------------
    def _inside(self, mover: _Open, name: str, attributes: Attributes) -> None:
        if mover.kind in ON_FOOT:
            return
        if name in DRIVING or name in ON_FOOT:
            mover.unjudged = f"a {name} stands inside it"
        elif name == "route" and "route" not in mover.attributes:
            mixed = "routeDistribution" in self._stack
            if "refId" in attributes and mixed:
                self._refer(mover, [attributes["refId"]])
                return
            if "refId" in attributes:
                mover.faults.append(("no_route", "its own route refers to another; SUMO wants its edges"))
            mover.own_routes += not mixed
            mover.routes.append(tuple(attributes.get("edges", "").split()))
            mover.repeats |= _number(attributes.get("repeat", "0")) > 0
        elif name == "stop":
            place = next((key for key in _STOP_PLACES if key in attributes), None)
            edge = attributes.get("edge") or attributes.get("lane", "").rpartition("_")[0]
            if edge:
                mover.stops.append(edge)
            else:
                mover.unjudged = f"it stops at the {place or 'place'} {attributes.get(place or '', '')[:60]!r}"

    def _close(self, mover: _Open) -> None:
        kind, attributes = mover.kind, mover.attributes
        name = attributes.get("id", "")
        space = "person" if kind in ON_FOOT else "vehicle"
        flow = kind.lower().endswith("flow")
        stem = _INSTANCE.fullmatch(name)
        if not name or _FORBIDDEN.search(name):
            mover.faults.append(("bad_id", f"{name[:60]!r} cannot be an id in SUMO"))
        elif (space, name) in self._ids:
            mover.faults.append(("duplicate", f"there is a second {space} {name[:60]!r}"))
        elif (flow and (space, name) in self._stems) or (stem and (space, stem[1]) in self._flows):
            mover.faults.append(
                ("duplicate", f"a flow names one of its vehicles {(stem[0] if stem else name + '.0')!r}")
            )
        self._ids.add((space, name))
        if flow:
            self._flows.add((space, name))
        if stem:
            self._stems.add((space, stem[1]))
        self._departure(mover)
        if kind in ON_FOOT:
            reason = "walks, rides and transports are not checked"
            self._demands.append(Demand(kind, name[:80], faults=tuple(mover.faults), unjudged=reason))
            return
        classes = self._classes(mover)
        via = self._way(mover)
        for key in ("departEdge", "arrivalEdge"):
            place = attributes.get(key, "")
            if place.isdecimal() and any(len(place) > 9 or int(place) >= len(route) for route in mover.routes):
                mover.faults.append(("bad_departure", f"its {key}={place[:40]} lies beyond the end of its route"))
        self._demands.append(
            Demand(
                kind,
                name[:80],
                tuple(mover.routes),
                via,
                classes,
                () if via else tuple(mover.stops),
                mover.repeats,
                faults=tuple(mover.faults),
                unjudged=mover.unjudged,
            )
        )

    def _classes(self, mover: _Open) -> tuple[str, ...]:
        name = mover.attributes.get("type", "DEFAULT_VEHTYPE")
        classes = self._types.get(name)
        if classes is None:
            self._awaited["type", name].append(len(self._demands))
            return ()
        for kind in classes:
            if kind.startswith("?"):
                mover.faults.append(
                    ("unknown_reference", f"its distribution names the type {kind[1:61]!r}, not defined")
                )
            elif kind != "ignoring" and kind not in VEHICLE_CLASSES:
                mover.faults.append(("unknown_class", f"SUMO knows no vehicle class {kind[:60]!r}"))
        return classes

    def _way(self, mover: _Open) -> tuple[str, ...]:
        """The edges a trip passes; () for what has a route. Notes what is missing."""
        attributes = mover.attributes
        if mover.kind != "trip" and "route" in attributes:
            self._refer(mover, [attributes["route"]])
            if not mover.routes and attributes["route"] in self._routes:
                mover.faults.append(("no_route", f"its route {attributes['route'][:60]!r} is empty"))
            return ()
        if mover.kind != "trip" and mover.routes:
            if mover.own_routes > 1:
                mover.faults.append(("duplicate", "it has two routes"))
            return ()
        if mover.kind == "vehicle" or (mover.kind == "trip" and ("route" in attributes or mover.routes)):
            mover.routes.clear()
            mover.faults.append(("no_route", "it has no route" if mover.kind == "vehicle" else "a trip has no route"))
            return ()
        for place in _PLACES:
            for end in ("from", "to", "via"):
                if f"{end}{place}" in attributes:
                    mover.unjudged = f"it goes {end} a {place}, not an edge" if end != "to" else f"it goes to a {place}"
        if mover.unjudged:
            return ()
        if "from" not in attributes:
            mover.faults.append(("no_route", "it has neither a route nor an edge to start from"))
            return ()
        passed = [attributes["from"], *attributes.get("via", "").split()]
        if mover.stops and len(passed) > 1:
            mover.unjudged = "it has both stops and via"
            return ()
        return (*passed, *mover.stops, *([attributes["to"]] if "to" in attributes else []))

    def _departure(self, mover: _Open) -> None:
        flow = mover.kind.lower().endswith("flow")
        key = "begin" if flow else "depart"
        text = mover.attributes.get(key, "0" if flow else "")
        seconds = _seconds(text.strip())
        if flow and mover.kind == "flow":
            mover.faults += _flow_faults(mover.attributes, seconds)
        if text.strip() in _WORDS and not flow:
            return
        if math.isnan(seconds) or seconds < 0:
            mover.faults.append(("bad_departure", f"{key}={text[:40]!r} is no time from 0 on"))
        elif seconds < self._last:
            mover.faults.append(
                (
                    "unsorted",
                    f"it departs at {text[:40]} s, before those above it, so SUMO leaves it out; sort the file",
                )
            )
        else:
            self._last = seconds


def _flow_faults(attributes: Attributes, begin: float) -> list[tuple[str, str]]:
    given = [key for key in _RATES if key in attributes]
    if not given:
        return [("bad_departure", f"a flow needs one of {', '.join(_RATES)}")]
    if "number" in given and len(given) > 1 and "end" in attributes:
        return [("bad_departure", f"it has number, {given[0]} and end; leave one out")]
    if "end" in attributes and not _seconds(attributes["end"].strip()) >= begin:
        return [("bad_departure", "it ends before it begins")]
    if "probability" in given and not 0 <= _number(attributes["probability"]) <= 1:
        return [("bad_departure", "its probability is not between 0 and 1")]
    return []


def _seconds(text: str) -> float:
    """A time as SUMO writes it, in seconds; NaN for what is none."""
    if _CLOCK.fullmatch(text):
        days, hours, minutes, rest = [0.0, *map(float, text.split(":"))][-4:]
        return 86400 * days + 3600 * hours + 60 * minutes + rest
    value = float(text) if _SECONDS.fullmatch(text) else math.nan
    return value if value < 9e12 else math.nan


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
