"""Short aliases in prompts, and back: nothing is lost on the way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.demonstrations.names import Names
from leed_agentic.demonstrations.planning.briefing import adjacency_block, agents_block, junctions_block
from leed_agentic.demonstrations.reply import read_reply
from leed_agentic.demonstrations.validate import validate
from leed_agentic.models.tokens import estimated_tokens
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import ScenarioSettings
from leed_agentic.traffic.scenario import Scenario, draw_scenario


@pytest.fixture(scope="module")
def scenario(berlin: RoadNetwork) -> Scenario:
    return draw_scenario(berlin, ScenarioSettings(agents=3), seed=0)


def test_every_alias_is_mapped_back_and_is_its_own(berlin: RoadNetwork) -> None:
    names = Names(berlin, aliases=True)
    edges, junctions = [e.id for e in berlin.edges], [j.id for j in berlin.junctions]
    shown = [*map(names.edge, edges), *map(names.junction, junctions)]
    assert len(set(shown)) == len(shown)
    assert names.ids(shown) == [*edges, *junctions]
    assert names.ids(["edge e5", "Junction_j7"]) == [edges[5], junctions[7]]


@given(words=st.lists(st.text(max_size=12)))
def test_what_is_no_alias_stays_as_it_is(berlin: RoadNetwork, words: list[str]) -> None:
    others = [word for word in words if not re.search(r"[ej]\d", word, re.IGNORECASE)]
    assert Names(berlin, aliases=True).ids([*others, "e99999", "j99999"]) == [*others, "e99999", "j99999"]
    assert Names(berlin).ids(words) == words


def test_a_prompt_in_aliases_holds_no_id_and_half_the_tokens(berlin: RoadNetwork, scenario: Scenario) -> None:
    def prompt(names: Names) -> str:
        blocks = (junctions_block(berlin, names=names), adjacency_block(berlin, names=names))
        return "\n".join([*blocks, agents_block(berlin, scenario, range(3), names=names)])

    short, plain = prompt(Names(berlin, aliases=True)), prompt(Names(berlin))
    assert not any(word in short for word in (scenario.agents[0].start_edge, scenario.agents[0].destination))
    assert estimated_tokens(short) < estimated_tokens(plain) / 2


@pytest.mark.parametrize("form", ['{{"1": {route}}}', '[{{"agent": 1, "edges": {route}}}]'])
def test_a_reply_in_aliases_becomes_a_route(berlin: RoadNetwork, scenario: Scenario, form: str) -> None:
    names = Names(berlin, aliases=True)
    route = berlin.shortest_path(scenario.agents[1].start_edge, scenario.agents[1].destination)
    text = form.format(route=str([names.edge(e) for e in route]).replace("'", '"'))
    assert read_reply(text, [1], berlin, scenario, names).routes == {1: route}


def test_instructions_may_name_junctions_by_alias(berlin: RoadNetwork, scenario: Scenario) -> None:
    names = Names(berlin, aliases=True)
    route = berlin.shortest_path(scenario.agents[1].start_edge, scenario.agents[1].destination)
    steps = [f'["move to", "junction_{names.junction(berlin.edge(e).to_junction)}", 1]' for e in route[1:]]
    parsed = read_reply(f"[{', '.join(steps)}]", [1], berlin, scenario, names)
    assert validate(berlin, scenario, parsed.routes).valid[1][-1] == route[-1]


def test_remarks_speak_the_prompts_language(berlin: RoadNetwork, scenario: Scenario) -> None:
    names = Names(berlin, aliases=True)
    trip = scenario.agents[0]
    routes = {0: [trip.start_edge, "nowhere"], 1: [berlin.edges[0].id], 2: [scenario.agents[2].start_edge]}
    remarks = validate(berlin, scenario, routes).remarks()
    for agent, remark in remarks.items():
        told = names.told(remark)
        assert told.startswith(f"Agent {agent}")
        words = set(re.findall(r"[^\s,;'\"()]+", told.replace(".", " ").replace(":", " ")))
        assert not any(berlin.has_edge(word) or berlin.has_junction(word) for word in words)
        assert Names(berlin).told(remark) == remark
    assert names.edge(trip.start_edge) in names.told(remarks[0])
    assert "'nowhere'" in names.told(remarks[0])
    assert f"junction {names.junction(scenario.agents[2].destination)};" in names.told(remarks[2])
