"""The paper's figures and its table, made small: every file is there and says what the runs say."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from leed_agentic.experiments import experiments
from leed_agentic.experiments.report import Manifest
from tests.experiments.conftest import FEW, TINY, TWO_ARMS
from tests.model_server import Answer

RUNS = Path("experiments", "runs")


def table(file: str) -> list[dict[str, str]]:
    with Path("experiments", file).open(newline="") as stream:
        return list(csv.DictReader(stream))


def written() -> dict[Path, int]:
    return {f: f.stat().st_mtime_ns for f in RUNS.rglob("*") if f.is_file()}


@pytest.mark.pictures
@pytest.mark.long
def test_figure_3_has_both_axes_references_and_all_its_files(experiment):
    first = experiment("fig3", "--maps", "braunschweig,berlin", "--seeds", "2", *FEW, *TWO_ARMS)
    assert (first.code, first.told["failed"], first.told["runs"]) == (0, {}, 8)
    names = {Path(file).name for file in first.told["files"]}
    assert {"table.md", "table.csv", "scores.csv", "references.csv", "figure.csv", "marl_eval.json"} <= names
    assert {"figure.png", "figure.pdf", "manifest.json", "curves_berlin.csv", "curves_berlin.pdf"} <= names
    assert all(Path(file).stat().st_size > 0 for file in first.told["files"])

    points = table("fig3/figure.csv")
    assert list(dict.fromkeys(p["panel"] for p in points)) == [
        *("braunschweig, steps", "berlin, steps", "braunschweig, time", "berlin, time")
    ]
    steps = [p for p in points if p["panel"] == "berlin, steps" and p["line"] == "leed"]
    assert [float(p["x_value"]) for p in steps] == [40, 80, 120, 160]
    assert all(float(p["low"]) <= float(p["y_value"]) <= float(p["high"]) for p in steps)
    drivers = {p["line"] for p in points if not p["x_value"]}
    assert drivers == {"random", "shortest path", "plan alone"}
    # A curve over time goes on until the first run ends, demonstrations included.
    first_end = min(sum(float(t["seconds"]) for t in timings(f"berlin_leed_s{seed}")) for seed in (0, 1))
    last = [p for p in points if p["panel"] == "berlin, time" and p["line"] == "leed"][-1]
    assert float(last["x_value"]) >= first_end * 0.999

    scored = {row["arm"]: row for row in first.told["scores"]}
    assert (scored["leed"]["runs"], scored["leed"]["places"], scored["leed"]["first_better"]) == (2, 2, None)
    assert 0 <= scored["ippo"]["first_better"]["mean"] <= 1
    text = Path("experiments/fig3/manifest.json").read_text()
    manifest = TypeAdapter(Manifest).validate_json(text, strict=True)
    assert manifest["seeds"] == [0, 1]
    assert len(manifest["runs"]) == 8
    assert len(manifest["references"]) == 4
    assert manifest["command"].startswith("leed experiment run fig3")

    before = written()
    again = experiment("fig3", "--maps", "braunschweig,berlin", "--seeds", "2", *FEW, *TWO_ARMS)
    assert {**again.told, "files": None} == {**first.told, "files": None}
    # What figure 4 (b) shares with figure 3 is not made again.
    ablation = experiment("fig4b", "--seeds", "1", *FEW, *TWO_ARMS, "--arm", "bc")
    assert {f: t for f, t in written().items() if f in before} == before
    assert ablation.err.count(": done") == 1


def timings(start: str) -> list[dict[str, str]]:
    folder = next(RUNS.glob(f"{start}_*"))
    return table(str((folder / "timing.csv").relative_to("experiments")))


@pytest.mark.long
def test_figure_4a_tests_the_last_checkpoint_as_evaluate_does(experiment, leed, monkeypatch):
    monkeypatch.setitem(experiments._items, "fig4a", replace(experiments.get("fig4a"), test_episodes=10))
    found = experiment("fig4a", "--seeds", "1", "--agents", "2,3", *TINY, *TWO_ARMS)
    assert found.code == 0
    assert {row["map"] for row in found.told["rows"]} == {"braunschweig_2_agents", "braunschweig_3_agents"}
    # One seed: no interval, in no file.
    assert all(row["test_iqm"]["low"] is None and row["final"]["low"] is None for row in found.told["rows"])
    assert {p["low"] for p in table("fig4a/figure.csv")} == {""}
    assert {row["reward_low"] for row in table("fig4a/curves_braunschweig_2_agents.csv")} == {""}
    points = {(p["line"], p["x_value"]): p["y_value"] for p in table("fig4a/figure.csv")}
    assert {"leed", "ippo", "random", "shortest path"} <= {line for line, _ in points}

    folder = next(RUNS.glob("braunschweig_leed_s0_*"))
    test = json.loads((folder / "test_10.json").read_text())
    told = json.loads(leed("evaluate", folder, "--episodes", "10", "--json").out)
    assert test["seeds"] == told["seeds"]
    assert test["driver"]["rewards"] == told["drivers"][0]["rewards"]

    task = json.loads(Path("experiments/fig4a/marl_eval.json").read_text())["leed_route"]["braunschweig_2_agents"]
    run = task["leed"]["seed_0"]
    assert list(run) == ["step_1", "step_2", "step_3", "step_4", "absolute_metrics"]
    assert (run["step_2"]["step_count"], len(run["step_2"]["mean_episode_return"])) == (80, 1)
    assert len(run["absolute_metrics"]["mean_episode_return"]) == 10


@pytest.mark.long
def test_table_2_measures_three_stages_and_counts_what_failed_as_invalid(experiment):
    # A planner that always errs at first: nothing is valid at the initial prompt, and refinement puts it right.
    words = ("--agents", "2", "--seeds", "2", "--jobs", "1", "-s", "model.stand_in_error_rate=1")
    found = experiment("table2", *words)
    assert found.code == 0
    stages = found.told["rows"]
    assert [stage["refinements"] for stage in stages] == [0, 5, 10]
    assert stages[0]["validity"]["mean"] < 1.0
    assert stages[1]["validity"]["mean"] == 1.0
    assert stages[1]["prompt_tokens"]["mean"] > stages[0]["prompt_tokens"]["mean"] > 0
    assert stages[1]["dtw"]["mean"] > 0
    assert {"random", "shortest path"} <= set(found.told["references"]["braunschweig"])
    text = Path("experiments/table2/table.md").read_text()
    manifest = Path("experiments/table2/manifest.json").read_text()
    assert TypeAdapter(Manifest).validate_json(manifest, strict=True)["experiment"] == "table2"
    assert "untrained policies" in text
    assert "no LLM was called" in text
    assert len(table("table2/prompts.csv")) == 6
    before = written()
    assert experiment("table2", *words).told == found.told
    assert written() == before
    learned = experiment("table2", *words[:3], "1", *words[4:], "--policy-episodes", "2")
    assert "independent PPO after 2 episodes" in Path("experiments/table2/table.md").read_text()
    assert learned.told["rows"][1]["dtw"]["mean"] != stages[1]["dtw"]["mean"]


@pytest.mark.long
def test_the_paper_is_all_of_it_each_run_once(experiment):
    found = experiment("paper", "--maps", "braunschweig,berlin", "--seeds", "1", *FEW, *TWO_ARMS)
    assert found.code == 0
    assert set(found.told["members"]) == {"fig3", "fig4a", "fig4b"}
    # Two arms on two maps; figures 4 (a) and (b) use those of the first.
    assert found.told["runs"] == 4
    assert found.err.count(": done") == 4 + 2
    assert Path("experiments/fig4a/figure.pdf").is_file()
    assert len(table("fig4b/table.csv")) == 2
    every = experiment("fig4b", "--seeds", "1", *FEW)
    assert {row["arm"] for row in every.told["rows"]} == {
        *("leed", "alpha 0.2", "alpha 0.5", "logit-ppo", "ippo", "bc", "bc-then-ppo", "dapg"),
    }
    assert every.err.count(": done") == 6


NO_ROUTE = ("-s", "model.stand_in_error_rate=1", "-s", "demonstration.rounds=0")
"""A planner that always errs and is never told: no demonstration in all the training."""


@pytest.mark.slow
def test_a_run_that_never_had_a_demonstration_is_no_figure_and_does_not_stop_the_rest(experiment):
    words = ("demonstrations", "--maps", "braunschweig", "--seeds", "1", *FEW, *NO_ROUTE)
    found = experiment(*words, *TWO_ARMS)
    assert found.code == 1
    assert [row["arm"] for row in found.told["rows"]] == ["ippo"]
    (reason,) = found.told["failed"].values()
    assert "never had a demonstration" in reason
    assert "no valid route" in reason
    assert f"leed, braunschweig, seed 0: failed: {reason}" in found.err
    assert json.loads(Path("experiments/demonstrations/manifest.json").read_text())["failed"] == found.told["failed"]
    # It is tried again, from its beginning.
    alone = experiment(*words, "--arm", "leed")
    assert (alone.code, alone.told) == (1, None)
    assert "No arm is complete" in alone.err


def test_a_wrong_source_ends_the_experiment_with_its_sentence(experiment):
    found = experiment("demonstrations", "--maps", "braunschweig", "--seeds", "1", *FEW, "--source", "file")
    assert (found.code, found.told) == (2, None)
    assert "leed, braunschweig, seed 0: Source file needs a file" in found.err.splitlines()[-1]
    assert not Path("experiments/demonstrations").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demonstrations", "table2"])
def test_a_misspelt_model_and_a_server_that_is_down_end_without_a_figure(experiment, model_server, name):
    model_server.default = lambda body: Answer(404)
    words = (name, "--maps", "braunschweig", "--seeds", "1", *FEW, "--model", "openai:tinny", "-s", "model.retries=0")
    misspelt = experiment(*words, "--base-url", model_server.url)
    assert (misspelt.code, misspelt.told) == (2, None)
    assert "knows no openai:tinny" in misspelt.err
    model_server.default = lambda body: Answer(401)
    refused = experiment(*words, "--base-url", model_server.url)
    assert (refused.code, refused.told) == (2, None)
    assert "refused the key for openai:tinny" in refused.err
    down = experiment(*words, "--base-url", "http://127.0.0.1:9/v1")
    assert (down.code, down.told) == (3, None)
    assert "start the server" in down.err
    assert not Path("experiments").exists()


@pytest.mark.slow
def test_a_run_of_another_version_is_refused_before_anything_runs(experiment):
    words = ("demonstrations", "--maps", "braunschweig", "--seeds", "1", *FEW, "--arm", "ippo")
    assert experiment(*words).code == 0
    (folder,) = (run for run in RUNS.iterdir() if (run / "run.json").is_file())
    file = folder / "run.json"
    data = json.loads(file.read_text())
    for change, reason in (
        ({"versions": {**data["versions"], "leed-agentic": "0.0.1"}}, "was made by leed-agentic 0.0.1"),
        ({"version": 99}, "is not of format leed-run 2"),
    ):
        file.write_text(json.dumps({**data, **change}))
        for lost in folder.glob("summary.json"):
            lost.unlink()
        refused = experiment(*words)
        assert (refused.code, refused.told) == (2, None)
        assert reason in refused.err
        assert str(folder) in refused.err
        assert not (folder / "summary.json").exists()


@pytest.mark.long
def test_a_killed_run_ends_as_an_uninterrupted_one(experiment, tmp_path):
    words = ("demonstrations", "--maps", "braunschweig", "--seeds", "1", *FEW, "-s", "learning.checkpoint_every=1")
    whole = experiment(*words).told["rows"]
    shutil.rmtree("experiments")
    process = subprocess.Popen(
        [sys.executable, "-m", "leed_agentic", "experiment", "run", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list(RUNS.glob("*/checkpoints/000002")):
        assert process.poll() is None
    process.kill()
    process.wait()
    # The runs under way end with it; a busy machine takes a moment over that.
    assert any(gone(process.pid) for _ in range(600))
    assert without_time(experiment(*words).told["rows"]) == without_time(whole)


def gone(group: int) -> bool:
    """Whether no process of the group is left, after a moment's wait."""
    time.sleep(0.1)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def without_time(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.long
@pytest.mark.processes
def test_ray_gives_the_same_figures_as_processes(experiment):
    pytest.importorskip("ray", reason='Ray is not installed: pip install "leed-agentic[ray]"')
    words = ("fig3", "--maps", "braunschweig", "--seeds", "2", *FEW, *TWO_ARMS)
    ours = experiment(*words, "--out", "experiments")
    theirs = experiment(*words, "--out", "on_ray", "--backend", "ray", "--jobs", "2")
    assert theirs.code == 0
    assert without_time(theirs.told["rows"]) == without_time(ours.told["rows"])
    for name in ("curves_braunschweig.csv", "references.csv", "scores.csv", "marl_eval.json"):
        assert Path("on_ray/fig3", name).read_text() == Path("experiments/fig3", name).read_text()


@pytest.mark.long
def test_a_failure_on_ray_is_told_in_the_same_sentence(experiment):
    pytest.importorskip("ray", reason='Ray is not installed: pip install "leed-agentic[ray]"')
    words = ("demonstrations", "--maps", "braunschweig", "--seeds", "1", *FEW, *NO_ROUTE)
    found = experiment(*words, "--backend", "ray")
    assert found.code == 1
    assert [row["arm"] for row in found.told["rows"]] == ["ippo"]
    assert all("never had a demonstration" in reason for reason in found.told["failed"].values())


def test_ray_that_is_not_installed_says_how_to(experiment, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    found = experiment("fig4b", "--seeds", "1", *FEW, "--backend", "ray")
    assert found.code == 3
    assert 'pip install "leed-agentic[ray]"' in found.err
