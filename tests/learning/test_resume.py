"""A run that is killed and taken up again ends as if nothing had happened; damaged checkpoints are refused."""

import json
import os
import signal
import subprocess
import sys

import pytest

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.learning import checkpoint
from leed_agentic.learning.checkpoint import load_checkpoint
from leed_agentic.learning.run_folder import read_csv
from leed_agentic.learning.session import begin, take_up
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


@pytest.fixture
def run(tmp_path):
    train(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_killed_at_three_moments_metrics_are_bit_equal(run, tmp_path):
    killed = tmp_path / "killed"
    arguments = [part for name, value in SMALL.items() for part in ("-s", f"{name}={value}")]
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


def latest(run):
    return checkpoint.checkpoints(run / "checkpoints")[-1]


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
        (text.replace('"version": 1', '"version": 99', 1), "version 99"),
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


@pytest.mark.parametrize("wrong", ["learning.q=0", "learning.gamma=2", "scenario.agents=-1", "learning.source=oracle"])
def test_settings_out_of_range(wrong):
    with pytest.raises(UsageError, match=wrong.split("=")[0]):
        load_settings(assignments=[wrong], environment={})


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UsageError, match="not a training run"):
        take_up(tmp_path)
