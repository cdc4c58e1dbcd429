"""`leed demo compare`: what it measures, that it goes on where it stopped, and that a record needs no server."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leed_agentic.comparing.compare import compare as make_comparison
from leed_agentic.comparing.comparison import Wanted, plan_comparison
from leed_agentic.experiments import runner
from leed_agentic.models.stand_in import StandIn
from tests.model_server import Answer, Hang, ModelServer, Say

FEW = ("--agents", "2", "--jobs", "1")
OUT = Path("comparison")


def planner(body: dict[str, Any]) -> Say:
    """A planner that keeps erring: the stand-in without what it said before."""
    turns = [m for m in body["messages"] if m["role"] != "assistant"]
    return Say(str(StandIn(error_rate=0.5).invoke(turns).content))


def rows(file: str) -> list[dict[str, str]]:
    with (OUT / file).open(newline="") as stream:
        return list(csv.DictReader(stream))


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def keys(file: Path) -> list[str]:
    calls = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    return [call["key"] for call in calls if call["error"] is None]


@pytest.fixture
def compare(leed):
    """`leed demo compare` with few agents and --json; gives exit code, the object told, and stderr."""

    def run(*words: object) -> SimpleNamespace:
        ran = leed("demo", "compare", *words, *FEW, "--json")
        return SimpleNamespace(code=ran.code, told=json.loads(ran.out) if ran.out else None, err=ran.err)

    return run


@pytest.fixture
def served(model_server: ModelServer) -> tuple[str, ...]:
    model_server.default = planner
    return ("--model", "openai:tiny", "--base-url", model_server.url, "-s", "model.retry_seconds=0")


@pytest.mark.pictures
@pytest.mark.slow
def test_every_combination_is_measured_before_and_after_refinement(compare):
    words = ("--model", "stand-in", "--planning", "fleet,junction", "--rounds", "0,2")
    error = ("-s", "model.stand_in_error_rate=1")
    found = compare(*words, *error, "--trials", "2")
    assert (found.code, found.told["failed"]) == (0, {})
    assert [(r["planning"], r["rounds"], r["trials"]) for r in found.told["rows"]] == [
        *(("fleet", 0, 2), ("fleet", 2, 2), ("junction", 0, 2), ("junction", 2, 2))
    ]
    before, after = found.told["rows"][:2]
    assert before["validity"]["mean"] < after["validity"]["mean"] == 1.0
    assert after["validity_before"] == before["validity"]
    assert before["errors"]
    assert after["calls"]["mean"] > before["calls"]["mean"] == 1.0
    assert after["reward"]["low"] <= after["reward"]["mean"] <= after["reward"]["high"]
    shares = [row[name] for row in found.told["rows"] for name in ("validity", "validity_reply", "validity_before")]
    assert all(0 <= s["low"] <= s["mean"] <= s["high"] <= 1 and s["low"] < s["high"] for s in shares)
    assert {row["cost"] for row in rows("table.csv")} == {""}
    assert {Path(file).name for file in found.told["files"]} == {
        *("table.md", "table.csv", "trials.csv", "verdicts.csv", "manifest.json", "figure.png", "figure.pdf")
    }
    assert all(Path(file).stat().st_size > 0 for file in found.told["files"])
    text = (OUT / "table.md").read_text()
    assert "| stand-in | fleet | 0 | 2 |" in text
    assert "unknown" in text
    (verdict,) = found.told["verdicts"]
    assert text.startswith(f"- {verdict['sentence']}\n")
    assert manifest_of(OUT)["verdicts"] == [verdict["sentence"]]
    assert {q["measure"] for q in verdict["questions"]} == {"validity_before", "validity", "travel_time_ratio"}
    assert "no LLM was called" in text
    assert len(rows("trials.csv")) == 8
    manifest = json.loads((OUT / "manifest.json").read_text())
    assert (manifest["seeds"], manifest["rounds"]) == ([0, 1], [0, 2])
    assert manifest["command"].startswith("leed demo compare --model stand-in")
    assert "$choices" in manifest["prompts"]["default"]["texts"]["junction"]
    assert len(manifest["prompts"]["default"]["sha256"]["fleet"]) == 64

    files = {file: file.read_bytes() for file in OUT.glob("trials/*/*")}
    again = compare(*words, *error, "--trials", "3")
    assert again.err.count(": done") == 2
    assert {file: file.read_bytes() for file in files} == files
    one = compare("--model", "stand-in", "--planning", "fleet", "--rounds", "0,2", *error, "--trials", "1")
    assert one.err.count(": done") == 0
    assert all(row["validity"]["low"] is None and row["calls"]["high"] is None for row in one.told["rows"])
    assert {row["validity_low"] for row in rows("table.csv")} == {""}


@pytest.mark.slow
def test_samples_are_drawn_anew_and_thresholds_end_in_exit_1(compare, leed):
    words = ("--model", "stand-in", "--planning", "fleet", "--rounds", "0", "--trials", "3", "--samples", "2")
    found = compare(*words, "-s", "model.stand_in_error_rate=0.5", "--require", "valid_first>=99%")
    assert found.code == 1
    (missed,) = found.told["missed"]
    assert missed in found.err
    (row,) = found.told["rows"]
    assert (row["trials"], len(rows("trials.csv"))) == (3, 6)
    assert 0.0 <= row["pass_at_k"]["mean"] <= 1.0
    assert row["within"]["mean"] > 0.0
    assert len({trial["folder"] for trial in rows("trials.csv")}) == 6
    assert compare(*words, "-s", "model.stand_in_error_rate=0.5", "--require", "calls<=1").code == 0
    assert leed("export", OUT, "--to", "jsonl", "--out", "all.jsonl").code == 0
    lines = [json.loads(line) for line in Path("all.jsonl").read_text().splitlines()]
    assert [(line["seed"], line["sample"]) for line in lines] == [(s, k) for s in range(3) for k in range(2)]
    assert {type(line["validity"]) for line in lines} <= {int, float}
    assert all("Plan subtasks" in line["calls"][0]["messages"][-1]["content"] for line in lines)
    assert leed("export", OUT, "--to", "csv").code == 0
    assert len(rows("trials_last.csv")) == 6
    assert leed("export", OUT, "--to", "inspect").code == 0
    (log,) = (OUT / "inspect").glob("*.json")
    assert len(json.loads(log.read_text())["samples"]) == 6
    unknown = leed("export", OUT, "--to", "fcd")
    assert (unknown.code, "Unknown format 'fcd' for a comparison" in unknown.err) == (2, True)
    # A trial is a run like any other.
    shown = leed("demo", "show", OUT / "trials" / rows("trials.csv")[0]["folder"])
    assert shown.code == 0


@pytest.mark.slow
@pytest.mark.processes
def test_the_terminal_table_fits_80_columns(leed):
    words = ("--model", "stand-in", "--planning", "fleet,junction", "--rounds", "0,1", "--trials", "2")
    found = leed("demo", "compare", *words, *FEW)
    tables = [line for line in found.out.splitlines() if line.startswith(("fleet  ", "junction  ", "planning  "))]
    assert len(tables) == 8
    assert max(map(len, tables)) <= 80


@pytest.mark.slow
def test_a_recorded_comparison_replays_to_the_same_table_with_no_server(compare, served, model_server: ModelServer):
    words = (*served, "--planning", "fleet", "--trials", "2", "--rounds", "0,1")
    found = compare(*words)
    assert found.code == 0
    row = found.told["rows"][-1]
    assert row["input_tokens"]["mean"] > 0
    assert row["seconds"]["mean"] > 0
    tables = {name: (OUT / name).read_bytes() for name in ("table.csv", "table.md", "trials.csv")}
    recorded = {file: file.read_bytes() for file in OUT.glob("trials/*/calls.jsonl")}
    asked = len(model_server.requests)
    assert asked == sum(len(keys(file)) for file in recorded)
    model_server.__exit__()
    for file in OUT.glob("trials/*/rounds_*.json"):
        file.unlink()
    assert compare(*words, "--record", "only").code == 0
    assert {name: (OUT / name).read_bytes() for name in tables} == tables
    # Other rounds of what is recorded can be measured too, and what is not recorded is not made up.
    other = compare(*served, "--planning", "fleet", "--trials", "3", "--rounds", "1", "--record", "only")
    assert other.code == 1
    assert [row["trials"] for row in other.told["rows"]] == [2]
    (where,) = other.told["failed"]
    assert "seed 2" in where
    assert "call the model once with --record auto" in other.told["failed"][where]
    assert {file: file.read_bytes() for file in recorded} == recorded


@pytest.mark.slow
def test_a_trial_asks_what_demo_generate_asks(compare, leed, served):
    assert compare(*served, "--planning", "fleet", "--trials", "1", "--rounds", "0,1,3").code == 0
    leed("demo", "generate", *served, "--agents", "2", "--rounds", "3", "--planning", "fleet", "--out", "alone")
    (calls,) = OUT.glob("trials/*/calls.jsonl")
    assert keys(calls) == keys(Path("alone", "calls.jsonl"))
    summary = json.loads(Path("alone", "summary.json").read_text())
    last = rows("trials.csv")[-1]
    assert float(last["validity"]) == summary["validity_final"]
    assert float(last["reward"]) == pytest.approx(summary["reward_mean"], rel=1e-4)
    assert int(last["input_tokens"]) == summary["input_tokens"]


@pytest.mark.slow
def test_a_failed_trial_is_told_and_only_what_is_missing_is_asked(compare, served, model_server: ModelServer):
    words = (*served, "--planning", "agent", "--rounds", "0")
    model_server.default = lambda body: planner(body) if len(model_server.requests) != 4 else Answer(401)
    found = compare(*words, "--trials", "3")
    assert found.code == 1
    (where,) = found.told["failed"]
    assert "seed 1" in where
    assert "refused the key" in found.told["failed"][where]
    assert [row["trials"] for row in found.told["rows"]] == [2]
    assert "2 of 3" in (OUT / "table.md").read_text()
    assert len(model_server.requests) == 6
    again = compare(*words, "--trials", "3", "--feedback", "leed,validity")
    assert (again.code, again.told["failed"]) == (0, {})
    assert [row["trials"] for row in again.told["rows"]] == [3, 3]
    # Agent 0 of the failed trial was answered the first time, and the other strategy of feedback begins with the same
    # requests, so with the same replies.
    assert len(model_server.requests) == 7
    assert not list(OUT.glob("trials/*/failure.json"))
    # Without the record everything is asked.
    assert compare(*words, "--trials", "1", "--feedback", "none", "--record", "off").code == 0
    assert len(model_server.requests) == 9


@pytest.mark.slow
def test_a_conversation_that_grows_too_long_keeps_what_it_reached(compare, served, model_server: ModelServer):
    def short_memory(body: dict[str, Any]) -> Any:
        too_long = Answer(400, '{"error": {"message": "longer than the context"}}')
        return Say("I do not know.") if len(body["messages"]) < 3 else too_long

    model_server.default = short_memory
    words = (*served, "--planning", "fleet", "--trials", "1", "--rounds", "0,2")
    found = compare(*words)
    assert (found.code, found.told["failed"]) == (0, {})
    assert [row["validity"]["mean"] for row in found.told["rows"]] == [0.0, 0.0]
    assert found.told["rows"][0]["reward"] is None
    assert "unreadable" in found.told["rows"][0]["errors"]
    text = (OUT / "table.md").read_text()
    assert "longer than the context" in text
    model_server.__exit__()
    assert compare(*words, "--record", "only").code == 0
    assert (OUT / "table.md").read_text() == text


@pytest.mark.slow
def test_two_servers_and_a_settings_file(compare, served, model_server: ModelServer):
    Path("dear.yaml").write_text(f"model: {{name: 'openai:tiny', base_url: '{model_server.url}', temperature: 0.5}}")
    with ModelServer() as other:
        other.default = planner
        with_password = other.url.replace("//", "//me:hidden-word@")
        words = ("--model", f"openai:tiny@{with_password}", "--model", "dear.yaml", *served)
        found = compare(*words, "--planning", "junction", "--trials", "2", "--rounds", "0")
        assert found.code == 0
        labels = [row["model"] for row in found.told["rows"]]
        assert labels == [f"openai:tiny@{other.url}", "dear", f"openai:tiny@{model_server.url}"]
        assert other.requests
        assert {body["temperature"] for body in model_server.requests} == {0.0, 0.5}
    written = [file for file in OUT.rglob("*") if file.is_file()]
    assert not [file for file in written if b"hidden-word" in file.read_bytes()]
    assert "hidden-word" not in found.err


@pytest.mark.slow
def test_a_policy_gives_the_distance_to_its_agents(compare, trained):
    words = ("--model", "stand-in", "--planning", "junction", "--rounds", "0", "--policy", trained)
    found = compare(*words, "--trials", "2", "-s", "environment.max_steps=40")
    assert found.code == 0
    first, second = rows("trials.csv")
    assert float(first["dtw"]) >= 0.0
    assert second["dtw"] == ""
    assert "DTW to the agents, m" in (OUT / "table.md").read_text()
    elsewhere = compare(*words, "--trials", "2", "-s", "seed=7")
    assert elsewhere.code == 2
    assert "none of the trials' scenarios" in elsewhere.err


@pytest.mark.slow
def test_a_server_that_is_not_there_is_exit_3(compare):
    words = ("--model", "openai:tiny", "--base-url", "http://127.0.0.1:9/v1", "-s", "model.retries=0")
    found = compare(*words, "--planning", "fleet", "--trials", "1")
    assert found.code == 3
    assert "No trial is complete" in found.err
    assert "start the server" in found.err


@pytest.mark.slow
def test_a_misspelt_model_beside_others_has_no_figure_and_its_own_exit_code(compare, served, model_server):
    model_server.default = lambda body: Answer(404) if body["model"] == "tinny" else planner(body)
    words = (*served, "--model", "openai:tinny", "--planning", "fleet", "--trials", "2", "--rounds", "0")
    found = compare(*words)
    assert found.code == 2
    assert [row["model"] for row in found.told["rows"]] == ["openai:tiny"]
    assert "No trial of openai:tinny" in found.err
    assert "knows no openai:tinny" in found.err


MODEL = ("--model", "stand-in")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Name what to compare with --model"),
        (("--model", "gpt-4o"), "names no provider"),
        (("--model", "openai:gpt-4o"), "OPENAI_API_KEY"),
        (("--model", "nobody:x"), "nobody"),
        (("--model", "replay"), "--record only"),
        (("--model", "none.yaml"), "Cannot read the settings file none.yaml"),
        ((*MODEL, *MODEL), "--model names stand-in twice"),
        ((*MODEL, "--prompts", "mine"), "There is no prompt folder mine"),
        ((*MODEL, "--planning", "flet"), "did you mean 'fleet'"),
        ((*MODEL, "--planning", "fleet,fleet"), "--planning names fleet twice"),
        ((*MODEL, "--planning", ","), "--planning is empty"),
        ((*MODEL, "--maps", "berlim"), "did you mean 'berlin'"),
        ((*MODEL, "--feedback", "validty"), "did you mean 'validity'"),
        ((*MODEL, "--trials", "0"), "--trials must be 1 or more"),
        ((*MODEL, "--samples", "0"), "--samples must be 1 or more"),
        ((*MODEL, "--planning", "fleet,junction", "--trials", "1"), "One scenario cannot tell two apart"),
        ((*MODEL, "--require", "valid_frist>=0.9"), "did you mean 'valid_first'"),
        ((*MODEL, "--require", "valid"), "write it as valid_first>=0.95"),
        ((*MODEL, "--rounds", "5,0"), "--rounds must rise"),
        ((*MODEL, "--rounds", "5,5"), "--rounds must rise"),
        ((*MODEL, "--rounds", "-1"), "--rounds must rise"),
        ((*MODEL, "--rounds", "many"), "--rounds takes a number"),
        ((*MODEL, "--rounds", "101"), "demonstration.rounds"),
        ((*MODEL, "--record", "onyl"), "did you mean 'only'"),
        ((*MODEL, "--policy", "nowhere"), "nowhere"),
        ((*MODEL, "-s", "model.calls_per_minute=0"), "model.calls_per_minute"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_made(compare, words, said):
    found = compare(*words)
    assert found.code == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert not OUT.exists()


def test_models_that_share_a_name(compare):
    for name in ("a", "b"):
        Path(name).mkdir()
        Path(name, "tiny.yaml").write_text("model: {name: stand-in}")
    found = compare("--model", "a/tiny.yaml", "--model", "b/tiny.yaml", "--planning", "fleet")
    assert (found.code, OUT.exists()) == (2, False)
    assert "Two models go by the name tiny; give each a settings file of its own name." in found.err


def test_numbers_of_agents_and_jobs(leed):
    for words, said in (
        (("--agents", "0"), "scenario.agents"),
        (("--agents", "2,2"), "--agents names 2 twice"),
        (("--jobs", "0"), "--jobs must be 1 or more"),
    ):
        found = leed("demo", "compare", *MODEL, *words)
        assert found.code == 2
        assert said in found.err


@pytest.mark.long
def test_ctrl_c_keeps_what_was_recorded(leed, served, model_server: ModelServer):
    model_server.default = lambda body: planner(body) if len(model_server.requests) <= 3 else Hang()
    words = (*served, "--planning", "agent", "--trials", "2", "--rounds", "0")
    command = [sys.executable, "-m", "leed_agentic", "demo", "compare", *words, *FEW]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while len(model_server.requests) < 4:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.strip().endswith("the same command goes on.")
    recorded = [len(keys(file)) for file in OUT.glob("trials/*/calls.jsonl")]
    assert sorted(recorded) == [1, 2]
    assert len(list(OUT.glob("trials/*/rounds_0.json"))) == 1


@pytest.mark.slow
@pytest.mark.processes
def test_a_slow_trial_is_heard_of_while_it_is_under_way(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "BEAT", 0.01)
    wanted = Wanted(("stand-in",), plannings=("junction",), agents=(2,), rounds=(0,), trials=1)
    lines: list[str] = []
    found = make_comparison(plan_comparison(wanted), tmp_path, jobs=1, status=lines.append)
    assert [row.trials for row in found.rows] == [1]
    heard = [line for line in lines if "calls recorded so far" in line]
    assert heard[0].startswith("stand-in, default, junction, braunschweig, 2, leed, seed 0: ")


def test_one_comparison_at_a_time_in_a_folder(compare):
    from leed_agentic.runs.lock import alone

    with alone(OUT):
        found = compare(*MODEL, "--trials", "1")
    assert found.code == 2
    assert f"is being written by process {os.getpid()}" in found.err


@pytest.mark.slow
def test_a_leaderboard_takes_only_what_was_measured_alike(leed):
    words = ("--planning", "fleet", "--trials", "2", "--rounds", "0", *FEW)
    for name, rate in (("ann", "0"), ("bob", "1")):
        Path(f"{name}.yaml").write_text(f"model: {{name: stand-in, stand_in_error_rate: {rate}}}")
        assert leed("demo", "compare", "--model", f"{name}.yaml", *words, "--out", f"all/{name}").code == 0
    made = json.loads(leed("demo", "leaderboard", "all", "--json").out)
    assert [row["from"] for row in made["rows"]] == ["ann", "bob"]
    assert "| ann | ann |" in Path("all/table.md").read_text()
    before = Path("all/table.md").read_bytes()
    manifest = Path("all/bob/manifest.json")
    whole = manifest.read_text()
    for old, new, said in (
        ('"seeds": [\n  0,', '"seeds": [\n  5,', "differ in seeds"),
        ('"leed-agentic": "', '"leed-agentic": "9', "differ in the version"),
        ('"min_trip_share": ', '"min_trip_share": 1', "differ in the scenarios"),
        ("Plan subtasks", "Plan no subtasks", "not the one that its hash names"),
        ('"prompts": {', '"no_prompts": {', "is damaged"),
    ):
        assert old in whole
        manifest.write_text(whole.replace(old, new, 1))
        refused = leed("demo", "leaderboard", "all")
        assert (refused.code, said in refused.err) == (2, True), refused.err
    assert Path("all/table.md").read_bytes() == before
    assert leed("demo", "leaderboard", "all/ann").code == 2
    assert "holds no comparison" in leed("demo", "leaderboard", "nowhere").err
