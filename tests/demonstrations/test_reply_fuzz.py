"""Replies of every form, dress and damage: no exception, no route that SUMO refuses, and every whole one is read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.demonstrations.reply import MAX_CHARACTERS, parse_reply, read_reply
from leed_agentic.demonstrations.validate import validate
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import ScenarioSettings
from leed_agentic.traffic.scenario import Scenario, draw_scenario
from tests.demonstrations.fuzz import refused
from tests.demonstrations.replies import DRESSES, FORMS, a_reply


@pytest.fixture(scope="module")
def scenario(braunschweig: RoadNetwork) -> Scenario:
    return draw_scenario(braunschweig, ScenarioSettings(agents=3), seed=1)


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_dress_is_read(
    braunschweig: RoadNetwork, scenario: Scenario, form: str, dress: str
) -> None:
    routes = {t.agent: braunschweig.shortest_path(t.start_edge, t.destination) for t in scenario.agents}
    reply = read_reply(DRESSES[dress](FORMS[form](routes)), list(routes), braunschweig, scenario)
    assert (reply.routes, reply.problems) == (routes, [])


@pytest.mark.slow
def test_what_is_accepted_can_be_driven(braunschweig: RoadNetwork, scenario: Scenario) -> None:
    accepted: set[tuple[str, ...]] = set()

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, 2**32))
    def read(seed: int) -> None:
        text = a_reply(random.Random(seed), braunschweig, scenario)
        reply = read_reply(text, [0, 1, 2], braunschweig, scenario)
        valid = validate(braunschweig, scenario, reply.routes, reply.problems).valid
        for trip in scenario.agents:
            if trip.agent in valid:
                route = valid[trip.agent]
                assert route[0] == trip.start_edge
                assert braunschweig.edge(route[-1]).to_junction == trip.destination
                accepted.add(tuple(route))

    read()
    # Ways of many shapes, not the shortest three again and again.
    assert len(accepted) >= 30
    assert not any(refused(braunschweig.net_file, sorted(accepted)))
    before, after = next(
        (a.id, b.id) for a in braunschweig.edges for b in braunschweig.edges if b.id not in a.successors
    )
    assert refused(braunschweig.net_file, [[before, after]]) == [True]


LARGE = {
    "thoughts": "<think>" * 280_000,
    "ends of thoughts": "</think>" * 240_000,
    "channels": "<|channel|>final<|message|>" * 70_000,
    "100,000 routes for one agent": "{" + ",".join(f'"0":["a{n}"]' for n in range(100_000)) + "}",
    "names of spaces": "{" + ",".join('"' + " " * 1000 + 'x":["a"]' for _ in range(1900)) + "}",
    "a number of a million digits": '{"0": [' + "9" * 1_900_000 + "]}",
    "hexadecimal": '{"0": [0x' + "f" * 1_900_000 + "]}",
    "open comments": "[/*" * 660_000,
    "bare words": "[" + "a " * 990_000 + "]",
    "backslashes": '["' + "\\" * 1_900_001 + '"]',
    "a list of ones": "[" + "1," * 999_990 + "]",
    "empty objects": "[" + "{}," * 600_000 + "{}]",
    "texts of brackets": '{"arguments": "' + "[" * 1_900_000 + '"}',
    "lists in text": '["' * 660_000,
}


@pytest.mark.long
@pytest.mark.parametrize("name", LARGE)
def test_two_megabytes_of_anything_are_read(braunschweig: RoadNetwork, scenario: Scenario, name: str) -> None:
    assert len(LARGE[name]) <= MAX_CHARACTERS
    reply = read_reply(LARGE[name], [0, 1, 2], braunschweig, scenario)
    assert not validate(braunschweig, scenario, reply.routes, reply.problems).valid
    assert reply.problems or reply.routes
    assert all(len(p.message) < 400 for p in reply.problems)


@pytest.mark.parametrize("trouble", ["The model refused: 'no'", "The server's content filter held the reply back."])
def test_the_servers_reason_is_the_finding(trouble: str) -> None:
    for text in ("", "I cannot do that."):
        assert [p.message for p in parse_reply(text, [0], trouble).problems] == [trouble]
