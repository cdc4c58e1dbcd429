"""Trips in a CSV table: id, from, to, depart; from and to are an edge, a junction, or a longitude and latitude."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import Edge, nearest_id
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.runs.files import check_plain
from leed_agentic.traffic.scenario import BackgroundTrip

COLUMNS = ("id", "from", "to", "depart")
FARTHEST = 500.0
"""Metres from a point to the nearest street, up to which it is taken for a place on it."""
_LON_LAT = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*[,;/ ]\s*(-?\d+(?:\.\d+)?)\s*")


def read_table(file: Path, network: RoadNetwork) -> list[BackgroundTrip]:
    """The trips of a table, in its order.

    Raises:
        UsageError: the file or one of its lines cannot be used; the message says which.
    """
    try:
        text = check_plain(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read the trips {file}: {error}.") from error
    head = text.split("\n", 1)[0]
    rows = csv.DictReader(text.splitlines(), delimiter=";" if ";" in head else ",", skipinitialspace=True)
    names = tuple(rows.fieldnames or ())
    if sorted(names) != sorted(COLUMNS):
        raise UsageError(f"{file} has the columns {', '.join(names)[:200]}; write id,from,to,depart in its first line.")
    try:
        return [_trip(row, network, f"{file}, line {rows.line_num}") for row in rows]
    except csv.Error as error:
        raise UsageError(f"{file}, line {rows.line_num}: {error}.") from error


def _trip(row: Mapping[str, Any], network: RoadNetwork, where: str) -> BackgroundTrip:
    import sumolib

    if any(not isinstance(row.get(name), str) or not row[name].strip() for name in COLUMNS) or None in row:
        raise UsageError(
            f'{where}: a trip needs id, from, to and depart; quote a longitude and latitude: "8.45,49.01".'
        )
    cells = {name: row[name].strip() for name in COLUMNS}
    try:
        departure = float(sumolib.miscutils.parseTime(cells["depart"]))
    except (ValueError, TypeError):
        departure = np.nan
    if not np.isfinite(departure) or departure < 0:
        raise UsageError(f"{where}: depart is {cells['depart'][:40]!r}; write seconds of 0 or more, or hh:mm:ss.")
    goal = _place(cells["to"], network, where)
    if isinstance(goal, Edge):
        junction, edge = goal.to_junction, goal.id
    else:
        junction, edge = goal, None
    trip = BackgroundTrip("", junction, departure, id=cells["id"], destination_edge=edge)
    start = _place(cells["from"], network, where)
    if isinstance(start, Edge):
        first = start.id
    else:
        times = network.times_to(trip.goal) + network.travel_times
        leaving = [e.index for e in network.edges if e.from_junction == start]
        first = network.edges[min(leaving, key=lambda index: times[index])].id
    return BackgroundTrip(first, junction, departure, id=cells["id"], destination_edge=edge)


def _place(text: str, network: RoadNetwork, where: str) -> Edge | str:
    """An edge, or a junction's id."""
    if network.has_edge(text):
        return network.edge(text)
    if network.has_junction(text):
        return text
    if point := _LON_LAT.fullmatch(text):
        return _nearest_edge(network, float(point[1]), float(point[2]), where)
    hint = nearest_id(text, [edge.id for edge in network.edges])
    raise UsageError(f"{where}: map {network.name} has no edge or junction {text[:80]!r}; {hint}")


def _nearest_edge(network: RoadNetwork, lon: float, lat: float, where: str) -> Edge:
    place = network.point(lon, lat)
    if place is None:
        raise UsageError(f"{where}: map {network.name} has no longitudes and latitudes; give edges or junctions.")
    point = np.array(place)
    starts, ends, owners = _segments(network)
    along = ends - starts
    share = ((point - starts) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-9)
    gaps = np.hypot(*(starts + np.clip(share, 0, 1)[:, None] * along - point).T)
    best = int(np.nanargmin(gaps)) if np.isfinite(gaps).any() else 0
    if not gaps[best] <= FARTHEST:
        raise UsageError(
            f"{where}: longitude {lon:g}, latitude {lat:g} lies outside map {network.name}, "
            f"{gaps[best] / 1000:.1f} km from its nearest street; is the longitude first?"
        )
    return network.edges[owners[best]]


@lru_cache(maxsize=4)
def _segments(network: RoadNetwork) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends of the pieces of all edges, metres, (pieces, 2), and whose they are, (pieces,)."""
    pieces = [(a, b, e.index) for e in network.edges for a, b in zip(e.shape[:-1], e.shape[1:], strict=True)]
    starts, ends, owners = zip(*pieces, strict=True)
    return np.array(starts)[:, :2], np.array(ends)[:, :2], np.array(owners)
