"""The whole machine on a real map: a real HTTP server or the stand-in plans, SUMO drives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leed_agentic.cli.main import app
from leed_agentic.demonstrations.feedback import feedbacks
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.graph import demonstration_graph
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.errors import LeedError, UnavailableError, UsageError
from leed_agentic.models.recording import Recording
from leed_agentic.roads.catalogue import open_map
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.demonstration import DemonstrationSet
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.trajectory import drive, fastest_path, load_trajectories, random_policy, save_trajectories
from tests.conftest import JUNCTION
from tests.detours import detours
from tests.model_server import Answer, ModelServer, Say

ROOT = Path(__file__).parents[2]


def tiny(**more):
    wanted = {"scenario.agents": 3, "model.name": "stand-in", "demonstration.rounds": 3, "model.retries": 0}
    return settings_for_run(overrides=wanted | {key.replace("__", "."): value for key, value in more.items()})


def with_server(server: ModelServer, **more):
    return tiny(model__name="openai:test", model__base_url=server.url, **more)


def shortest_routes(settings):
    network = open_map(settings.map.name, settings.map)
    return {
        trip.agent: network.shortest_path(trip.start_edge, trip.destination)
        for trip in scenario_for(network, settings).agents
    }


def test_diagram_is_the_graph():
    drawn = demonstration_graph().get_graph().draw_mermaid()
    kept = (ROOT / "graphs" / "demonstrations.mmd").read_text(encoding="utf-8")
    assert kept == drawn, "graphs/demonstrations.mmd is out of date: run `python graphs/draw.py`"


def test_valid_first_reply_is_driven_and_ends_the_run(tmp_path, model_server):
    settings = with_server(model_server)
    routes = shortest_routes(settings)
    model_server.default = Say(json.dumps({str(agent): route for agent, route in routes.items()}))
    result = generate(settings, tmp_path / "run")
    assert result.demonstrations.routes == routes
    assert result.summary["validity_initial"] == result.summary["validity_final"] == 1.0
    assert result.summary["arrival_rate"] == 1.0
    assert result.summary["calls"] == len(model_server.requests) == 1
    assert 1.0 <= result.summary["travel_time_ratio"] < 1.5
    sent = model_server.requests[0]["messages"][-1]["content"]
    for trip in result.demonstrations.scenario.agents:
        assert trip.start_edge in sent
        assert trip.destination in sent


@pytest.mark.slow
def test_findings_go_back_to_the_model_and_valid_routes_are_kept(tmp_path, model_server):
    settings = with_server(model_server)
    routes = shortest_routes(settings)
    first = {"0": routes[0], "1": [routes[1][0], "no-such-edge"]}
    model_server.script = [Say(json.dumps(first)), Say(json.dumps({"1": routes[1], "2": routes[2]}))]
    result = generate(settings, tmp_path / "run")
    rounds = result.demonstrations.rounds
    assert [(r.round, r.asked, r.validity) for r in rounds] == [(0, [0, 1, 2], pytest.approx(1 / 3)), (1, [1, 2], 1.0)]
    assert {f["kind"] for f in rounds[0].findings} >= {"unknown_edge", "missing_agent"}
    refinement = model_server.requests[1]["messages"]
    assert [m["role"] for m in refinement] == ["system", "user", "assistant", "user"]
    assert "no-such-edge" in refinement[-1]["content"]
    assert "agent 0:" not in refinement[-1]["content"]
    assert result.demonstrations.routes == routes


@pytest.mark.slow
def test_rounds_bound_a_model_that_never_learns(tmp_path, model_server):
    model_server.default = Say("I would rather write a poem about roads.")
    result = generate(with_server(model_server, demonstration__rounds=2), tmp_path / "run")
    assert len(model_server.requests) == 3
    assert result.summary["validity_final"] == 0.0
    assert result.summary["reward_mean"] is None
    assert DemonstrationSet.load(tmp_path / "run" / "demonstrations.json").routes == {}


@pytest.mark.slow
def test_partial_sets_are_driven_at_the_end(tmp_path, model_server):
    settings = with_server(model_server, demonstration__rounds=1)
    model_server.default = Say(json.dumps({"1": shortest_routes(settings)[1]}))
    result = generate(settings, tmp_path / "run")
    assert list(result.demonstrations.routes) == [1]
    assert result.summary["arrival_rate"] == 1.0
    assert result.summary["validity_final"] == pytest.approx(1 / 3)


@pytest.mark.slow
@pytest.mark.parametrize("better_first", [True, False])
def test_slow_routes_are_refined_and_the_better_set_stays(tmp_path, model_server, better_first):
    settings = with_server(model_server, demonstration__accept_ratio=1.0, demonstration__rounds=1)
    network = open_map(settings.map.name, settings.map)
    found = {agent: detours(network, route) for agent, route in shortest_routes(settings).items()}
    shorter, longer = ({agent: ways[i] for agent, ways in found.items()} for i in (0, -1))
    first, second = (shorter, longer) if better_first else (longer, shorter)
    model_server.script = [Say(json.dumps({str(a): r for a, r in routes.items()})) for routes in (first, second)]
    result = generate(settings, tmp_path / "run")
    assert len(model_server.requests) == 2
    assert "times the fastest path's time" in model_server.requests[1]["messages"][-1]["content"]
    rewards = [r.reward_mean for r in result.demonstrations.rounds]
    assert (rewards[0] > rewards[1]) == better_first
    assert result.demonstrations.routes == shorter


@pytest.mark.slow
def test_caps_end_the_run_with_the_best_so_far(tmp_path):
    result = generate(tiny(model__max_calls=1, model__stand_in_error_rate=1.0), tmp_path / "run")
    assert result.summary["calls"] == 1
    assert "max_calls" in result.summary["stopped"]
    result = generate(tiny(demonstration__planning="junction", model__max_calls=3), tmp_path / "junction")
    assert result.summary["calls"] == 3
    assert "max_calls" in result.summary["stopped"]


@pytest.mark.slow
def test_a_server_that_goes_away_leaves_what_was_reached(tmp_path, model_server):
    settings = with_server(model_server)
    model_server.script = [Say(json.dumps({"0": shortest_routes(settings)[0]})), Answer(500)]
    with pytest.raises(UnavailableError):
        generate(settings, tmp_path / "run")
    kept = DemonstrationSet.load(tmp_path / "run" / "demonstrations.json")
    assert list(kept.routes) == [0]
    assert len((tmp_path / "run" / "calls.jsonl").read_text().splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize("planning", ["fleet", "agent", "junction"])
def test_every_way_of_planning_ends_valid_with_the_stand_in(tmp_path, planning):
    result = generate(tiny(demonstration__planning=planning, demonstration__rounds=5), tmp_path / "run")
    assert result.summary["validity_final"] == 1.0
    assert result.summary["model"] == "stand-in (no LLM was called)"


@pytest.mark.slow
def test_a_recorded_run_replays_to_the_same_result(tmp_path, model_server):
    settings = with_server(model_server)
    routes = shortest_routes(settings)
    wrong = {str(agent): route[:-1] for agent, route in routes.items()}
    model_server.script = [Say(json.dumps(wrong)), Say(json.dumps({str(a): r for a, r in routes.items()}))]
    live = generate(settings, tmp_path / "live")
    replay = {"model.name": "replay", "model.replay": tmp_path / "live" / "calls.jsonl"}
    again = generate(settings_for_run(overrides=replay), tmp_path / "again")
    assert again.demonstrations.routes == live.demonstrations.routes
    for name in ("validity_initial", "validity_final", "reward_mean", "travel_time_ratio", "rounds"):
        assert again.summary[name] == live.summary[name]
    assert again.summary["input_tokens"] == again.summary["output_tokens"] == 0
    with pytest.raises(UsageError, match=r"made with scenario\.agents=3"):
        settings_for_run(overrides={**replay, "scenario.agents": 4})


@pytest.mark.slow
def test_critique_compares_with_a_policy(tmp_path, model_server):
    settings = with_server(model_server, demonstration__accept_ratio=10.0)
    routes = shortest_routes(settings)
    model_server.default = Say(json.dumps({str(a): r for a, r in routes.items()}))
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_for(network, settings)
    env = RouteEnv(network, scenario, settings.environment)
    wandering, good = drive(env, random_policy(0)), drive(env, fastest_path)
    env.close()
    folder = tmp_path / "policy"
    folder.mkdir()
    save_trajectories(folder / "trajectories.json", wandering.trajectories, scenario.to_json())
    loaded, _ = load_trajectories(folder / "trajectories.json")
    assert loaded[0].route == wandering.trajectories[0].route
    result = generate(settings, tmp_path / "run", policy=folder)
    assert result.summary["dtw_mean"] > 0
    save_trajectories(folder / "trajectories.json", good.trajectories, scenario.to_json())
    assert generate(settings, tmp_path / "same", policy=folder).summary["dtw_mean"] == 0.0
    with pytest.raises(UsageError, match="another scenario"):
        generate(with_server(model_server, seed=1), tmp_path / "other", policy=folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", feedbacks.names())
def test_feedback_strategies(tmp_path, name):
    result = generate(tiny(demonstration__feedback=name, model__stand_in_error_rate=1.0), tmp_path / "run")
    assert len(result.demonstrations.rounds) > 1
    assert result.summary["validity_final"] == 1.0


@pytest.mark.slow
def test_run_folder_is_complete_and_never_overwritten(tmp_path):
    generate(tiny(), tmp_path / "run")
    names = {file.name for file in (tmp_path / "run").iterdir() if not file.name.startswith((".lock", "additional-"))}
    assert names == {
        "calls.jsonl",
        "prompts",
        "demonstrations.json",
        "map.net.xml",
        "routes.png",
        "routes.rou.xml",
        "run.sumocfg",
        "settings.json",
        "summary.json",
        "trajectories.json",
        "fleet.txt",
        "view.xml",
    }
    with pytest.raises(UsageError, match="not empty"):
        generate(tiny(), tmp_path / "run")


@pytest.mark.slow
def test_interrupted_runs_keep_what_they_have(tmp_path, model_server):
    settings = with_server(model_server)
    model_server.script = [Say(json.dumps({"0": shortest_routes(settings)[0]}))]

    def interrupt(line: str) -> None:
        if line.startswith("round 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(settings, tmp_path / "run", progress=interrupt)
    assert list(DemonstrationSet.load(tmp_path / "run" / "demonstrations.json").routes) == [0]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["stopped"] == "interrupted"


def test_damaged_demonstrations_are_refused(tmp_path):
    file = tmp_path / "demonstrations.json"
    for text in ("", "{", "[]", '{"format": "leed-demonstrations", "version": 1}', '{"format": "x"}', "[" * 100_000):
        file.write_text(text)
        with pytest.raises(LeedError):
            DemonstrationSet.load(file)


@pytest.mark.slow
def test_everything_is_loaded_once(tmp_path, monkeypatch):
    """A run as the command line makes it by default: with a recording."""
    counts = {}

    def counted(kind, name):
        original = getattr(kind, name)

        def wrapper(*given, **named):
            counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
            return original(*given, **named)

        monkeypatch.setattr(kind, name, wrapper if name == "__init__" else staticmethod(wrapper))

    counted(Recording, "load")
    counted(PromptSet, "load")
    loaded = CliRunner().invoke(app, ["demo", "generate", "--replay", str(JUNCTION), "--out", str(tmp_path / "run")])
    assert loaded.exit_code == 0
    assert counts == {"Recording": 1, "PromptSet": 1}
