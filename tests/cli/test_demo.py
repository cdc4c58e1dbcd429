"""`leed demo` as a user meets it: one sentence and an exit code for every mistake, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.programs import sumo_home
from leed_agentic.setting_groups import MapSettings
from leed_agentic.traffic.demonstration import DemonstrationSet
from tests.conftest import Ran
from tests.model_server import Answer, Hang, ModelServer, Reset, Say, Trickle

ROOT = Path(__file__).parents[2]
STAND_IN = ("--model", "stand-in", "--agents", "3")


def fleet_of(server: ModelServer) -> tuple[str, ...]:
    settings = ("-s", "model.retries=0", "-s", "model.timeout_seconds=0.5", "-s", "demonstration.rounds=0")
    return ("demo", "generate", "--agents", "2", "--model", "openai:test", "--base-url", server.url, *settings)


def refused(result: Ran, code: int, *words: str) -> None:
    """Exit code, one sentence, and its words."""
    assert result.code == code, result.err
    error = result.err[result.err.index("Error: ") :]
    assert len(error.strip().splitlines()) == 1
    for word in words:
        assert word in error


# -- the good way ------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_json_has_what_is_promised(leed):
    result = leed("demo", "generate", *STAND_IN, "--seed", "1", "--out", "run", "--json")
    assert result.code == 0
    summary = json.loads(result.out)
    promised = "map agents model rounds validity_initial validity_final reward_mean arrival_rate travel_time_ratio"
    promised += " input_tokens output_tokens calls seconds run"
    assert set(promised.split()) <= set(summary)
    assert summary["run"] == "run"
    assert summary["validity_final"] == 1.0


@pytest.mark.slow
def test_same_seed_same_routes(leed):
    for name in ("one", "two"):
        assert leed("demo", "generate", *STAND_IN, "--seed", "4", "--out", name).code == 0
    one, two = (json.loads(Path(name, "demonstrations.json").read_text()) for name in ("one", "two"))
    assert one["routes"] == two["routes"]
    assert one["scenario"] == two["scenario"]


@pytest.mark.slow
def test_show_check_and_sumo_agree(leed):
    assert leed("demo", "generate", "--map", "berlin", *STAND_IN, "--out", "run").code == 0
    shown = leed("demo", "show", "run")
    assert "3 of 3 agents have a valid route" in shown.out
    assert str(Path("run", "routes.png")) in shown.out
    assert "OpenStreetMap" in shown.out
    for file in ("demonstrations.json", "routes.rou.xml"):
        checked = leed("demo", "check", f"run/{file}", "--map", "berlin", "--json")
        assert checked.code == 0, checked.out
        assert json.loads(checked.out)["valid"] == 3
    # SUMO's own program drives them, without a word about routes.
    environment = {**os.environ, "SUMO_HOME": str(sumo_home())}
    program = [
        str(sumo_home() / "bin" / "sumo"),
        "-c",
        "run/run.sumocfg",
        "--no-step-log",
        "--tripinfo-output",
        "t.xml",
    ]
    driven = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert "rror" not in driven.stdout + driven.stderr
    assert "oute" not in driven.stderr
    assert Path("t.xml").read_text().count("<tripinfo ") == 3


def test_check_finds_what_is_wrong(leed):
    network = open_map("braunschweig", MapSettings())
    edge = network.edges[0]
    stranger = next(e.id for e in network.edges if e.id not in edge.successors)
    Path("routes.json").write_text(
        json.dumps({"0": [edge.id, stranger], "1": [edge.id, edge.successors[0]], "2": ["x"]})
    )
    result = leed("demo", "check", "routes.json", "--json")
    assert result.code == 1
    found = json.loads(result.out)
    assert found["valid"] == 1
    assert {(f["agent"], f["kind"]) for f in found["findings"]} == {(0, "not_a_successor"), (2, "unknown_edge")}


@pytest.mark.parametrize("planning", ["fleet", "agent", "junction"])
def test_dry_run_writes_prompts_and_calls_nothing(leed, planning, model_server):
    words = ("--model", "openai:test", "--base-url", model_server.url, "--agents", "3", "--planning", planning)
    result = leed("demo", "generate", *words, "--dry-run", "--out", "run", "--json")
    assert result.code == 0
    assert model_server.requests == []
    summary = json.loads(result.out)
    assert summary["calls"] == 0
    assert summary["prompts"] == len(list(Path("run").glob("*.md"))) == (1 if planning == "fleet" else 3)


def test_settings_from_file_variable_and_option(leed, monkeypatch):
    Path("mine.yaml").write_text("scenario: {agents: 2}\nmodel: {name: stand-in}\nseed: 9\n")
    monkeypatch.setenv("LEED_SEED", "8")
    result = leed(
        "demo", "generate", "--settings", "mine.yaml", "-s", "seed=7", "--agents", "3", "--json", "--out", "r"
    )
    assert result.code == 0
    kept = json.loads(Path("r", "settings.json").read_text())
    assert (kept["seed"], kept["scenario"]["agents"]) == (7, 3)


@pytest.mark.slow
def test_a_reward_of_ones_own_from_the_current_folder(leed):
    Path("own_rewards_of_a_test.py").write_text("def flat(env, agent, change):\n    return 1.5 * change.arrived\n")
    words = ("-s", "environment.reward=own_rewards_of_a_test.flat", "--out", "run", "--json")
    result = leed("demo", "generate", *STAND_IN, *words)
    assert result.code == 0, result.err
    assert json.loads(result.out)["reward_mean"] == 1.5


# -- what users get wrong ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--map", "brunswick"), 2, ["brunswick", "braunschweig"]),
        (("--map", "braunschwieg", "--model", "replay"), 2, ["did you mean 'braunschweig'?"]),
        (("-s", "agents=3"), 2, ["did you mean 'scenario.agents'?"]),
        (("--settings", "nowhere.yaml"), 2, ["nowhere.yaml: No such file or directory."]),
        (("--map", "missing.net.xml"), 2, ["missing.net.xml"]),
        (("--agents", "0"), 2, ["scenario.agents"]),
        (("--model", "gpt-4o"), 2, ["openai:"]),
        (("--model", "openai:gpt-4o"), 2, ["OPENAI_API_KEY"]),
        (("--planning", "convoy"), 2, ["planning", "convoy"]),
        (("--planning", "flet"), 2, ["planning", "did you mean 'fleet'?"]),
        (("--rounds", "-1"), 2, ["demonstration.rounds"]),
        (("--prompts", "nowhere"), 2, ["nowhere"]),
        (("--policy", "nowhere"), 2, ["nowhere"]),
        (("-s", "scenario.agnets=3"), 2, ["agnets", "agents"]),
        (("-s", "agents"), 2, ["="]),
        (("--settings", "none.yaml"), 2, ["none.yaml"]),
        (("--model", "replay", "--replay", "none.jsonl"), 2, ["none.jsonl"]),
        (("-s", "environment.reward=nonsense"), 2, ["Unknown reward"]),
        (("-s", "demonstration.feedback=nonsense"), 2, ["feedback strategy"]),
    ],
)
def test_wrong_words(leed, words, code, said):
    refused(leed("demo", "generate", *STAND_IN, *words), code, *said)


def test_run_folder_that_exists_or_cannot_be_written(leed):
    Path("taken").mkdir()
    Path("taken", "precious.txt").write_text("mine")
    refused(leed("demo", "generate", *STAND_IN, "--out", "taken"), 2, "not empty", "--out")
    assert Path("taken", "precious.txt").read_text() == "mine"
    Path("file").touch()
    refused(leed("demo", "generate", *STAND_IN, "--out", "file"), 2, "--out")
    refused(leed("demo", "generate", *STAND_IN, "--out", "/proc/leed"), 2, "--out")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("fleet.md", "Plan for $agents with $adjacency on $planet.", ["planet"]),
        ("fleet.md", "Plan for $agents.", ["adjacency"]),
        ("junction.md", "Where to? costs 5$", ["$"]),
        ("fleat.md", "x", ["fleat.md"]),
        ("system.md", "", ["system.md"]),
    ],
)
def test_prompt_templates(leed, name, text, said):
    Path("mine").mkdir()
    Path("mine", name).write_text(text)
    refused(leed("demo", "generate", *STAND_IN, "--prompts", "mine"), 2, *said)


def test_prompt_templates_that_are_no_text_or_lead_away(leed):
    Path("mine").mkdir()
    Path("mine", "system.md").write_bytes(b"\xff\xfe\x00")
    refused(leed("demo", "generate", *STAND_IN, "--prompts", "mine"), 2, "UTF-8")
    Path("mine", "system.md").unlink()
    Path("secret.md").write_text("outside")
    Path("mine", "system.md").symlink_to(Path("secret.md").resolve())
    refused(leed("demo", "generate", *STAND_IN, "--prompts", "mine"), 2, "leads out")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "code", "said"),
    [
        (Answer(401), 2, ["key"]),
        (Answer(429), 3, ["how often"]),
        (Answer(500), 3, ["500"]),
        (Hang(), 3, ["0.5"]),
        (Trickle(), 3, ["0.5"]),
        (Reset(), 3, ["127.0.0.1"]),
    ],
    ids=["401", "429", "500", "hang", "trickle", "reset"],
)
def test_servers_that_fail(leed, model_server, step, code, said):
    model_server.default = step
    refused(leed(*fleet_of(model_server), "--out", "run"), code, *said)
    assert Path("run", "calls.jsonl").exists()


def test_server_that_is_down(leed, model_server):
    url = model_server.url
    model_server.__exit__(None, None, None)
    words = ("--agents", "2", "--model", "openai:test", "--base-url", url, "-s", "model.retries=0")
    refused(leed("demo", "generate", *words), 3, url)


@pytest.mark.slow
@pytest.mark.parametrize(
    "reply",
    [
        Say("Take the first left, then ask a policeman."),
        Say(""),
        Say("x" * 5_000_000),
        Say("[" * 10_000),
        Say('{"0": [1, 2], "0": ["a"], "77": ["b"]}'),
        Say("__import__('os').system('touch hacked')"),
        Say('{"0": __import__("os").system("touch hacked")}'),
        Say('{"0": ["a", "b"', finish_reason="length"),
    ],
    ids=["prose", "empty", "5MB", "deep", "duplicates", "code", "code in dict", "cut"],
)
def test_replies_that_are_no_routes(leed, model_server, reply):
    model_server.default = reply
    result = leed(*fleet_of(model_server), "-s", "model.timeout_seconds=30", "--out", "run", "--json")
    assert result.code == 1
    assert json.loads(result.out)["validity_final"] == 0.0
    rounds = DemonstrationSet.load(Path("run", "demonstrations.json")).rounds
    assert rounds[0].findings
    if reply.finish_reason == "length":
        assert any("token limit" in f["message"] for f in rounds[0].findings)
    assert not Path("hacked").exists()


@pytest.mark.parametrize("text", ["", "not json", "<routes>", "[1, 2]", '{"0": "edge"}', '{"x": []}'])
def test_route_files_that_are_none(leed, text):
    Path("routes.json").write_text(text)
    refused(leed("demo", "check", "routes.json"), 2, "routes.json")


def test_show_of_what_is_no_run(leed):
    refused(leed("demo", "show", "nowhere"), 2, "nowhere")


@pytest.mark.slow
def test_calls_are_shown_with_what_was_found_and_generate_says_where(leed):
    words = (*STAND_IN, "--agents", "4", "--rounds", "1", "-s", "model.stand_in_error_rate=1")
    first = leed("demo", "generate", *words[:-4], "--rounds", "0", *words[-2:], "--out", "run")
    assert first.code == 1
    assert first.out.count("No valid route: Agent") == 3
    assert "leed demo calls run --failed" in first.out
    assert leed("demo", "generate", *words, "--out", "two").code == 0
    shown = leed("demo", "calls", "two")
    assert shown.code == 0
    assert shown.out.count("call 1: ") == shown.out.count("call 2: ") == 1
    assert "found: Agent 0: " in shown.out
    (first_plan,) = json.loads(leed("demo", "calls", "two", "--failed", "--json").out)["rounds"]
    assert first_plan["round"].startswith("Round 0")
    assert len(first_plan["findings"]) >= 4
    assert "call 1" not in leed("demo", "calls", "two", "--round", "1").out
    assert "$" not in leed("demo", "calls", "two", "--whole").out
    assert "No call is of that kind" in leed("demo", "calls", "two", "--round", "7").out
    refused(leed("demo", "calls", "nowhere"), 2, "nowhere")


@pytest.mark.slow
def test_the_default_replay_leaves_what_it_does_not_hold_to_the_stand_in(leed):
    result = leed("demo", "generate", "--agents", "2", "--out", "run", "--json")
    assert result.code == 0
    assert json.loads(result.out)["model"] == "stand-in (no LLM was called)"
    # On a busy machine lines of progress follow.
    line = result.err.strip().splitlines()[0]
    assert "scenario.agents=50 and cannot answer for 2, so the stand-in plans" in line


def test_replay_refuses_another_scenario(leed):
    refused(leed("demo", "generate", "--model", "replay", "--agents", "4"), 2, "scenario.agents", "stand-in")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_written(tmp_path, model_server):
    model_server.default = Hang()
    words = ["--agents", "2", "--model", "openai:test", "--base-url", model_server.url, "--out", "run"]
    command = [sys.executable, "-m", "leed_agentic.cli.main", "demo", "generate", *words]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        model_server.arrived.wait(60)
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in error
    assert "leed demo generate --resume run" in error
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["stopped"] == "interrupted"


@pytest.mark.pictures
@pytest.mark.slow
def test_first_command_of_the_readme(leed):
    """Recorded replies of a real model, re-validated and driven live; no key, no server."""
    result = leed("demo", "generate", "--json")
    assert result.code == 0
    summary = json.loads(result.out)
    assert summary["agents"] == 50
    assert summary["validity_final"] == summary["arrival_rate"] == 1.0
    assert summary["traffic"]["fleet_time"] < min(summary["traffic"]["baselines"].values())
    assert summary["replayed_calls"] == summary["calls"] > 0
    assert summary["input_tokens"] == 0
