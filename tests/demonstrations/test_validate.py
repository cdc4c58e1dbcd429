"""Every kind of finding, by its sentence, on a real network."""

from __future__ import annotations

import pytest

from leed_agentic.demonstrations.validate import Finding, Validation, validate
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import ScenarioSettings
from leed_agentic.traffic.scenario import Scenario, draw_scenario


@pytest.fixture(scope="module")
def scenario(braunschweig: RoadNetwork) -> Scenario:
    return draw_scenario(braunschweig, ScenarioSettings(agents=3), seed=4)


@pytest.fixture
def shortest(braunschweig: RoadNetwork, scenario: Scenario) -> dict[int, list[str]]:
    return {t.agent: braunschweig.shortest_path(t.start_edge, t.destination) for t in scenario.agents}


def only(validation: Validation, agent: int | None) -> Finding:
    found = [f for f in validation.findings if f.agent == agent]
    assert len(found) == 1, found
    return found[0]


def test_shortest_paths_are_valid(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    validation = validate(braunschweig, scenario, shortest)
    assert (validation.valid, validation.findings, validation.share) == (shortest, [], 1.0)


def test_a_route_ends_where_it_first_reaches_the_goal(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    onward = braunschweig.edge(shortest[0][-1]).successors[0]
    validation = validate(braunschweig, scenario, {**shortest, 0: [*shortest[0], onward, "nonsense"]})
    assert validation.valid == shortest


def test_an_unknown_edge_names_what_could_come_instead(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    route = shortest[0]
    finding = validate(braunschweig, scenario, {**shortest, 0: [route[0], "Nowhere#1", *route[1:]]}).findings[0]
    assert (finding.kind, finding.edge, finding.position) == ("unknown_edge", "Nowhere#1", 1)
    assert all(successor in finding.message for successor in braunschweig.edge(route[0]).successors)


def test_an_illegal_turn_names_the_legal_ones(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    route = shortest[0]
    skipped = [*route[:2], *route[3:]]
    assert route[3] not in braunschweig.edge(route[1]).successors
    finding = only(validate(braunschweig, scenario, {**shortest, 0: skipped}), 0)
    assert (finding.kind, finding.edge, finding.position) == ("not_a_successor", route[3], 2)
    assert f"from {route[1]} it is not possible to go to {route[3]}" in finding.message
    assert all(successor in finding.message for successor in braunschweig.edge(route[1]).successors)


def test_a_wrong_start_names_the_right_one(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    finding = only(validate(braunschweig, scenario, {**shortest, 0: shortest[0][1:]}), 0)
    assert finding.kind == "wrong_start"
    assert f"must begin with {shortest[0][0]}" in finding.message


def test_a_short_route_says_how_far_it_is_and_where_to_end(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    finding = only(validate(braunschweig, scenario, {**shortest, 0: shortest[0][:-1]}), 0)
    goal = scenario.agents[0].destination
    last = braunschweig.edge(shortest[0][-1])
    assert finding.kind == "does_not_reach_goal"
    assert f"{last.length:.0f} m of road before junction {goal}" in finding.message
    assert last.id in finding.message


def test_an_edge_taken_twice_is_a_loop(braunschweig: RoadNetwork, scenario: Scenario) -> None:
    trip = scenario.agents[0]
    there = braunschweig.shortest_path(trip.start_edge, trip.destination)[:2]
    back = braunschweig.shortest_path(there[-1], braunschweig.edge(trip.start_edge).to_junction)
    detour = [*there, *back[1:]]
    # From where the start edge ends once more to the goal: the second edge comes again.
    if detour[-1] not in braunschweig.edge(trip.start_edge).successors:
        detour += braunschweig.shortest_path(detour[-1], trip.destination)[1:]
    assert len(set(detour)) < len(detour)
    finding = validate(braunschweig, scenario, {0: detour}).findings[0]
    assert finding.kind == "loop"
    assert "twice" in finding.message


def test_missing_agents_too_long_routes_and_strangers(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    routes = {0: shortest[0], 1: [shortest[1][0]] * 100_000, 77: ["a"], 78: ["b"]}
    validation = validate(braunschweig, scenario, routes, max_route_edges=200)
    assert only(validation, 1).kind == "too_long"
    assert "100000 edges" in only(validation, 1).message
    assert only(validation, 2).kind == "missing_agent"
    assert only(validation, None) == Finding(
        None, "unexpected_agent", "Nobody asked for routes of 77, 78; leave them out."
    )
    assert validation.share == pytest.approx(1 / 3)


def test_an_empty_route_is_missing(braunschweig: RoadNetwork, scenario: Scenario) -> None:
    validation = validate(braunschweig, scenario, {0: [], 1: [], 2: []})
    assert [f.kind for f in validation.findings] == ["missing_agent"] * 3
    assert validation.share == 0.0


def test_what_reading_already_explained_is_not_said_twice(braunschweig: RoadNetwork, scenario: Scenario) -> None:
    problem = Finding(1, "duplicate_agent", "Agent 1: the reply has 2 different routes; give exactly one.")
    validation = validate(braunschweig, scenario, {}, [problem])
    assert [f.kind for f in validation.findings if f.agent == 1] == ["duplicate_agent"]
    assert validation.remarks()[1] == problem.message


def test_remarks_are_one_short_line_per_invalid_agent(
    braunschweig: RoadNetwork, scenario: Scenario, shortest: dict[int, list[str]]
) -> None:
    routes = {**shortest, 0: ["x" * 5000, "y\n\x1b[31m"] * 50}
    remarks = validate(braunschweig, scenario, routes).remarks()
    assert list(remarks) == [0]
    assert remarks[0].isprintable()
    assert len(remarks[0]) < 2000
