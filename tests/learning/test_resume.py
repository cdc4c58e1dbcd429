"""A run that is killed and taken up again ends as if nothing had happened; damaged checkpoints are refused."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.learning import checkpoint
from leed_agentic.learning.checkpoint import load_checkpoint
from leed_agentic.learning.session import begin, take_up
from leed_agentic.runs.log import read_csv
from leed_agentic.settings import load_settings

SMALL = {
    "scenario.agents": 3,
    "environment.max_steps": 40,
    "learning.episodes": 12,
    "learning.checkpoint_every": 3,
    "learning.hidden": 16,
    "learning.source": "logit",
    "learning.q": 2,
}
TRAIN = [sys.executable, "-m", "leed_agentic.cli.main", "train"]


def train(folder, **changes):
    folder.mkdir(exist_ok=True)
    session = begin(load_settings(overrides={**SMALL, **changes}, environment={}), folder)
    try:
        return session.trainer.run()
    finally:
        session.close()


@pytest.fixture(scope="module")
def _finished_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once") / "run"
    train(folder)
    return folder


@pytest.fixture
def run(_finished_once, tmp_path):
    """A finished run; a copy, so that it may be damaged."""
    return shutil.copytree(_finished_once, tmp_path / "run")


# With accept_ratio 1 the graph asks at every trigger, so that its memory matters.
GRAPH = {"learning.source": "graph", "model.name": "stand-in", "demonstration.accept_ratio": 1}


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**GRAPH, "demonstration.planning": "junction"},
        {**GRAPH, "demonstration.feedback": "reled"},
    ],
    ids=str,
)
def test_killed_at_three_moments_metrics_are_bit_equal(tmp_path, changes):
    run, killed = tmp_path / "run", tmp_path / "killed"
    train(run, **changes)
    arguments = [part for name, value in {**SMALL, **changes}.items() for part in ("-s", f"{name}={value}")]
    for lines in (3, 6, 10):
        command = [*TRAIN, "--resume", str(killed)] if killed.exists() else [*TRAIN, "--out", str(killed), *arguments]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while len(read_csv(killed / "metrics.csv")) < lines:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*TRAIN, "--resume", str(killed)], check=True, stdout=subprocess.DEVNULL)
    assert (killed / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    assert len(read_csv(killed / "timing.csv")) == SMALL["learning.episodes"]
    without = [{k: v for k, v in row.items() if "seconds" not in k} for row in read_csv(killed / "triggers.csv")]
    assert without == [{k: row[k] for k in without[0]} for row in read_csv(run / "triggers.csv")]


def latest(run):
    return checkpoint.checkpoints(run / "checkpoints")[-1]


@pytest.mark.slow
def test_truncated_edited_or_foreign_checkpoints_are_refused(run):
    tensors, state = latest(run) / "tensors.safetensors", latest(run) / "state.json"
    whole, text = tensors.read_bytes(), state.read_text()
    tensors.write_bytes(whole[:1000])
    with pytest.raises(UsageError, match="truncated or changed"):
        take_up(run)
    tensors.write_bytes(whole)
    for edited, words in (
        (text.replace('"triggers": 6', '"triggers": 7'), "truncated or changed"),
        (text[:200], "Cannot read the checkpoint"),
        (text.replace('"version": 2', '"version": 99', 1), "version 99"),
        ("[1]", "not a checkpoint"),
    ):
        state.write_text(edited)
        with pytest.raises(UsageError, match=words):
            load_checkpoint(latest(run))
    state.write_text(text)
    data = json.loads((run / "run.json").read_text())
    for group, name, value, words in (
        ("learning", "algorithm", "ippo", "another algorithm"),
        ("learning", "hidden", 32, "does not fit"),
    ):
        changed = json.loads(json.dumps(data))
        changed["settings"][group][name] = value
        (run / "run.json").write_text(json.dumps(changed))
        with pytest.raises(UsageError, match=words):
            take_up(run)
    changed = json.loads(json.dumps(data))
    changed["scenario"]["agents"][0]["departure"] += 1.0
    (run / "run.json").write_text(json.dumps(changed))
    with pytest.raises(UsageError, match="another scenario"):
        take_up(run)


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    save = checkpoint.save_file

    def full(tensors, file):
        if "000006" in str(file):
            raise OSError(28, "No space left on device")
        save(tensors, file)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UnavailableError, match="No space left"):
        train(tmp_path / "run")
    assert latest(tmp_path / "run").name == "000003"
    load_checkpoint(latest(tmp_path / "run"))


@pytest.mark.parametrize("wrong", ["learning.q=0", "learning.gamma=2", "scenario.agents=-1"])
def test_settings_out_of_range(wrong):
    with pytest.raises(UsageError, match=wrong.split("=")[0]):
        load_settings(assignments=[wrong], environment={})


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UsageError, match="not a training run"):
        take_up(tmp_path)


@pytest.mark.slow
def test_a_run_that_lost_its_checkpoints_is_not_begun_again_over_its_metrics(run):
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UsageError, match="holds no checkpoint any more"):
        take_up(run)


def signed(folder, **changes):
    """Rewrite a checkpoint's files with sums that fit again: a hand edit by somebody who knows how."""
    state = json.loads((folder / "state.json").read_text()) | changes
    del state["digest"]
    state["sha256"] = {n: checkpoint._sha256((folder / n).read_bytes()) for n in state["sha256"]}
    state["digest"] = checkpoint._digest(state)
    (folder / "state.json").write_text(json.dumps(state))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda row: row.update(rewards=[float("nan")] * len(row["rewards"])), "NaN"),
        (lambda row: row.update(masks=[[0] * len(row["masks"][0])] * len(row["masks"])), "its mask forbids"),
        (lambda row: row.update(actions=[99] * len(row["actions"])), "its mask forbids"),
        (lambda row: row.update(agent=7), "only 3 agents"),
    ],
)
def test_demonstrations_of_a_checkpoint_edited_by_hand(tmp_path, edit, words):
    run = tmp_path / "run"
    train(run, **{"learning.episodes": 3})
    file = latest(run) / "experts.json"
    data = json.loads(file.read_text())
    edit(data["trajectories"][0])
    file.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="truncated or changed"):
        take_up(run)
    signed(latest(run))
    settings = json.loads((run / "run.json").read_text())
    settings["settings"]["learning"]["episodes"] = 4
    (run / "run.json").write_text(json.dumps(settings))
    session = take_up(run)
    with pytest.raises(UsageError, match=words):
        session.trainer.run()
    session.close()


@pytest.mark.parametrize("changes", [{"random": {}}, {"usage": None}, {"source_state": {}}, {"triggers": "many"}])
def test_a_state_edited_by_hand(run, changes):
    signed(latest(run), **changes)
    with pytest.raises(UsageError, match="is damaged"):
        take_up(run)


def test_another_source_is_refused(run):
    data = json.loads((run / "run.json").read_text())
    data["settings"]["learning"]["source"] = "shortest-path"
    (run / "run.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match="another source of demonstrations"):
        take_up(run)


@pytest.mark.parametrize("name", ["metrics.csv", "timing.csv", "triggers.csv"])
def test_a_table_shorter_than_the_checkpoint_is_refused(run, name):
    text = (run / name).read_text().splitlines(keepends=True)
    (run / name).write_text("".join(text[:-1]))
    session = take_up(run)
    with pytest.raises(UsageError, match=rf"{name} does not hold"):
        session.trainer.run()
    session.close()


def test_triggers_csv_has_a_line_for_every_question_and_adds_up(run):
    rows, metrics = read_csv(run / "triggers.csv"), read_csv(run / "metrics.csv")
    assert [int(row["episode"]) for row in rows] == [0, 2, 4, 6, 8, 10]
    assert {(row["source"], row["ok"], row["failure"], row["agents"]) for row in rows} == {("logit", "1", "", "3")}
    assert rows[0]["dtw_before"] == ""
    assert all(float(row["dtw_before"]) > 0 for row in rows[1:])
    for row in rows:
        assert row["expert_reward_mean"] == metrics[int(row["episode"])]["expert_reward_mean"]
    assert float(rows[-1]["seconds_total"]) == pytest.approx(sum(float(row["seconds"]) for row in rows))


@pytest.mark.slow
def test_a_finished_run_is_extended_and_never_shortened(leed, trained):
    longer = leed("train", "--resume", trained, "--episodes", "8", "--json")
    assert longer.code == 0
    assert json.loads(longer.out)["episodes"] == 8
    assert len((trained / "metrics.csv").read_text().splitlines()) == 9
    assert json.loads((trained / "run.json").read_text())["extended_at"] == [6]
    shorter = leed("train", "--resume", trained, "--episodes", "7")
    assert shorter.code == 2
    assert "would take some away" in shorter.err
