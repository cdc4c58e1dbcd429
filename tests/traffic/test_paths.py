"""Fastest paths of single vehicles: by free flow, by red lights, by times that change, around closed streets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sumolib
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.driver_noise import DriverNoise, with_noise
from leed_agentic.traffic.paths import Costs, fastest_path, seconds_along
from leed_agentic.traffic.signals import Signals, Waits, read_signals
from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.sumo_run import drive_routes


def diamond(waits=None):
    """s -> fast -> t takes 30 s, s -> slow -> t 40 s; a light may stand between s and fast."""
    static = {("s", "fast"): Waits(0, waits)} if waits else {}
    return StreetGraph(
        ["s", "fast", "slow", "t"], ["A", "B", "B", "C"], [10, 10, 20, 10], [[1, 2], [3], [3], []], Signals(static)
    )


@pytest.fixture(scope="module")
def lit(tmp_path_factory):
    net = tmp_path_factory.mktemp("lit") / "lit.net.xml"
    options = ("--grid", "--grid.number=5", "--grid.length=150", "--default-junction-type=traffic_light")
    generate_network(net, options, "Invented streets")
    return net, StreetGraph.read(sumolib.net.readNet(str(net)), read_signals(net))


def test_free_flow():
    graph = diamond()
    assert fastest_path(Costs(graph), 0, graph.goal(junction="C"), 5) == ((0, 1, 3), 30.0)
    assert fastest_path(Costs(graph), 3, graph.goal(edge="t"), 5) == ((3,), 10.0)


def test_red_at_the_second_of_arrival():
    """A cycle of 60 s of which the first 30 are red: who is at the light at 10 waits 20 s, who is at 40 does not."""
    graph = diamond(tuple(30.0 - s for s in range(30)) + (0.0,) * 30)
    costs = Costs(graph, lights=True)
    goal = graph.goal(edge="t")
    # Three streets, two junctions of a second each.
    assert fastest_path(costs, 0, goal, 0) == ((0, 2, 3), 42.0)
    assert fastest_path(costs, 0, goal, 30) == ((0, 1, 3), 32.0)
    # The wait, and starting again.
    assert seconds_along(costs, (0, 1, 3), 0) == 32.0 + 20.0 + 3.0


def test_lost_seconds_count_in_their_interval_only():
    graph = diamond()
    costs = Costs(graph, extra={1 * 10 + 0: 25.0}, interval=30, intervals=10)
    goal = graph.goal(edge="t")
    assert fastest_path(costs, 0, goal, 0) == ((0, 2, 3), 40.0)
    assert fastest_path(costs, 0, goal, 25) == ((0, 1, 3), 30.0)


def test_closed_and_penalised_streets():
    graph = diamond()
    goal = graph.goal(edge="t")
    closed = Costs(graph, closed=frozenset({1}))
    assert fastest_path(closed, 0, goal, 0) == ((0, 2, 3), 40.0)
    assert seconds_along(closed, (0, 1, 3), 0) == float("inf")
    assert fastest_path(Costs(graph, closed=frozenset({1, 2})), 0, goal, 0) is None
    assert fastest_path(Costs(graph, closed=frozenset({0})), 0, goal, 0) is None
    # A penalty steers the choice; the seconds are those without it.
    assert fastest_path(Costs(graph), 0, goal, 0, penalty={1: 3.0}) == ((0, 2, 3), 40.0)


def test_a_goal_that_no_way_leads_to():
    graph = diamond()
    assert fastest_path(Costs(graph), 1, graph.goal(edge="slow"), 0) is None
    with pytest.raises(UsageError, match=r"no street 'fats'.*fast"):
        graph.goal(edge="fats")
    with pytest.raises(UsageError, match="leads to 'Z'"):
        graph.goal(junction="Z")


@pytest.mark.slow
def test_the_same_as_the_maps_own_shortest_paths(lit):
    net, graph = lit
    network = RoadNetwork(net)
    own = StreetGraph.of(network, graph.signals)
    generator = np.random.default_rng(0)
    for _ in range(30):
        start = network.edges[generator.integers(len(network.edges))]
        junction = network.junctions[generator.integers(len(network.junctions))]
        path, seconds = fastest_path(Costs(own), start.index, own.goal(junction=junction.id), 0.0)
        assert seconds == pytest.approx(network.path_time(network.shortest_path(start.id, junction.id)))
        assert own.legal(path)
        assert own.ids[path[-1]] in {e.id for e in network.edges if e.to_junction == junction.id}


def cheapest_by_force(graph, costs, goal):
    """Bellman-Ford with constant costs, arrival at each street's end."""
    seconds = graph.free + np.array([costs.extra.get(street, 0.0) for street in range(len(graph.ids))])
    best = np.full(len(graph.ids), np.inf)
    best[0] = seconds[0]
    for _ in graph.ids:
        for street, following in enumerate(graph.successors):
            for after in following:
                best[after] = min(best[after], best[street] + seconds[after])
    return min(best[street] for street in goal)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_path_is_faster(data):
    """Against all paths of random graphs whose streets lose random seconds."""
    size = data.draw(st.integers(2, 9))
    following = data.draw(st.lists(st.sets(st.integers(0, size - 1), max_size=4), min_size=size, max_size=size))
    free = data.draw(st.lists(st.floats(0, 50), min_size=size, max_size=size))
    lost = data.draw(st.dictionaries(st.integers(0, size - 1), st.floats(0, 100)))
    names = [f"e{i}" for i in range(size)]
    graph = StreetGraph(names, names, free, [sorted(after) for after in following], Signals())
    costs = Costs(graph, extra=lost, interval=1e9, intervals=1)
    goal = (size - 1,)
    found = fastest_path(costs, 0, goal, 0.0)
    best = cheapest_by_force(graph, costs, goal)
    if found is None:
        assert best == np.inf
    else:
        path, seconds = found
        assert path[0] == 0
        assert path[-1] == size - 1
        assert all(after in graph.successors[before] for before, after in pairwise(path))
        assert seconds == pytest.approx(best)
        assert seconds == pytest.approx(seconds_along(costs, path, 0.0))


@pytest.mark.slow
def test_a_lone_car_takes_what_the_lights_say(lit, tmp_path):
    """In SUMO, ten cars far apart in time: the expected seconds are right within a few, free flow is far off."""
    net, graph = lit
    start, goal = graph.street("A0A1"), graph.goal(junction="E4")
    departures = [400.0 * k + 17 * k for k in range(10)]
    lines, expected = [], {}
    for number, departure in enumerate(departures):
        path, expected[f"v{number}"] = fastest_path(Costs(graph, lights=True), start, goal, departure)
        edges = " ".join(graph.ids[e] for e in path)
        lines.append(
            f'<vehicle id="v{number}" depart="{departure:g}" departLane="best"><route edges="{edges}"/></vehicle>'
        )
    file = tmp_path / "lone.rou.xml"
    file.write_text(f"<routes>{''.join(lines)}</routes>", encoding="utf-8")
    driven = drive_routes(net, with_noise([file], DriverNoise(), tmp_path / ""), end=10_000)
    errors = [driven.vehicles[name].travel_time(driven.end) - seconds for name, seconds in expected.items()]
    free = fastest_path(Costs(graph), start, goal, 0.0)[1]
    assert abs(np.mean(errors)) < 8
    assert np.mean([driven.vehicles[name].travel_time(driven.end) for name in expected]) - free > 20
