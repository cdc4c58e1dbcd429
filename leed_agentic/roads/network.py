"""The directed graph of streets a passenger car may drive, with the turns it may make."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import (
    VEHICLE_CLASS,
    Destination,
    Edge,
    Goal,
    Junction,
    edge_of,
    junctions_of,
    nearest_id,
    strongly_connected,
)
from leed_agentic.roads.net_file import class_bit, read_net

TABLE_CELLS = 5_000_000
"""Edges times junctions up to which all trips are timed (40 MB, about 1,100 junctions); above, landmarks stand in."""
LANDMARKS = 32
_SEARCH_BYTES = 256 << 20
"""What the searches kept for the next question may take: all of a small map's, some 400 of the largest."""


class RoadNetwork:
    """The largest strongly connected set of passenger edges of a SUMO network: every edge can reach every other.

    Nodes of the search graph are edges and its arcs are legal turns, so turn bans count. Travel times are free-flow
    (length over speed limit); a junction is reached at the end of any edge that ends there.

    Raises:
        UsageError: the file is missing, is not a SUMO network, holds a street that cannot be driven (without a positive
            length, a speed, a shape ...), or leaves no drivable, connected edge.
    """

    def __init__(
        self, net_file: str | Path, name: str | None = None, attribution: str | None = None, title: str | None = None
    ) -> None:
        self.net_file = Path(net_file)
        self.name = name or self.net_file.name.split(".")[0]
        self.title = title or self.name
        net = read_net(self.net_file)
        self.attribution = net.attribution if attribution is None else attribution
        self.signals = net.signals
        self.lefthand = net.lefthand
        passenger = class_bit(VEHICLE_CLASS)
        drivable = [s for s in net.streets.values() if s.allowed & passenger]
        kept = strongly_connected(drivable, net, passenger)
        kept_ids = {s.id for s in kept}
        lost = [s.length for s in drivable if s.id not in kept_ids]
        self.unconnected = len(lost)
        """How many passenger edges of the file are not part of the connected set."""
        self.left_out = net.left_out[0] + len(lost)
        """The same, with those that were left out when the map was built."""
        self.left_out_km = net.left_out[1] + sum(lost) / 1000
        if len(kept) < 2:
            raise UsageError(f"{self.net_file} has no connected streets for passenger cars; choose a larger area.")
        self.edges: tuple[Edge, ...] = tuple(edge_of(i, s, net, kept_ids, passenger) for i, s in enumerate(kept))
        self._edge_by_id = {e.id: e for e in self.edges}
        ends = sorted({j for e in self.edges for j in (e.from_junction, e.to_junction)})
        self.junctions: tuple[Junction, ...] = junctions_of(ends, net, self.net_file)
        self._junction_by_id = {j.id: j for j in self.junctions}
        self._ending: dict[str, list[int]] = defaultdict(list)
        for edge in self.edges:
            self._ending[edge.to_junction].append(edge.index)
        self._allowed = {s.id: s.allowed for s in net.streets.values()}
        self._turns = net.turns
        self._location = (net.projection, net.offset)
        self._searches: dict[tuple[Destination, str], tuple[np.ndarray, np.ndarray]] = {}

    def __repr__(self) -> str:
        return f"RoadNetwork({self.name!r}, {len(self.edges)} edges, {len(self.junctions)} junctions)"

    def _repr_html_(self) -> str:
        """The map, in a notebook."""
        from leed_agentic.roads.picture import map_html

        return map_html(self)

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
            "left_out_edges": self.left_out,
            "left_out_km": round(self.left_out_km, 2),
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

    def point(self, lon: float, lat: float) -> tuple[float, float] | None:
        """Network coordinates of a longitude and latitude, metres; None for a network without projection."""
        projection, (x0, y0) = self._location
        if projection is None:
            return None
        import pyproj

        # Checked when the junctions' own places were computed with it.
        x, y = pyproj.Proj(projection)(lon, lat)
        return x + x0, y + y0

    def has_junction(self, junction_id: str) -> bool:
        return junction_id in self._junction_by_id

    @property
    def file_edges(self) -> tuple[str, ...]:
        """The ids of all edges of the file: those of other classes and those that are not connected as well."""
        return tuple(self._allowed)

    def allows(self, edge_id: str, vehicle_class: str = VEHICLE_CLASS) -> bool | None:
        """Whether a vehicle class may use an edge of the file, connected or not; None when there is no such edge."""
        allowed = self._allowed.get(edge_id)
        return None if allowed is None else bool(allowed & class_bit(vehicle_class))

    def next_edges(self, edge_id: str, vehicle_class: str = VEHICLE_CLASS) -> list[str]:
        """Where a vehicle class may turn to from an edge of the file, connected to the rest or not."""
        bit = class_bit(vehicle_class)
        return [after for after, allowed in self._turns.get(edge_id, {}).items() if allowed & bit]

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
    def _arcs(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(self._edge_by_id[s].index, e.index) for e in self.edges for s in e.successors]
        later, earlier = np.array(pairs, dtype=np.int64).T
        return later, earlier

    @cached_property
    def _backwards(self) -> tuple[csr_matrix, np.ndarray]:
        """The graph against the arcs, and for each of its entries the edge whose cost it takes."""
        later, earlier = self._arcs
        order = csr_matrix((np.arange(1, len(later) + 1), (later, earlier)), shape=(len(self.edges),) * 2)
        return order, later[order.data - 1]

    def _sources(self, destination: Destination) -> list[int]:
        if isinstance(destination, Goal):
            return [self.edge(destination.edge).index]
        return self._ending[self.junction(destination).id]

    def _search(self, destination: Destination, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        graph, paying = self._backwards
        weighed = csr_matrix((costs[paying], graph.indices, graph.indptr), shape=graph.shape)
        sources = self._sources(destination)
        cost, after, _ = dijkstra(weighed, indices=sources, min_only=True, return_predecessors=True)
        return cost, after

    def _to_destination(self, destination: Destination, metric: str) -> tuple[np.ndarray, np.ndarray]:
        key = (destination, metric)
        found = self._searches.get(key)
        if found is None:
            found = self._search(destination, self.travel_times if metric == "time" else self.lengths)
            if len(self._searches) * (found[0].nbytes + found[1].nbytes) >= _SEARCH_BYTES:
                self._searches.pop(next(iter(self._searches)), None)
            self._searches[key] = found
        return found

    @cached_property
    def travel_times(self) -> np.ndarray:
        """Free-flow seconds of every edge, shape (edges,)."""
        return np.array([e.travel_time for e in self.edges])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Metres of every edge, shape (edges,)."""
        return np.array([e.length for e in self.edges])

    def times_to(self, destination: Destination) -> np.ndarray:
        """Free-flow seconds from the END of each edge to the destination, shape (edges,); 0 where it ends there."""
        return self._to_destination(destination, "time")[0]

    def times_from(self, edge_id: str) -> np.ndarray:
        """Free-flow seconds from the END of this edge to the END of each edge, shape (edges,)."""
        later, earlier = self._arcs
        graph = csr_matrix((self.travel_times[later], (earlier, later)), shape=(len(self.edges),) * 2)
        return dijkstra(graph, indices=self.edge(edge_id).index)

    def distances_to(self, destination: Destination) -> np.ndarray:
        """Metres along the shortest legal path from the END of each edge to the destination, shape (edges,)."""
        return self._to_destination(destination, "length")[0]

    def straight_distance(self, junction_a: str, junction_b: str) -> float:
        """Metres between two junctions as the crow flies."""
        a, b = self.junction(junction_a), self.junction(junction_b)
        return math.hypot(a.x - b.x, a.y - b.y)

    def shortest_path(self, start_edge: str, destination: Destination, costs: np.ndarray | None = None) -> list[str]:
        """Edge ids from the start edge (included) to an edge that ends at the destination, fastest by free-flow time.

        Args:
            costs: seconds per edge, shape (edges,), in place of free-flow times (congestion, perturbed costs); infinity
                closes an edge.

        Raises:
            UsageError: an unknown edge or junction, a cost below 0 or no number, or closed edges that leave no path.
        """
        if costs is None:
            return list(self._fastest_path(start_edge, destination))
        if not (costs >= 0).all():
            worst = self.edges[int(np.argmin(np.where(np.isnan(costs), -np.inf, costs)))]
            raise UsageError(f"Edge {worst.id} costs {costs[worst.index]} s; a cost must be 0 or more.")
        return self._walk(self.edge(start_edge), destination, self._search(destination, costs)[1])

    @lru_cache(maxsize=16384)  # noqa: B019 - as above; a fleet asks for the same few tails again and again
    def _fastest_path(self, start_edge: str, destination: Destination) -> tuple[str, ...]:
        after = self._to_destination(destination, "time")[1]
        return tuple(self._walk(self.edge(start_edge), destination, after))

    def _walk(self, current: Edge, destination: Destination, after: np.ndarray) -> list[str]:
        path = [current.id]
        sources = self._sources(destination)
        while current.index not in sources:
            following = int(after[current.index])
            if following < 0:
                where = f"edge {destination.edge}" if isinstance(destination, Goal) else f"junction {destination}"
                raise UsageError(f"No open street leads from {path[0]} to {where}; close fewer edges.")
            current = self.edges[following]
            path.append(current.id)
        return path

    def path_time(self, edges: Sequence[str]) -> float:
        """Free-flow seconds of a list of edge ids."""
        return float(sum(self.edge(e).travel_time for e in edges))

    def path_length(self, edges: Sequence[str]) -> float:
        """Metres of a list of edge ids."""
        return float(sum(self.edge(e).length for e in edges))

    # -- the size of the map -------------------------------------------------------------------------------------------
    @cached_property
    def _trip_table(self) -> np.ndarray | None:
        """Seconds of every trip, shape (edges, junctions); None where the table would outgrow everything else."""
        if len(self.edges) * len(self.junctions) > TABLE_CELLS:
            return None
        ends = [self._search(j.id, self.travel_times)[0] for j in self.junctions]
        return np.stack(ends, axis=1) + self.travel_times[:, None]

    def trip_times(self, start_edge: str) -> np.ndarray:
        """Free-flow seconds of whole trips from an edge (it and the last edge included), shape (junctions,)."""
        start = self.edge(start_edge)
        if self._trip_table is not None:
            return self._trip_table[start.index]
        times = np.full(len(self.junctions), np.inf)
        np.minimum.at(times, self._end_junctions, self.times_from(start_edge))
        return times + start.travel_time

    @cached_property
    def farthest(self) -> np.ndarray:
        """Seconds of the longest fastest trip from every edge, shape (edges,).

        Exact up to TABLE_CELLS; on larger maps the longest to one of LANDMARKS junctions far from one another, which is
        never more than the exact figure and seldom much less.
        """
        if self._trip_table is not None:
            return self._trip_table.max(axis=1)
        longest = np.zeros(len(self.edges))
        closest = np.full(len(self.junctions), np.inf)
        mark = 0
        for turn in range(LANDMARKS):
            left = self._search(self.junctions[mark].id, self.travel_times)[0]
            np.maximum(longest, left, out=longest)
            np.minimum.at(closest, self._end_junctions, left)
            if turn % 2:
                # What is farthest from the edge that has most to drive: these sweeps find the diameter.
                start = self.edges[int(np.argmax(longest + self.travel_times))]
                mark = int(np.argmax(self.trip_times(start.id)))
            else:
                mark = int(np.argmax(closest))
        return longest + self.travel_times

    @cached_property
    def _end_junctions(self) -> np.ndarray:
        """By edge: the index of the junction at its end, shape (edges,)."""
        return np.array([self._junction_by_id[e.to_junction].index for e in self.edges])

    @cached_property
    def diameter(self) -> float:
        """Seconds of the longest of all fastest trips, from any edge to any junction at free flow; see `farthest`."""
        return float(self.farthest.max())
