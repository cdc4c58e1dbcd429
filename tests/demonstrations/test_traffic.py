"""Fleets in traffic: judged by what they cost, beside their baselines, whatever the model says."""

from __future__ import annotations

import json
import math
import re
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.demonstrations.coordination import objective_of
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.parts import open_parts, unasked
from leed_agentic.demonstrations.planning import check_planner
from leed_agentic.demonstrations.planning.alternatives import Asked, group_question, question_of, read_choices
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.source import GraphSource
from leed_agentic.errors import UsageError
from leed_agentic.models.tokens import estimated_tokens
from leed_agentic.roads.catalogue import open_map
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.trajectory import load_trajectories
from tests.demonstrations.lit_grid import lit_grid, on_grid
from tests.model_server import ModelServer, Say

FOUR = Asked(4282, (1212, 1187, 1240, 1301), ("s1 s2", "", "s3 s4 s5", "s1 s2 s3"))


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return lit_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="module")
def ran(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return generate(on_grid(net), folder)


def asked_by(server: ModelServer, net, **more):
    return on_grid(net, model__name="openai:test", model__base_url=server.url, **more)


@pytest.mark.slow
def test_a_crowd_is_planned_by_alternatives_and_beats_its_baselines(ran):
    summary = ran.summary
    traffic = summary["traffic"]
    assert summary["planning"] == "alternatives"
    assert set(traffic["baselines"]) == {"shortest", "lights", "rerouted"}
    assert traffic["fleet_time"] < min(traffic["baselines"].values())
    assert traffic["kept"].startswith("round")
    assert summary["validity_initial"] == summary["validity_final"] == summary["arrival_rate"] == 1.0
    first, *others = ran.demonstrations.rounds
    assert first.calls == 0, "the first round is the best baseline"
    assert all(0 < one.calls <= len(one.asked) and one.unread == 0 for one in others)
    assert summary["calls"] == sum(one.calls for one in others)


def test_what_is_judged_is_what_is_driven(ran):
    """The environment's drive of the result takes what plain SUMO said; it sees an arrival a step later."""
    trajectories, _ = load_trajectories(ran.folder / "trajectories.json")
    took = [t.arrival - ran.demonstrations.scenario.agents[a].departure for a, t in trajectories.items()]
    assert sum(took) / len(took) == pytest.approx(ran.summary["traffic"]["fleet_time"], abs=1.01)


@pytest.mark.slow
def test_who_lost_time_where_is_kept(ran):
    record = json.loads((ran.folder / "traffic.json").read_text())
    assert [one["agent"] for one in record["agents"]] == list(range(60))
    assert [one["name"] for one in record["rounds"]][:3] == ["shortest", "lights", "rerouted"]
    assert max(record["streets"], key=lambda row: row["queue"])["queue"] > 0
    worst = max(record["agents"], key=lambda one: one["lost"])
    assert sum(where["lost"] for where in worst["where"]) <= worst["lost"] + 1


@pytest.mark.slow
def test_the_same_settings_give_the_same_plan(net, ran, tmp_path):
    again = generate(on_grid(net), tmp_path / "again")
    assert again.demonstrations.routes == ran.demonstrations.routes
    assert again.summary["traffic"] == ran.summary["traffic"]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", "150 or so? No: 7"])
def test_a_model_that_names_no_route_keeps_the_routes_and_is_counted(net, tmp_path, model_server, words):
    model_server.default = Say(words)
    result = generate(asked_by(model_server, net, demonstration__rounds=1), tmp_path / "run")
    traffic, last = result.summary["traffic"], result.demonstrations.rounds[-1]
    assert last.unread == len(last.asked) > 0
    assert result.demonstrations.validity == 1.0
    assert traffic["fleet_time"] == min(traffic["baselines"].values())
    assert any("names none of its routes' seconds" in finding["message"] for finding in last.findings)


@pytest.mark.slow
def test_a_cap_ends_the_questions_and_the_fleet_drives(net, tmp_path):
    result = generate(on_grid(net, model__max_calls=2), tmp_path / "run")
    assert result.summary["calls"] == 2
    assert "max_calls" in result.summary["stopped"]
    assert result.demonstrations.validity == 1.0
    assert result.summary["traffic"]["fleet_time"] <= min(result.summary["traffic"]["baselines"].values())


def test_tokens_per_agent_are_bounded_on_any_map():
    """At most 35 beyond the constant turns one by one, 110 in a group, the reply included."""
    prompts = PromptSet.load()
    *constant, question = question_of(prompts, FOUR)
    assert len(constant) == 12
    assert estimated_tokens(question["content"]) + estimated_tokens("1187") <= 35
    group = [Asked(agent, FOUR.seconds, FOUR.notes) for agent in range(4275, 4283)]
    (asked,) = group_question(prompts, group, {f"s{number}": 14.0 for number in range(1, 7)})
    reply = json.dumps({str(one.agent): 1187 for one in group})
    assert (estimated_tokens(asked["content"]) + estimated_tokens(reply)) / len(group) <= 110


@pytest.mark.slow
def test_a_template_may_have_the_seconds_in_hundreds(net, tmp_path):
    """The turns before the question, the question and the reply are then all of that form."""
    prompts = PromptSet.load(Path("short"))
    first, answer, *_, question = question_of(prompts, FOUR)
    assert (first["content"], answer["content"]) == ("Which is the smallest number? 2.12, 1.87, 2.40", "1.87")
    assert question["content"].endswith(", ".join(f"{took / 100:.2f}" for took in FOUR.seconds))
    assert FOUR.choice("It is 11.87.", "hundreds") == FOUR.choice("1187")
    assert FOUR.choice("1187", "hundreds") is None
    words = {"demonstration__prompts": Path("short"), "demonstration__rounds": 1, "model__structured": True}
    last = generate(on_grid(net, **words), tmp_path / "run").demonstrations.rounds[-1]
    assert last.unread == 0 < len(last.asked)


def test_a_template_with_both_ways_to_write_seconds_is_answered_in_plain_ones(tmp_path):
    (tmp_path / "alternatives.md").write_text("Least? $seconds ($hundreds)")
    first, answer, *_, question = question_of(PromptSet.load(tmp_path), FOUR)
    assert (first["content"], answer["content"]) == ("Least? 212, 187, 240 (2.12, 1.87, 2.40)", "187")
    assert question["content"].count(",") == 2 * (len(FOUR.seconds) - 1)


@pytest.mark.parametrize(
    "reply",
    [
        '{"4282": 1187}',
        "```json\n{'4282': 1187,}\n```",
        '{"choices": [{"agent": 4282, "seconds": 1187}]}',
        '<think>{"4282": 1212}</think> [{"agent": "agent_4282", "seconds": "1187 s"}]',
    ],
)
def test_joint_replies_are_read_in_any_dress(reply):
    assert read_choices(reply, [FOUR]) == [1]


@given(st.text(max_size=200))
def test_no_reply_is_a_choice_that_was_not_offered(text):
    (answer,) = read_choices(text, [FOUR])
    assert answer is None or str(FOUR.seconds[answer]) in text


@pytest.mark.slow
def test_the_joint_form_is_for_models_that_pass_its_check(net, tmp_path, model_server):
    result = generate(on_grid(net, demonstration__questions="group", demonstration__rounds=1), tmp_path / "passes")
    asked = len(result.demonstrations.rounds[-1].asked)
    assert result.summary["calls"] == 1 + math.ceil(asked / 8)
    model_server.default = Say('{"0": 1}')
    result = generate(
        asked_by(model_server, net, demonstration__questions="group", demonstration__rounds=1), tmp_path / "fails"
    )
    assert result.summary["calls"] == 1 + len(result.demonstrations.rounds[-1].asked)


@pytest.mark.slow
def test_any_way_of_planning_in_traffic_ends_no_worse_than_its_baselines(net, tmp_path):
    settings = on_grid(net, demonstration__planning="agent", demonstration__rounds=1, model__stand_in_error_rate=0.0)
    result = generate(settings, tmp_path / "run")
    traffic = result.summary["traffic"]
    assert traffic["fleet_time"] <= min(traffic["baselines"].values())
    assert result.summary["validity_final"] == 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "agents", "planning", "seed"),
    [("braunschweig", 25, "instructions", 1), ("berlin", 15, "tools", 2), ("grid", 40, "alternatives", 3)],
)
def test_no_plan_on_any_map_ends_worse_than_its_baselines(tmp_path, where, agents, planning, seed):
    """With a stand-in that errs; what the environment drives then is what was judged."""
    words = {"map.name": where, "scenario.agents": agents, "demonstration.planning": planning, "seed": seed}
    words |= {"model.name": "stand-in", "demonstration.rounds": 2, "demonstration.objective": "fleet"}
    result = generate(settings_for_run(overrides=words), tmp_path / "run")
    traffic = result.summary["traffic"]
    assert traffic["fleet_time"] <= min(traffic["baselines"].values())
    assert {"lost_shortest.png", "lost_kept.png"} <= {file.name for file in result.folder.iterdir()}
    trajectories, _ = load_trajectories(result.folder / "trajectories.json")
    took = [t.arrival - result.demonstrations.scenario.agents[a].departure for a, t in trajectories.items()]
    assert sum(took) / len(took) == pytest.approx(traffic["fleet_time"], abs=1.01)


@pytest.mark.slow
def test_the_others_are_measured_and_count_where_that_is_wanted(net, tmp_path):
    words = {"scenario__agents": 10, "scenario__background": 50, "demonstration__rounds": 1}
    result = generate(on_grid(net, **words, demonstration__objective="everybody"), tmp_path / "run")
    assert result.summary["planning"] == "alternatives"
    assert result.summary["traffic"]["objective"] == "everybody"
    assert result.summary["traffic"]["others_time"] > 0


@pytest.mark.slow
def test_plans_can_be_judged_in_noise(net, tmp_path):
    words = {"demonstration__noise_seeds": 2, "demonstration__rounds": 1, "demonstration__signals": "off"}
    result = generate(on_grid(net, **words), tmp_path / "run")
    traffic = result.summary["traffic"]
    # Three baselines on two seeds, the run that finds the rerouted one, and the round's drives.
    assert traffic["sumo_runs"] == 3 * 2 + 1 + 2
    assert traffic["noise_seeds"] == 2


@pytest.mark.slow
def test_rewards_may_still_be_what_counts(net, tmp_path):
    words = {"demonstration__objective": "reward", "demonstration__planning": "fleet", "scenario__agents": 50}
    result = generate(on_grid(net, **words, demonstration__rounds=0), tmp_path / "run")
    assert result.summary["traffic"] is None


@pytest.mark.slow
def test_remarks_say_what_was_lost_where_and_what_another_way_would_take(net):
    parts = open_parts(on_grid(net))
    try:
        fleet = parts.fleet
        remarks = fleet.remarks()
        assert set(remarks) == set(fleet.asked())
        for remark in remarks.values():
            assert re.match(r"Agent \d+: your route took \d+ s; it lost \d+ s on \S+ at \d+ s", remark)
        assert any("another way by" in remark for remark in remarks.values())
        assert check_planner("alternatives", parts.request(fleet.asked(), {}, {})) == []
    finally:
        parts.close()


def test_alternatives_without_drives_are_refused(net):
    settings = on_grid(net)
    parts = open_parts(settings)
    try:
        with pytest.raises(UsageError, match="needs drives"):
            parts.planner.plan(unasked(settings, parts.prompts, parts.network, parts.scenario))
    finally:
        parts.close()


@pytest.mark.slow
def test_the_table_names_every_baseline(leed, net):
    words = ("--map", net, "--agents", 60, "--model", "stand-in", "--rounds", 1, "--out", "run")
    done = leed("demo", "generate", *words)
    assert done.code == 0
    assert all(name in done.out for name in ("shortest", "lights", "rerouted", "kept"))
    assert leed("demo", "show", "run").out.count("rerouted") == 1


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("demonstration.objective=nobody", "demonstration.objective"),
        ("demonstration.max_detour=0.5", "demonstration.max_detour"),
        ("demonstration.signals=maybe", "demonstration.signals"),
        ("demonstration.share=0", "demonstration.share"),
        ("demonstration.planning=alternative", "alternatives"),
    ],
)
def test_settings_that_make_no_sense(leed, net, setting, sentence):
    done = leed("demo", "generate", "--map", net, "--agents", 60, "--model", "stand-in", "-s", setting)
    assert done.code == 2
    assert sentence in done.err


def test_the_fleet_that_drives_counts_and_not_the_number_in_the_settings(net, tmp_path):
    settings = load_settings(overrides={"map.name": str(net), "scenario.agents": 2, "model.name": "stand-in"})
    crowd = scenario_for(open_map(str(net), settings.map), on_grid(net))
    with closing(open_parts(settings, scenario=crowd)) as parts:
        assert parts.settings.demonstration.planning == "alternatives"
        assert objective_of(parts.settings, parts.scenario) == "fleet"
    with closing(open_parts(settings)) as parts:
        assert parts.settings.demonstration.planning == "fleet"
        assert objective_of(parts.settings, parts.scenario) == "reward"
    # A fleet is chosen among the vehicles of a demand, so that it drives in traffic whatever its size.
    (tmp_path / "ids.txt").write_text("one\n")
    words = {"scenario.demand": "trips.csv", "scenario.fleet": str(tmp_path / "ids.txt"), "model.name": "stand-in"}
    assert settings_for_run(overrides=words).demonstration.planning == "alternatives"


@pytest.mark.slow
def test_near_saturation_plans_are_judged_in_noise(net, tmp_path):
    """Cars that are moved on after 15 s at a red light count as a jam here."""
    words = {"environment__teleport_seconds": 15.0, "demonstration__rounds": 0}
    result = generate(on_grid(net, **words), tmp_path / "run")
    assert result.summary["traffic"]["noise_seeds"] == 2


@pytest.mark.slow
def test_a_trainer_gets_the_fleet_that_did_best(net):
    settings = on_grid(net, scenario__agents=8, scenario__background=40, demonstration__rounds=1)
    network = open_map(settings.map.name, settings.map)
    env = RouteEnv(network, scenario_for(network, settings), settings.environment)
    source = GraphSource(settings, env)
    try:
        expert = source.demonstrations(0, None, env)
        traffic = source._state["traffic"]
        assert traffic["fleet_time"] <= min(traffic["baselines"].values())
        assert {agent: list(t.route) for agent, t in expert.items()} == source.best.routes
        kept, runs = source.state(), traffic["sumo_runs"]
        source.demonstrations(5, None, env)
        assert source._state["traffic"]["sumo_runs"] <= runs + 2, "the baselines are not driven again"
        source.load_state(kept)
        assert source.best.routes == {int(agent): route for agent, route in kept["routes"].items()}
    finally:
        source.close()
        env.close()
