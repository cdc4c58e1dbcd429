"""The directed graph of streets a passenger car may drive, with the turns it may make."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest

VEHICLE_CLASS = "passenger"


@dataclass(frozen=True)
class Edge:
    """One directed street segment. Lengths in metres, speed in metres per second, shape in network coordinates."""

    index: int
    id: str
    from_junction: str
    to_junction: str
    length: float
    speed: float
    street: str
    shape: tuple[tuple[float, float], ...]
    successors: tuple[str, ...]
    """Edges a car may legally take next, counter-clockwise from the sharpest right turn to the U-turn."""

    @cached_property
    def travel_time(self) -> float:
        """Seconds to drive the edge at its speed limit."""
        return self.length / self.speed


@dataclass(frozen=True)
class Junction:
    """A node where edges meet; x and y in metres, lon and lat in degrees (None for a network without projection)."""

    index: int
    id: str
    x: float
    y: float
    lon: float | None
    lat: float | None


class RoadNetwork:
    """The largest strongly connected set of passenger edges of a SUMO network: every edge can reach every other.

    Nodes of the search graph are edges and its arcs are legal turns, so turn bans count. Travel times are free-flow
    (length over speed limit); a junction is reached at the end of any edge that ends there.

    Raises:
        UsageError: the file is missing, is not a SUMO network, or leaves no drivable, connected edge.
    """

    def __init__(
        self, net_file: str | Path, name: str | None = None, attribution: str = "", title: str | None = None
    ) -> None:
        self.net_file = Path(net_file)
        self.name = name or self.net_file.name.split(".")[0]
        self.attribution = attribution
        self.title = title or self.name
        net = _read(self.net_file)
        self.signals = len(net.getTrafficLights())
        drivable = [e for e in net.getEdges(withInternal=False) if e.allows(VEHICLE_CLASS)]
        kept = _strongly_connected(drivable)
        self.left_out = len(drivable) - len(kept)
        """How many passenger edges of the file are not part of the connected set."""
        if len(kept) < 2:
            raise UsageError(f"{self.net_file} has no connected streets for passenger cars; choose a larger area.")
        kept_ids = {e.getID() for e in kept}
        self.edges: tuple[Edge, ...] = tuple(_edge(i, e, kept_ids) for i, e in enumerate(kept))
        self._edge_by_id = {e.id: e for e in self.edges}
        ends = {j for e in self.edges for j in (e.from_junction, e.to_junction)}
        self.junctions: tuple[Junction, ...] = tuple(
            _junction(i, net.getNode(j), net) for i, j in enumerate(sorted(ends))
        )
        self._junction_by_id = {j.id: j for j in self.junctions}
        self.lefthand = bool(getattr(net, "_lefthand", False)) or _is_lefthand(self.net_file)

    def __repr__(self) -> str:
        return f"RoadNetwork({self.name!r}, {len(self.edges)} edges, {len(self.junctions)} junctions)"

    def facts(self) -> dict[str, Any]:
        """What a person asks first about a map, by name: counts, size and whom to credit."""
        places = [(j.lon, j.lat) for j in self.junctions if j.lon is not None and j.lat is not None]
        lons, lats = zip(*places, strict=True) if places else ((), ())
        return {
            "map": self.name,
            "title": self.title,
            "edges": len(self.edges),
            "junctions": len(self.junctions),
            "signals": self.signals,
            "max_successors": self.max_successors,
            "diameter_s": round(self.diameter, 1),
            "street_km": round(float(self.lengths.sum()) / 1000, 2),
            "lefthand": self.lefthand,
            "bbox": (min(lons), min(lats), max(lons), max(lats)) if places else None,
            "net_file": str(self.net_file),
            "attribution": self.attribution,
        }

    # -- looking things up ---------------------------------------------------------------------------------------------
    def edge(self, edge_id: str) -> Edge:
        """Raises UsageError with the nearest known id when there is no such edge."""
        try:
            return self._edge_by_id[edge_id]
        except KeyError:
            raise UsageError(
                f"Map {self.name} has no edge {edge_id!r}; {nearest_id(edge_id, self._edge_by_id)}"
            ) from None

    def has_edge(self, edge_id: str) -> bool:
        return edge_id in self._edge_by_id

    def junction(self, junction_id: str) -> Junction:
        """Raises UsageError with the nearest known id when there is no such junction."""
        try:
            return self._junction_by_id[junction_id]
        except KeyError:
            raise UsageError(
                f"Map {self.name} has no junction {junction_id!r}; {nearest_id(junction_id, self._junction_by_id)}"
            ) from None

    def has_junction(self, junction_id: str) -> bool:
        return junction_id in self._junction_by_id

    @cached_property
    def max_successors(self) -> int:
        """m of the paper's Table I: the largest number of legal successors of any edge."""
        return max(len(e.successors) for e in self.edges)

    @cached_property
    def following(self) -> tuple[tuple[Edge, ...], ...]:
        """By edge index: the edges a car may take next, in the order of `Edge.successors`."""
        return tuple(tuple(self._edge_by_id[s] for s in e.successors) for e in self.edges)

    @cached_property
    def end_points(self) -> np.ndarray:
        """Coordinates of the junction at the end of every edge, metres, shape (edges, 2)."""
        ends = [self._junction_by_id[e.to_junction] for e in self.edges]
        return np.array([(j.x, j.y) for j in ends], dtype=np.float64)

    # -- paths ---------------------------------------------------------------------------------------------------------
    @cached_property
    def _reversed_arcs(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(self._edge_by_id[s].index, e.index) for e in self.edges for s in e.successors]
        later, earlier = np.array(pairs, dtype=np.int64).T
        return later, earlier

    def _search(self, junction_id: str, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sources = [e.index for e in self.edges if e.to_junction == self.junction(junction_id).id]
        later, earlier = self._reversed_arcs
        graph = csr_matrix((costs[later], (later, earlier)), shape=(len(self.edges),) * 2)
        cost, after, _ = dijkstra(graph, indices=sources, min_only=True, return_predecessors=True)
        return cost, after

    @lru_cache(maxsize=4096)  # noqa: B019 - a network lives as long as the process and is never changed
    def _to_junction(self, junction_id: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        costs = self.travel_times if metric == "time" else self.lengths
        return self._search(junction_id, costs)

    @cached_property
    def travel_times(self) -> np.ndarray:
        """Free-flow seconds of every edge, shape (edges,)."""
        return np.array([e.travel_time for e in self.edges])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Metres of every edge, shape (edges,)."""
        return np.array([e.length for e in self.edges])

    def times_to(self, junction_id: str) -> np.ndarray:
        """Free-flow seconds from the END of each edge to the junction, shape (edges,); 0 where the edge ends there."""
        return self._to_junction(junction_id, "time")[0]

    def times_from(self, edge_id: str) -> np.ndarray:
        """Free-flow seconds from the END of this edge to the END of each edge, shape (edges,)."""
        later, earlier = self._reversed_arcs
        graph = csr_matrix((self.travel_times[later], (earlier, later)), shape=(len(self.edges),) * 2)
        return dijkstra(graph, indices=self.edge(edge_id).index)

    def distances_to(self, junction_id: str) -> np.ndarray:
        """Metres along the shortest legal path from the END of each edge to the junction, shape (edges,)."""
        return self._to_junction(junction_id, "length")[0]

    def straight_distance(self, junction_a: str, junction_b: str) -> float:
        """Metres between two junctions as the crow flies."""
        a, b = self.junction(junction_a), self.junction(junction_b)
        return math.hypot(a.x - b.x, a.y - b.y)

    def shortest_path(self, start_edge: str, junction_id: str, costs: np.ndarray | None = None) -> list[str]:
        """Edge ids from the start edge (included) to an edge that ends at the junction, fastest by free-flow time.

        Args:
            costs: seconds per edge, shape (edges,), in place of free-flow times (congestion, perturbed costs).
        """
        if costs is None:
            return list(self._fastest_path(start_edge, junction_id))
        return self._walk(self.edge(start_edge), junction_id, self._search(junction_id, costs)[1])

    @lru_cache(maxsize=16384)  # noqa: B019 - as above; a fleet asks for the same few tails again and again
    def _fastest_path(self, start_edge: str, junction_id: str) -> tuple[str, ...]:
        after = self._to_junction(junction_id, "time")[1]
        return tuple(self._walk(self.edge(start_edge), junction_id, after))

    def _walk(self, current: Edge, junction_id: str, after: np.ndarray) -> list[str]:
        path = [current.id]
        while current.to_junction != junction_id:
            current = self.edges[after[current.index]]
            path.append(current.id)
        return path

    def path_time(self, edges: Sequence[str]) -> float:
        """Free-flow seconds of a list of edge ids."""
        return float(sum(self.edge(e).travel_time for e in edges))

    def path_length(self, edges: Sequence[str]) -> float:
        """Metres of a list of edge ids."""
        return float(sum(self.edge(e).length for e in edges))

    @cached_property
    def times_between(self) -> np.ndarray:
        """Free-flow seconds of a whole trip, shape (edges, junctions): start edge included, last edge included."""
        table = np.stack([self.times_to(j.id) for j in self.junctions], axis=1)
        return table + self.travel_times[:, None]

    @cached_property
    def diameter(self) -> float:
        """Seconds of the longest of all fastest trips: from any edge to any junction at free flow."""
        return float(self.times_between.max())


def nearest_id(wanted: str, known: dict[str, Any]) -> str:
    """A short hint for an unknown edge or junction id; the full list would be hundreds of ids long."""
    return nearest(wanted, known) if len(known) <= 20 else nearest(wanted, known).split(":")[0][:80]


def _read(net_file: Path) -> Any:
    if not os.path.isfile(net_file):
        raise UsageError(f"There is no network file {net_file}; give a .net.xml or .net.xml.gz file, or a map's name.")
    import xml.sax

    import sumolib

    try:
        # expat, not lxml: a network may come from anywhere, and expat bounds entity expansion.
        net = sumolib.net.readNet(str(net_file), withInternal=False, lxml=False)
    except (OSError, EOFError, xml.sax.SAXException, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{net_file} cannot be read as a SUMO network ({type(error).__name__}: {error}); "
            "build it again with `leed map build`."
        ) from error
    if not net.getEdges(withInternal=False):
        raise UsageError(f"{net_file} holds no streets; is it a SUMO .net.xml file?")
    return net


def _strongly_connected(edges: list[Any]) -> list[Any]:
    """The largest set of edges in which every one can be reached from every other by legal turns."""
    if not edges:
        return []
    index = {e.getID(): i for i, e in enumerate(edges)}
    pairs = [
        (index[e.getID()], index[s.getID()])
        for e in edges
        for s in e.getAllowedOutgoing(VEHICLE_CLASS)
        if s.getID() in index
    ]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    graph = csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(edges),) * 2)
    _, labels = connected_components(graph, directed=True, connection="strong")
    largest = np.bincount(labels).argmax()
    return [e for e, label in zip(edges, labels, strict=True) if label == largest]


def _edge(index: int, edge: Any, kept: set[str]) -> Edge:
    successors = [s for s in edge.getAllowedOutgoing(VEHICLE_CLASS) if s.getID() in kept]
    successors.sort(key=lambda s: (_turn(edge, s), s.getID()))
    return Edge(
        index=index,
        id=edge.getID(),
        from_junction=edge.getFromNode().getID(),
        to_junction=edge.getToNode().getID(),
        length=float(edge.getLength()),
        speed=float(edge.getSpeed()),
        street=edge.getName() or "",
        shape=tuple((float(p[0]), float(p[1])) for p in edge.getShape()),
        successors=tuple(s.getID() for s in successors),
    )


def _turn(before: Any, after: Any) -> float:
    """Signed turning angle in degrees, (-180, 180]: negative is right; a U-turn is 180."""
    (x0, y0), (x1, y1) = before.getShape()[-2][:2], before.getShape()[-1][:2]
    (x2, y2), (x3, y3) = after.getShape()[0][:2], after.getShape()[1][:2]
    angle = math.degrees(math.atan2(y3 - y2, x3 - x2) - math.atan2(y1 - y0, x1 - x0))
    angle = (angle + 180.0) % 360.0 - 180.0
    return 180.0 if angle < -179.0 or after.getToNode() is before.getFromNode() else round(angle, 3)


def _junction(index: int, node: Any, net: Any) -> Junction:
    x, y = (float(v) for v in node.getCoord()[:2])
    lon = lat = None
    if net.hasGeoProj():
        lon, lat = (float(v) for v in net.convertXY2LonLat(x, y))
    return Junction(index, node.getID(), x, y, lon, lat)


def _is_lefthand(net_file: Path) -> bool:
    """Whether the network's root element says lefthand="true"; sumolib does not keep it."""
    import gzip

    opener = gzip.open if net_file.name.endswith(".gz") else open
    with opener(net_file, "rt", encoding="utf-8", errors="replace") as stream:
        head = stream.read(20_000)
    start = head.find("<net ")
    return start >= 0 and 'lefthand="true"' in head[start : head.find(">", start)]
