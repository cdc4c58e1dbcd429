"""The street graph against independent readings of the same network: SUMO's own router and a plain path search."""

from __future__ import annotations

import functools
import heapq
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.roads import network as network_module
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import MapSettings, ScenarioSettings
from leed_agentic.traffic.scenario import draw_scenario

MAPS = ("braunschweig", "berlin", "grid")
FIRST_TRIPS = {
    "braunschweig": ("-22959383", "27557122", 24.0),
    "berlin": ("-142575690#6", "1560223552", 1.0),
    "grid": ("B1B0", "H4", 0.0),
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    settings = MapSettings(cache=tmp_path_factory.mktemp("cache"))
    return functools.cache(lambda name: open_map(name, settings))


def _reached(start: int, arcs: list[list[int]]) -> set[int]:
    seen, todo = {start}, [start]
    while todo:
        for after in arcs[todo.pop()]:
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
def test_every_edge_reaches_every_other(maps, name):
    network: RoadNetwork = maps(name)
    forward = [[network.edge(s).index for s in e.successors] for e in network.edges]
    backward: list[list[int]] = [[] for _ in network.edges]
    for before, afters in enumerate(forward):
        for after in afters:
            backward[after].append(before)
    assert len(_reached(0, forward)) == len(_reached(0, backward)) == len(network.edges)
    assert np.isfinite([network.trip_times(e.id) for e in network.edges]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
def test_sumo_routes_every_legal_turn_and_no_other(maps, name):
    network: RoadNetwork = maps(name)
    leaving: dict[str, list[str]] = {}
    for edge in network.edges:
        leaving.setdefault(edge.from_junction, []).append(edge.id)
    legal = {(e.id, s) for e in network.edges for s in e.successors}
    illegal = {(e.id, after) for e in network.edges for after in leaving[e.to_junction]} - legal
    assert _driven(network, legal) == legal
    assert _driven(network, illegal) == set()


def _driven(network: RoadNetwork, pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the pairs of edges that SUMO accepts as a car's route."""
    import libsumo

    accepted = set()
    libsumo.start(["sumo", "--net-file", str(network.net_file), "--no-step-log", "--no-warnings"])
    try:
        for pair in sorted(pairs):
            name = " ".join(pair)
            libsumo.route.add(name, list(pair))
            try:
                libsumo.vehicle.add(name, name)
            except libsumo.TraCIException:
                continue
            if libsumo.vehicle.isRouteValid(name):
                accepted.add(pair)
    finally:
        libsumo.close()
    return accepted


def _plain_times_to(network: RoadNetwork, junction: str, costs: np.ndarray) -> list[float]:
    """Costs from the end of each edge to the junction, by a textbook search against the arcs."""
    before: dict[str, list[str]] = {}
    for edge in network.edges:
        for after in edge.successors:
            before.setdefault(after, []).append(edge.id)
    best = [math.inf] * len(network.edges)
    queue = [(0.0, e.id) for e in network.edges if e.to_junction == junction]
    while queue:
        cost, edge_id = heapq.heappop(queue)
        index = network.edge(edge_id).index
        if cost < best[index]:
            best[index] = cost
            for previous in before.get(edge_id, []):
                heapq.heappush(queue, (cost + costs[index], previous))
    return best


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
@given(data=st.data())
def test_distances_and_paths_are_the_shortest(maps, name, data):
    network: RoadNetwork = maps(name)
    junction = data.draw(st.sampled_from(network.junctions)).id
    start = data.draw(st.sampled_from(network.edges))
    assert network.times_to(junction) == pytest.approx(_plain_times_to(network, junction, network.travel_times))
    assert network.distances_to(junction) == pytest.approx(_plain_times_to(network, junction, network.lengths))
    path = network.shortest_path(start.id, junction)
    assert path[0] == start.id
    assert network.edge(path[-1]).to_junction == junction
    assert all(after in network.edge(edge).successors for edge, after in itertools.pairwise(path))
    assert network.path_time(path) == pytest.approx(start.travel_time + network.times_to(junction)[start.index])


@pytest.mark.slow
@given(seed=st.integers(0, 1000))
def test_paths_follow_the_costs_given(maps, seed):
    network: RoadNetwork = maps("grid")
    random = np.random.default_rng(seed)
    costs = network.travel_times * random.uniform(0.2, 5.0, len(network.edges))
    start, goal = network.edges[seed % 360], network.junctions[seed % 100].id
    path = network.shortest_path(start.id, goal, costs)
    driven = sum(costs[network.edge(e).index] for e in path[1:])
    assert driven == pytest.approx(_plain_times_to(network, goal, costs)[start.index])


@pytest.mark.slow
def test_known_sizes(maps):
    sizes = {name: (len(maps(name).edges), len(maps(name).junctions)) for name in MAPS}
    assert sizes == {"braunschweig": (153, 78), "berlin": (696, 363), "grid": (360, 100)}


def test_coordinates_lie_where_the_city_is(maps):
    for junction in maps("berlin").junctions:
        assert 13.4 < junction.lon < 13.6
        assert 52.4 < junction.lat < 52.5
    assert maps("grid").junctions[0].lon is None


@pytest.mark.parametrize("content", ["", "<net", "<osm/>", "<net/>", "no xml", "<net><edge id='a'/></net>"])
def test_bad_network_file_gets_a_sentence(tmp_path, content):
    file = tmp_path / "bad.net.xml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.net\.xml"):
        RoadNetwork(file)


def test_unknown_edge_suggests_the_nearest(maps):
    with pytest.raises(UsageError, match="A0A1"):
        maps("grid").edge("A0A11")


def test_default_trips_are_the_same_as_ever(maps):
    """Figures published with these maps stay comparable: the same seed draws the same trips."""
    drawn = {name: draw_scenario(maps(name), ScenarioSettings(), seed=3).agents[0] for name in MAPS}
    assert {name: (t.start_edge, t.destination, t.departure) for name, t in drawn.items()} == FIRST_TRIPS


def test_landmarks_stand_in_for_the_table_of_trips(maps, monkeypatch):
    exact = maps("berlin")
    monkeypatch.setattr(network_module, "TABLE_CELLS", 0)
    large = RoadNetwork(exact.net_file, exact.name)
    assert 0.95 * exact.diameter <= large.diameter <= exact.diameter + 1e-6
    assert (large.farthest <= exact.farthest + 1e-6).all()
    for edge in exact.edges[::50]:
        assert large.trip_times(edge.id) == pytest.approx(exact.trip_times(edge.id))
    scenario = draw_scenario(large, ScenarioSettings(agents=50, background=20, min_trip_share=0.6), seed=1)
    for trip in (*scenario.agents, *scenario.background):
        path = large.shortest_path(trip.start_edge, trip.destination)
        assert large.path_time(path) >= 0.6 * large.diameter - 1e-6


def test_memory_of_searches_has_an_end(maps, monkeypatch):
    network = RoadNetwork(maps("grid").net_file)
    monkeypatch.setattr(network_module, "_SEARCH_BYTES", 20_000)
    first = [network.times_to(j.id) for j in network.junctions]
    assert len(network._searches) < 10
    for junction, times in zip(network.junctions, first, strict=True):
        assert (network.times_to(junction.id) == times).all()


@pytest.mark.parametrize("cost", [-1.0, math.nan])
def test_costs_that_make_no_sense_are_refused(maps, cost):
    network: RoadNetwork = maps("grid")
    costs = network.travel_times.copy()
    costs[7] = cost
    with pytest.raises(UsageError, match=network.edges[7].id):
        network.shortest_path(network.edges[0].id, network.junctions[50].id, costs)


@pytest.mark.slow
def test_closed_edges_are_driven_around_or_named(maps):
    network: RoadNetwork = maps("grid")
    start, goal = network.edges[0].id, network.junctions[50].id
    costs = network.travel_times.copy()
    closed = network.edge(network.shortest_path(start, goal)[1])
    costs[closed.index] = math.inf
    assert closed.id not in network.shortest_path(start, goal, costs)
    costs[:] = math.inf
    with pytest.raises(UsageError, match="close fewer"):
        network.shortest_path(start, goal, costs)
