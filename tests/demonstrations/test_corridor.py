"""Corridors: the streets that matter for a trip, with a legal route always among them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.demonstrations.planning.corridor import corridor, fastest_routes, union
from leed_agentic.demonstrations.validate import route_findings
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import DemonstrationSettings
from leed_agentic.traffic.scenario import AgentTrip


def way_inside(network: RoadNetwork, trip: AgentTrip, inside: frozenset[int]) -> list[str] | None:
    """A route with the fewest edges that leaves the corridor nowhere, by breadth-first search."""
    ways = [[trip.start_edge]]
    seen = {trip.start_edge}
    while ways:
        way = ways.pop(0)
        if network.edge(way[-1]).to_junction == trip.destination:
            return way
        for following in network.following[network.edge(way[-1]).index]:
            if following.index in inside and following.id not in seen:
                seen.add(following.id)
                ways.append([*way, following.id])
    return None


@pytest.mark.slow
@settings(max_examples=60)
@given(data=st.data(), paths=st.integers(1, 6), slack=st.floats(0, 0.3), limit=st.integers(1, 60))
@pytest.mark.parametrize("place", ["braunschweig", "berlin"])
def test_every_agent_has_a_legal_route_inside_its_corridor(
    place: str, request: pytest.FixtureRequest, data: st.DataObject, paths: int, slack: float, limit: int
) -> None:
    network: RoadNetwork = request.getfixturevalue(place)
    edge = data.draw(st.sampled_from(network.edges))
    trip = AgentTrip(0, edge.id, data.draw(st.sampled_from(network.junctions)).id, 0.0)
    wanted = DemonstrationSettings(corridor_paths=paths, corridor_slack=slack, max_route_edges=limit)
    inside = corridor(network, trip, wanted)
    assert edge.index in inside
    route = way_inside(network, trip, inside)
    assert route is not None
    shortest = way_inside(network, trip, frozenset(range(len(network.edges))))
    assert shortest is not None
    if len(shortest) <= limit:
        assert route_findings(network, trip, route, limit) == []


@settings(max_examples=40)
@given(data=st.data(), count=st.integers(1, 8))
def test_further_routes_are_legal_different_and_never_faster(
    berlin: RoadNetwork, data: st.DataObject, count: int
) -> None:
    start = data.draw(st.sampled_from(berlin.edges))
    goal = data.draw(st.sampled_from(berlin.junctions)).id
    routes = [[edge.id for edge in route] for route in fastest_routes(berlin, start.id, goal, count)]
    assert 1 <= len(routes) <= count
    assert len({tuple(route) for route in routes}) == len(routes)
    times = [berlin.path_time(route) for route in routes]
    assert times == pytest.approx(sorted(times))
    assert times[0] == pytest.approx(berlin.path_time(berlin.shortest_path(start.id, goal)))
    for route in routes:
        assert len(set(route)) == len(route)
        assert all(later in berlin.edge(earlier).successors for earlier, later in pairwise(route))
        assert berlin.edge(route[-1]).to_junction == goal


def test_slack_adds_streets_and_no_paths_means_the_whole_network(berlin: RoadNetwork) -> None:
    trip = AgentTrip(0, berlin.edges[0].id, berlin.junctions[200].id, 0.0)
    sizes = [
        len(corridor(berlin, trip, DemonstrationSettings(corridor_paths=2, corridor_slack=slack)))
        for slack in (0.0, 0.05, 0.2)
    ]
    assert sizes[0] < sizes[1] < sizes[2] < len(berlin.edges)
    assert union(berlin, [trip], DemonstrationSettings(corridor_paths=0)) == list(berlin.edges)


def test_what_slack_adds_lies_on_a_route_that_is_hardly_slower(berlin: RoadNetwork) -> None:
    trip = AgentTrip(0, berlin.edges[5].id, berlin.junctions[100].id, 0.0)
    fastest = berlin.path_time(berlin.shortest_path(trip.start_edge, trip.destination)[1:])
    kept = corridor(berlin, trip, DemonstrationSettings(corridor_paths=1, corridor_slack=0.1))
    through = (berlin.times_from(trip.start_edge) + berlin.times_to(trip.destination))[sorted(kept)]
    assert through.max() <= 1.1 * fastest + 1e-6
