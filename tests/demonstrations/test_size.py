"""Fleets that are too large for one prompt: who shares one, the budget, calls at the same time, the whole again."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.demonstrations.dry_run import write_prompts
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.names import Names
from leed_agentic.demonstrations.planning import PlanRequest, planner_of
from leed_agentic.demonstrations.planning.conversation import first_question
from leed_agentic.demonstrations.planning.corridor import corridor, union
from leed_agentic.demonstrations.planning.fleet import fleet_groups
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.validate import validate
from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.recording import Recording
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import DemonstrationSettings, ModelSettings, ScenarioSettings
from leed_agentic.traffic.scenario import Scenario, draw_scenario
from tests.model_server import Answer, ModelServer, Say

PROMPTS = PromptSet.load()
REPLY_LIMIT = 4096


@pytest.fixture(scope="module")
def fleet(berlin: RoadNetwork) -> Scenario:
    return draw_scenario(berlin, ScenarioSettings(agents=40), seed=0)


def ask(server: ModelServer, calls_file: Path | None = None, **changes: Any) -> ModelCaller:
    return ModelCaller(ModelSettings(name="openai:tiny", base_url=server.url, **changes), calls_file, {})


def request_of(network: RoadNetwork, scenario: Scenario, caller: ModelCaller, **changes: Any) -> PlanRequest:
    parts = {"prompts": PROMPTS, "agents": range(len(scenario.agents)), **changes}
    wanted = DemonstrationSettings(**{"prompt_tokens": 8000, "corridor_slack": 0.0, **parts.pop("settings", {})})
    return PlanRequest(caller=caller, network=network, scenario=scenario, settings=wanted, **parts)


def stand_in(limit: int = REPLY_LIMIT) -> ModelCaller:
    return ModelCaller(ModelSettings(name="stand-in", stand_in_error_rate=0.0, max_output_tokens=limit), None, {})


def shortest(network: RoadNetwork, scenario: Scenario) -> Any:
    """A server's reply with the fastest routes of the agents that the question is about."""

    def reply(body: dict[str, Any]) -> Say:
        asked = re.findall(r"^agent (\d+):", body["messages"][-1]["content"], re.MULTILINE)
        trips = [scenario.agents[int(agent)] for agent in asked]
        return Say(json.dumps({t.agent: network.shortest_path(t.start_edge, t.destination) for t in trips}))

    return reply


# -- groups ------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@settings(max_examples=15)
@given(
    agents=st.integers(1, 40),
    seed=st.integers(0, 50),
    budget=st.integers(6000, 40_000),
    limit=st.integers(300, 9000),
    names=st.sampled_from(["ids", "aliases"]),
)
def test_everyone_is_in_one_prompt_and_none_is_above_the_budget(
    berlin: RoadNetwork, agents: int, seed: int, budget: int, limit: int, names: str
) -> None:
    scenario = draw_scenario(berlin, ScenarioSettings(agents=agents), seed)
    request = request_of(berlin, scenario, stand_in(limit), settings={"prompt_tokens": budget, "edge_names": names})
    found = fleet_groups(request)
    assert sorted(agent for group in found for agent in group) == list(range(agents))
    for group in found:
        tokens = prompt_tokens(first_question(request, "fleet", group))
        assert tokens <= budget or len(group) == 1


@pytest.mark.slow
def test_agents_of_a_prompt_share_more_streets_than_others(berlin: RoadNetwork, fleet: Scenario) -> None:
    request = request_of(berlin, fleet, stand_in(), settings={"prompt_tokens": 16_000})
    found, wanted = fleet_groups(request), request.settings
    sizes = [len(corridor(berlin, trip, wanted)) for trip in fleet.agents]

    def streets(grouped: list[list[int]]) -> int:
        return sum(len(union(berlin, [fleet.agents[agent] for agent in group], wanted)) for group in grouped)

    in_order, at = [], 0
    for group in found:
        in_order.append(list(range(at, at + len(group))))
        at += len(group)
    assert streets(found) < streets(in_order) < sum(sizes)


def test_a_small_fleet_has_one_prompt_and_a_short_reply_limit_several(berlin: RoadNetwork) -> None:
    scenario = draw_scenario(berlin, ScenarioSettings(agents=6), seed=0)
    wanted = {"prompt_tokens": 16_000, "edge_names": "aliases"}
    assert fleet_groups(request_of(berlin, scenario, stand_in(), settings=wanted)) == [list(range(6))]
    assert len(fleet_groups(request_of(berlin, scenario, stand_in(600), settings=wanted))) > 1


@pytest.mark.slow
def test_a_template_that_says_all_twice_still_fits(berlin: RoadNetwork, fleet: Scenario, tmp_path: Path) -> None:
    (tmp_path / "fleet.md").write_text("$agents $adjacency\n\nAgain: $adjacency", encoding="utf-8")
    prompts = PromptSet.load(tmp_path)
    request = request_of(berlin, fleet, stand_in(100_000), prompts=prompts, settings={"prompt_tokens": 9000})
    for group in fleet_groups(request):
        assert prompt_tokens(first_question(request, "fleet", group)) <= 9000


@pytest.mark.parametrize("planning", ["fleet", "agent"])
def test_a_budget_too_small_for_one_agent_is_refused_before_anything_is_written(tmp_path: Path, planning: str) -> None:
    wanted = settings_for_run(
        overrides={
            "model.name": "stand-in",
            "demonstration.planning": planning,
            "demonstration.prompt_tokens": 500,
        }
    )
    for run in (generate, write_prompts):
        with pytest.raises(UsageError, match=r"more than demonstration\.prompt_tokens=500; raise that"):
            run(wanted, tmp_path / "run")
        assert not (tmp_path / "run").exists()


# -- questions ---------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_no_prompt_of_any_round_is_above_the_budget(
    berlin: RoadNetwork, fleet: Scenario, model_server: ModelServer
) -> None:
    model_server.default = Say("a b c " * 500)
    caller, memory = ask(model_server), dict[str, Any]()
    remarks = {t.agent: f"Agent {t.agent}: " + "wrong turn after edge 12345678, " * 20 for t in fleet.agents}
    for said in ({}, remarks, remarks, remarks):
        memory = planner_of("fleet").plan(request_of(berlin, fleet, caller, memory=memory, remarks=said)).memory
    assert len(model_server.requests) == 4 * len(memory["groups"])
    for request in model_server.requests:
        assert prompt_tokens(request["messages"]) <= 8000


def test_a_conversation_without_an_agents_streets_is_begun_again(
    berlin: RoadNetwork, fleet: Scenario, model_server: ModelServer
) -> None:
    caller, plan, wanted = ask(model_server), planner_of("fleet").plan, {"prompt_tokens": 100_000}
    memory = plan(request_of(berlin, fleet, caller, settings=wanted, agents=[0, 1])).memory
    more = {"settings": wanted, "memory": memory}
    memory = plan(request_of(berlin, fleet, caller, agents=[1], remarks={1: "Agent 1: no."}, **more)).memory
    topic = next(iter(memory["conversations"]))
    shared = next(group for group in memory["groups"] if {0, 1} & set(group))
    other = next(agent for agent in shared if agent not in (0, 1))
    more["memory"] = memory
    memory = plan(request_of(berlin, fleet, caller, agents=[other], remarks={other: "Agent x: no."}, **more)).memory
    last = model_server.requests[-1]["messages"]
    assert topic in memory["conversations"]
    assert fleet.agents[other].start_edge in last[1]["content"]
    assert "Agent x: no." in last[-1]["content"]


@pytest.mark.parametrize("planning", ["fleet", "agent"])
@pytest.mark.parametrize("names", ["ids", "aliases"])
def test_the_stand_in_reads_both_kinds_of_names(
    berlin: RoadNetwork, fleet: Scenario, planning: str, names: str
) -> None:
    request = request_of(berlin, fleet, stand_in(), settings={"edge_names": names, "prompt_tokens": 16_000})
    planned = planner_of(planning).plan(request)
    assert validate(berlin, fleet, planned.routes, planned.problems).share == 1.0


# -- at the same time --------------------------------------------------------------------------------------------------
def test_results_do_not_depend_on_which_reply_comes_first(
    berlin: RoadNetwork, fleet: Scenario, model_server: ModelServer, tmp_path: Path
) -> None:
    reply, found = shortest(berlin, fleet), []
    for at_once in (1, 4):
        meeting, waiting, turn = threading.Barrier(at_once, timeout=60), list[int](), threading.Condition()

        def backwards(body: dict[str, Any], meeting: Any = meeting, waiting: Any = waiting, turn: Any = turn) -> Say:
            agent = int(re.findall(r"^agent (\d+):", body["messages"][-1]["content"], re.MULTILINE)[0])
            waiting.append(agent)
            # All of them are here before the first is answered; then the one that was asked last goes first.
            meeting.wait()
            with turn:
                turn.wait_for(lambda: max(waiting) == agent, timeout=60)
                waiting.remove(agent)
                turn.notify_all()
            return reply(body)

        model_server.default = backwards
        caller = ask(model_server, tmp_path / f"calls{at_once}.jsonl", concurrent_calls=at_once)
        planned = planner_of("agent").plan(request_of(berlin, fleet, caller, agents=range(8)))
        found.append((planned.routes, list(planned.routes), planned.memory))
        assert len(Recording.load(tmp_path / f"calls{at_once}.jsonl").calls) == caller.usage.calls == 8
    assert found[0] == found[1]
    assert found[0][1] == list(range(8))


@pytest.mark.parametrize("at_once", [1, 3, 4])
def test_a_cap_stops_at_the_same_question_however_many_are_asked_at_once(
    berlin: RoadNetwork, fleet: Scenario, model_server: ModelServer, at_once: int
) -> None:
    model_server.default = shortest(berlin, fleet)
    caller = ask(model_server, concurrent_calls=at_once, max_calls=5)
    planned = planner_of("agent").plan(request_of(berlin, fleet, caller))
    assert sorted(planned.routes) == [0, 1, 2, 3, 4]
    assert len(model_server.requests) == caller.usage.calls == 5
    assert "max_calls" in str(planned.stopped)


def test_every_call_is_on_record_and_counted_when_one_of_several_fails(
    berlin: RoadNetwork, fleet: Scenario, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script = [Answer(500)]
    model_server.default = shortest(berlin, fleet)
    caller = ask(model_server, tmp_path / "calls.jsonl", concurrent_calls=4, retries=0)
    with pytest.raises(UnavailableError):
        planner_of("agent").plan(request_of(berlin, fleet, caller))
    caller.close()
    lines = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()[1:]]
    assert sorted(line.get("error") is None for line in lines) == [False, True, True, True]
    assert caller.usage.input_tokens == sum(line.get("input_tokens") or 0 for line in lines) > 0


# -- the whole ---------------------------------------------------------------------------------------------------------
@pytest.mark.long
def test_a_large_fleet_costs_an_agent_no_more_than_a_small_one(tmp_path: Path) -> None:
    """The scaled-down form of 1000 agents on a city map (docs/demonstrations.md)."""
    cost = {}
    for agents in (20, 100):
        overrides = {"map.name": "berlin", "scenario.agents": agents, "model.name": "stand-in"}
        overrides["demonstration.planning"] = "fleet"
        # As many departures a second, so that as many drives are slow and planned again.
        wanted = settings_for_run(overrides={**overrides, "scenario.departure_window": 3.0 * agents})
        result = generate(wanted, tmp_path / str(agents))
        assert result.summary["validity_final"] == 1.0
        cost[agents] = result.summary["input_tokens"] / agents
        for call in Recording.load(tmp_path / str(agents) / "calls.jsonl").calls:
            assert call["input_tokens"] <= wanted.demonstration.prompt_tokens
    assert cost[100] <= 1.5 * cost[20]


@pytest.mark.slow
def test_a_fleet_in_several_prompts_replays_to_the_same_routes(tmp_path: Path, model_server: ModelServer) -> None:
    overrides = {
        "scenario.agents": 12,
        "model.name": "openai:tiny",
        "model.base_url": model_server.url,
        "demonstration.prompt_tokens": 3000,
        "demonstration.edge_names": "aliases",
    }
    wanted = settings_for_run(overrides=overrides)
    network = open_map("braunschweig", wanted.map)
    names = Names(network, aliases=True)

    def reply(body: dict[str, Any]) -> Say:
        line = re.compile(r"^agent (\d+): start edge (e\d+), destination junction (j\d+)", re.MULTILINE)
        trips = line.findall(body["messages"][-1]["content"])
        routes = {}
        for agent, start, goal in trips:
            start_edge, destination = names.ids([start, goal])
            routes[agent] = [names.edge(e) for e in network.shortest_path(start_edge, destination)]
        return Say(json.dumps(routes))

    model_server.default = reply
    live = generate(wanted, tmp_path / "live")
    assert live.summary["validity_initial"] == 1.0
    assert live.summary["calls"] > 1
    replay = {"model.name": "replay", "model.replay": tmp_path / "live" / "calls.jsonl"}
    again = generate(settings_for_run(overrides=replay), tmp_path / "again")
    assert again.demonstrations.routes == live.demonstrations.routes
    assert again.summary["replayed_calls"] == live.summary["calls"]
