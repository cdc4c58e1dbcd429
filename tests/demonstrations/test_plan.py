"""The three ways to plan, against the stand-in and against a server that answers well, badly or not at all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leed_agentic.demonstrations.coordination import COORDINATES
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.planning import Planned, PlanRequest, check_planner, planner_of, planners
from leed_agentic.demonstrations.planning.briefing import adjacency_block, agents_block
from leed_agentic.demonstrations.planning.conversation import EXCHANGES_KEPT
from leed_agentic.demonstrations.planning.junction import BACK, JunctionMemory, direction, options, question, walk
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.validate import validate
from leed_agentic.errors import UsageError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import DemonstrationSettings, ModelSettings, ScenarioSettings
from leed_agentic.traffic.scenario import Scenario, draw_scenario
from tests.model_server import ModelServer, Say

BY_ROUTES = [name for name in planners.names() if name not in COORDINATES]
"""Ways of planning that need no drive to begin with."""

CHOICE = re.compile(r"(\d+\.\d\d) \((left|straight|right|back), (\d+) m\)")


@pytest.fixture(scope="module")
def scenario(braunschweig: RoadNetwork) -> Scenario:
    return draw_scenario(braunschweig, ScenarioSettings(agents=5), seed=0)


def request_of(network: RoadNetwork, scenario: Scenario, caller: ModelCaller, **changes: Any) -> PlanRequest:
    parts = {"agents": range(len(scenario.agents)), **changes}
    settings = DemonstrationSettings(**parts.pop("settings", {}))
    return PlanRequest(caller, PromptSet.load(), network, scenario, settings, **parts)


def stand_in(**changes: Any) -> ModelCaller:
    return ModelCaller(ModelSettings(name="stand-in", **{"stand_in_error_rate": 0.0, **changes}), None, {})


def ask(server: ModelServer, **changes: Any) -> ModelCaller:
    return ModelCaller(ModelSettings(name="openai:tiny", base_url=server.url, **changes), None, {})


def asked(request: dict[str, Any]) -> str:
    return request["messages"][-1]["content"]


def pick(chosen: Any) -> Any:
    """A server's reply to a junction question: what `chosen` (min or max) finds among the numbers of the choices."""
    return lambda body: Say(chosen(re.findall(r"\d+\.\d\d", asked(body)), key=float))


# -- every way ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("planning", BY_ROUTES)
def test_a_planner_that_makes_no_mistake_gives_everyone_a_valid_route(
    planning: str, braunschweig: RoadNetwork, scenario: Scenario
) -> None:
    planned = planner_of(planning).plan(request_of(braunschweig, scenario, stand_in()))
    assert validate(braunschweig, scenario, planned.routes, planned.problems).share == 1.0
    assert (planned.problems, planned.stopped) == ([], None)


@pytest.mark.parametrize("planning", BY_ROUTES)
def test_only_the_agents_asked_for_are_planned(planning: str, braunschweig: RoadNetwork, scenario: Scenario) -> None:
    planned = planner_of(planning).plan(request_of(braunschweig, scenario, stand_in(), agents=[3, 1]))
    assert set(planned.routes) == {1, 3}


@pytest.mark.parametrize("planning", BY_ROUTES)
@pytest.mark.parametrize(
    "text", ["I cannot help with that.", "", '{"99": ["x"]}', "[" * 5000, "NaN 1e400 99999999999999999"]
)
def test_useless_replies_become_findings(
    planning: str, text: str, braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.default = Say(text)
    planned = planner_of(planning).plan(request_of(braunschweig, scenario, ask(model_server)))
    assert not planned.routes
    assert planned.problems
    assert validate(braunschweig, scenario, planned.routes, planned.problems).share == 0.0


@pytest.mark.parametrize("planning", BY_ROUTES)
def test_a_cap_ends_planning_with_what_there_is(planning: str, braunschweig: RoadNetwork, scenario: Scenario) -> None:
    calls = {"fleet": 1, "agent": 2, "junction": 30}[planning]
    caller = stand_in(max_calls=calls)
    plan = planner_of(planning).plan
    planned = plan(request_of(braunschweig, scenario, caller))
    if planning == "fleet":
        assert planned.stopped is None
        memory, remarks = planned.memory, {0: "Agent 0: again."}
        planned = plan(request_of(braunschweig, scenario, caller, memory=memory, remarks=remarks))
    else:
        assert 0 < len(planned.routes) < 5
    assert planned.stopped is not None
    assert "max_calls" in planned.stopped
    assert caller.usage.calls == calls


# -- one of the user's own ---------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_the_page_s_own_planner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, braunschweig: RoadNetwork, scenario: Scenario
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "demonstrations.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(# my_planner.py\n.*?)```", page, re.DOTALL)
    assert found
    (tmp_path / "my_planner.py").write_text(found[1])
    monkeypatch.syspath_prepend(tmp_path)
    overrides = {"model.name": "stand-in", "demonstration.planning": "my_planner.plan", "scenario.agents": 2}
    made = generate(settings_for_run(overrides=overrides), tmp_path / "run")
    assert made.demonstrations.validity == 1.0
    assert made.summary["planning"] == "my_planner.plan"
    assert check_planner("my_planner.plan", request_of(braunschweig, scenario, stand_in())) == []


@pytest.mark.parametrize("planning", BY_ROUTES)
def test_ours_keep_the_contract(planning: str, braunschweig: RoadNetwork, scenario: Scenario) -> None:
    assert check_planner(planning, request_of(braunschweig, scenario, stand_in(stand_in_error_rate=1.0))) == []


def test_a_planner_that_breaks_the_contract_is_told_so(
    monkeypatch: pytest.MonkeyPatch, braunschweig: RoadNetwork, scenario: Scenario, tmp_path: Path
) -> None:
    def forgetful(request: PlanRequest) -> Any:
        request.memory["seen"] = (1, 2)  # type: ignore[index]
        return Planned({99: ["x"]}, memory={1: (2, 3)})  # type: ignore[dict-item]

    monkeypatch.setitem(planners._items, "nothing", lambda request: None)
    monkeypatch.setitem(planners._items, "forgetful", forgetful)
    request = request_of(braunschweig, scenario, stand_in())
    assert check_planner("nothing", request) == ["It must return a Planned, not NoneType."]
    said = " ".join(check_planner("forgetful", request))
    assert "changes request.memory" in said
    assert "not asked for: [99]" in said
    assert "neither a route nor a finding" in said
    assert "comes back from JSON changed" in said
    settings = settings_for_run(overrides={"model.name": "stand-in", "demonstration.planning": "nothing"})
    with pytest.raises(UsageError, match="'nothing' must return a Planned"):
        generate(settings, tmp_path / "run")


# -- fleet and agent ---------------------------------------------------------------------------------------------------
def test_the_fleet_prompt_has_everything_the_paper_lists(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    routes = {t.agent: braunschweig.shortest_path(t.start_edge, t.destination) for t in scenario.agents}
    model_server.script = [Say(f"```json\n{json.dumps(routes)}\n```")]
    whole = {"corridor_paths": 0}
    planned = planner_of("fleet").plan(request_of(braunschweig, scenario, ask(model_server), settings=whole))
    assert planned.routes == routes
    prompt = asked(model_server.requests[0])
    assert adjacency_block(braunschweig) in prompt
    assert agents_block(braunschweig, scenario, range(5)) in prompt
    assert all(f"{j.id}: {j.x:.0f}, {j.y:.0f}" in prompt for j in braunschweig.junctions)


def test_feedback_goes_on_in_the_same_conversation_and_stays_bounded(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    caller, plan = ask(model_server), planner_of("fleet").plan
    model_server.default = Say("no idea")
    memory = plan(request_of(braunschweig, scenario, caller)).memory
    for number in range(5):
        remarks = {2: f"Agent 2: finding {number}."}
        memory = plan(request_of(braunschweig, scenario, caller, memory=memory, agents=[2], remarks=remarks)).memory
    first, last = model_server.requests[0]["messages"], model_server.requests[-1]["messages"]
    assert last[:2] == first
    assert [m["role"] for m in last] == ["system", "user", *["assistant", "user"] * EXCHANGES_KEPT]
    assert "finding 4" in last[-1]["content"]
    assert "finding 3" in last[-3]["content"]
    assert agents_block(braunschweig, scenario, [2]) in last[-1]["content"]
    assert "agent 1:" not in last[-1]["content"]


def test_one_call_per_agent_each_with_its_own_conversation(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    caller, plan = ask(model_server), planner_of("agent").plan
    trip = scenario.agents[1]
    route = braunschweig.shortest_path(trip.start_edge, trip.destination)
    model_server.default = Say(f"The route is {route!r}.")
    planned = plan(request_of(braunschweig, scenario, caller, agents=[1, 4]))
    assert planned.routes == {1: route, 4: route}
    again = {"memory": planned.memory, "remarks": {4: "Agent 4: no."}}
    plan(request_of(braunschweig, scenario, caller, agents=[4], **again))
    assert [len(request["messages"]) for request in model_server.requests] == [2, 2, 4]
    assert "Agent 4: no." in asked(model_server.requests[2])


def test_a_reply_cut_at_the_token_limit_says_so(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.default = Say('{"0": ["a", "b"', finish_reason="length")
    planned = planner_of("fleet").plan(request_of(braunschweig, scenario, ask(model_server)))
    assert any("model.max_output_tokens" in problem.message for problem in planned.problems)


# -- junction ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("distance", ["network", "straight"])
def test_choices_are_the_legal_unused_streets_with_the_distance_left(
    distance: str, braunschweig: RoadNetwork, scenario: Scenario
) -> None:
    trip = scenario.agents[0]
    settings = DemonstrationSettings(junction_distance=distance)
    for edge in braunschweig.edges:
        used = {edge.id, edge.successors[0]}
        found = options(braunschweig, trip, edge, settings, used)
        forward = [o for o in found if o.direction != BACK]
        assert {o.edge.id for o in found} <= set(edge.successors) - used
        assert not forward or forward == found
        for option in found:
            left = (
                braunschweig.distances_to(trip.destination)[option.edge.index]
                if distance == "network"
                else braunschweig.straight_distance(option.edge.to_junction, trip.destination)
            )
            assert option.left == f"{(option.edge.length + left) / 1000:.2f}"
            assert CHOICE.fullmatch(str(option))


def test_the_question_begins_the_same_every_time(braunschweig: RoadNetwork, scenario: Scenario) -> None:
    settings, prompts = DemonstrationSettings(), PromptSet.load()
    questions = []
    for trip in scenario.agents:
        choices = options(braunschweig, trip, braunschweig.edge(trip.start_edge), settings, set())
        questions.append(question(prompts, trip, choices))
    assert len({json.dumps(messages[:-1]) for messages in questions}) == 1
    examples = questions[0][:-1]
    assert len(examples) >= 4
    for turn, answer in zip(examples[::2], examples[1::2], strict=True):
        numbers = [number for number, *_ in CHOICE.findall(turn["content"])]
        assert answer == {"role": "assistant", "content": min(numbers, key=float)}


@pytest.mark.slow
def test_a_model_that_picks_the_smallest_number_drives_near_the_shortest(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.default = pick(min)
    caller = ask(model_server)
    planned = planner_of("junction").plan(request_of(braunschweig, scenario, caller))
    validation = validate(braunschweig, scenario, planned.routes)
    assert validation.share == 1.0
    ratios = []
    for trip in scenario.agents:
        start = braunschweig.edge(trip.start_edge)
        shortest = start.length + braunschweig.distances_to(trip.destination)[start.index]
        ratios.append(braunschweig.path_length(validation.valid[trip.agent]) / shortest)
    # Above 1 only where the shortest way turns round on the spot, which is offered last.
    assert sorted(ratios)[2] == pytest.approx(1.0, abs=0.02)
    assert max(ratios) < 2
    decisions = sum(len(route) - 1 for route in planned.routes.values())
    assert caller.usage.calls < decisions, "a single street is taken without asking"
    assert {request.get("max_tokens", request.get("max_completion_tokens")) for request in model_server.requests} == {8}


@pytest.mark.slow
def test_a_model_that_always_picks_the_worst_still_ends_with_no_street_twice(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.default = pick(max)
    planned = planner_of("junction").plan(request_of(braunschweig, scenario, ask(model_server)))
    validation = validate(braunschweig, scenario, planned.routes, planned.problems)
    assert set(validation.valid) == set(planned.routes)
    assert {p.agent for p in planned.problems} | set(planned.routes) == set(range(5))


def test_the_step_cap_ends_a_walk(braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer) -> None:
    model_server.default = pick(max)
    request = request_of(braunschweig, scenario, ask(model_server), settings={"max_route_edges": 4})
    planned = planner_of("junction").plan(request)
    assert not planned.routes
    assert {p.kind for p in planned.problems} == {"too_long"}


def test_a_reply_without_a_choice_is_asked_again_once(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.script = [Say("Left, I think.")]
    model_server.default = pick(min)
    planned = planner_of("junction").plan(request_of(braunschweig, scenario, ask(model_server), agents=[0]))
    assert set(planned.routes) == {0}
    model_server.script = [Say("Left, I think."), Say("77777")]
    model_server.requests.clear()
    planned = planner_of("junction").plan(request_of(braunschweig, scenario, ask(model_server), agents=[0]))
    assert [p.kind for p in planned.problems] == ["unreadable"]
    assert len(model_server.requests) == 2


@pytest.mark.slow
def test_the_choice_is_found_in_a_sentence(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.default = lambda body: Say(f"Out of 3, it is **{pick(min)(body).text}** km.")
    planned = planner_of("junction").plan(request_of(braunschweig, scenario, ask(model_server)))
    assert set(planned.routes) == set(range(5))


@pytest.mark.slow
def test_a_remark_makes_the_next_walk_a_different_one(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.default = pick(min)
    plan, caller = planner_of("junction").plan, ask(model_server)
    planned = plan(request_of(braunschweig, scenario, caller))
    first, memory = planned.routes, planned.memory
    again = plan(request_of(braunschweig, scenario, caller, memory=memory)).routes
    remarks = {0: "Agent 0: the drive took 1.80 times the fastest path's time."}
    other = plan(request_of(braunschweig, scenario, caller, memory=memory, remarks=remarks)).routes
    assert again == first
    assert other[0] != first[0]
    assert {a: other[a] for a in range(1, 5)} == {a: first[a] for a in range(1, 5)}


@pytest.mark.slow
def test_a_street_left_out_comes_back_when_there_is_no_other_way(
    braunschweig: RoadNetwork, scenario: Scenario, model_server: ModelServer
) -> None:
    model_server.default = pick(min)
    trip = scenario.agents[0]
    memory = JunctionMemory(blocked=[e.id for e in braunschweig.edges if e.to_junction == trip.destination])
    request = request_of(braunschweig, scenario, ask(model_server), settings={"max_route_edges": 1000})
    route, problem = walk(request, trip, memory)
    assert problem is None
    assert braunschweig.edge(route[-1]).to_junction == trip.destination
    assert not memory.blocked


@pytest.mark.parametrize(
    ("ends", "name"),
    [((20, 1), "straight"), ((11, 9), "left"), ((10, -9), "right"), ((0, 0), "back"), ((20, 8), "left")],
)
def test_directions(ends: tuple[int, int], name: str, braunschweig: RoadNetwork) -> None:
    east = replace(braunschweig.edges[0], from_junction="A", to_junction="B", shape=((0.0, 0.0), (10.0, 0.0)))
    goal = "A" if name == "back" else "C"
    onward = replace(east, from_junction="B", to_junction=goal, shape=((10.0, 0.0), (float(ends[0]), float(ends[1]))))
    assert direction(east, onward) == name
