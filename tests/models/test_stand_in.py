"""The stand-in: wrong in the ways models are, right once told, the same for equal seeds, and open about itself."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from leed_agentic.demonstrations.coordination import COORDINATES
from leed_agentic.demonstrations.planning import PlanRequest, planner_of, planners
from leed_agentic.demonstrations.planning.conversation import first_question
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.validate import Validation, validate
from leed_agentic.models.caller import Message, ModelCaller
from leed_agentic.models.stand_in import NOTICE, StandIn
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import DemonstrationSettings, ModelSettings, ScenarioSettings
from leed_agentic.traffic.scenario import AgentTrip, Scenario, draw_scenario


def request_of(network: RoadNetwork, scenario: Scenario, **model: Any) -> PlanRequest:
    caller = ModelCaller(ModelSettings(name="stand-in", **model), None, {})
    agents = [trip.agent for trip in scenario.agents]
    return PlanRequest(caller, PromptSet.load(), network, scenario, DemonstrationSettings(), agents)


def planned(request: PlanRequest, planning: str = "fleet") -> Validation:
    made = planner_of(planning).plan(request)
    return validate(request.network, request.scenario, made.routes, made.problems)


def crowd(network: RoadNetwork, agents: int) -> Scenario:
    """More agents than a drawn scenario would let start at once."""
    trips = draw_scenario(network, ScenarioSettings(agents=30), seed=0).agents
    return Scenario("crowd", 0, tuple(dataclasses.replace(trips[a % 30], agent=a) for a in range(agents)))


@pytest.fixture(scope="module")
def fleet(berlin: RoadNetwork) -> Scenario:
    return draw_scenario(berlin, ScenarioSettings(agents=20), seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("planning", ["fleet", "agent"])
def test_about_the_asked_share_of_first_routes_is_wrong(planning: str, braunschweig: RoadNetwork) -> None:
    scenario = crowd(braunschweig, 60)
    shares = {
        rate: planned(request_of(braunschweig, scenario, stand_in_error_rate=rate), planning).share
        for rate in (0.0, 0.3, 1.0)
    }
    assert shares[0.0] == 1.0
    assert 0.5 <= shares[0.3] <= 0.9
    assert shares[1.0] <= 0.15


@pytest.mark.slow
def test_its_mistakes_are_of_many_kinds(berlin: RoadNetwork) -> None:
    findings = planned(request_of(berlin, crowd(berlin, 100), stand_in_error_rate=1.0)).findings
    kinds = Counter(finding.kind for finding in findings)
    assert {"unknown_edge", "not_a_successor", "wrong_start", "does_not_reach_goal"} <= set(kinds)


@pytest.mark.parametrize("planning", ["fleet", "agent"])
def test_agents_named_in_a_refinement_are_put_right(planning: str, berlin: RoadNetwork, fleet: Scenario) -> None:
    request = request_of(berlin, fleet, stand_in_error_rate=0.5)
    made = planner_of(planning).plan(request)
    first = validate(berlin, fleet, made.routes, made.problems)
    assert first.share < 1
    remarks = first.remarks()
    again = dataclasses.replace(request, agents=list(remarks), remarks=remarks, memory=made.memory)
    second = planned(again, planning)
    assert set(second.valid) == set(remarks)


def test_its_routes_are_near_the_shortest_but_not_all_shortest(berlin: RoadNetwork, fleet: Scenario) -> None:
    routes = planned(request_of(berlin, fleet, stand_in_error_rate=0.0)).valid
    ratios = []
    for trip in fleet.agents:
        start = berlin.edge(trip.start_edge)
        shortest = start.length + berlin.distances_to(trip.destination)[start.index]
        ratios.append(berlin.path_length(routes[trip.agent]) / shortest)
    assert max(ratios) <= 1.31
    assert max(ratios) > 1.001


@pytest.mark.slow
@pytest.mark.parametrize("planning", sorted({*planners.names()} - {*COORDINATES}))
def test_equal_seeds_give_equal_replies_and_other_seeds_others(
    planning: str, berlin: RoadNetwork, fleet: Scenario
) -> None:
    def replies(seed: int) -> Any:
        made = planner_of(planning).plan(request_of(berlin, fleet, seed=seed, stand_in_error_rate=1.0))
        return made.routes, made.problems

    assert replies(3) == replies(3)
    assert replies(3) != replies(4)


def test_it_says_that_no_llm_was_called_and_that_its_tokens_are_estimates() -> None:
    message = StandIn().invoke([HumanMessage("a" * 400)])
    assert NOTICE in str(message.content)
    assert message.response_metadata["model_name"] == NOTICE == "stand-in, no LLM was called"
    assert message.response_metadata["usage_is_estimated"] is True
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] == 100


def test_a_destination_out_of_reach_of_the_prompt_is_no_crash(braunschweig: RoadNetwork) -> None:
    streets = "x (10 m, to A): y\ny (5 m, to B): "
    text = f"{streets}\nagent 0: start edge x, destination junction Z (last edge q), departs at 0 s"
    message = StandIn(error_rate=0.0).invoke([HumanMessage(text)])
    assert message.content == '{"0": ["x"]}'


def test_the_agents_of_the_prompt_are_answered_whatever_surrounds_them(braunschweig: RoadNetwork) -> None:
    trip = AgentTrip(0, braunschweig.edges[0].id, braunschweig.junctions[40].id, 0.0)
    scenario = Scenario("braunschweig", 0, (trip,))
    asked = first_question(request_of(braunschweig, scenario), "agent", [0])
    turns: list[Message] = [
        *asked[:-1],
        {"role": "user", "content": "Hello!\n\n" + asked[-1]["content"] + "\nThank you."},
    ]
    caller = ModelCaller(ModelSettings(name="stand-in", stand_in_error_rate=0.0), None, {})
    reply = caller.ask(turns, purpose="test")
    assert reply.text.startswith('{"0": ["' + trip.start_edge)


def test_twenty_agents_on_berlin_take_under_a_second(berlin: RoadNetwork, fleet: Scenario) -> None:
    request = request_of(berlin, fleet)
    messages = first_question(request, "fleet", request.agents)
    started = time.perf_counter()
    request.caller.ask(messages, purpose="time")
    assert time.perf_counter() - started < 1.0


@pytest.mark.long
def test_a_thousand_agents_are_planned_in_reasonable_time(berlin: RoadNetwork) -> None:
    started = time.perf_counter()
    assert planned(request_of(berlin, crowd(berlin, 1000), stand_in_error_rate=0.0)).share == 1.0
    assert time.perf_counter() - started < 30
