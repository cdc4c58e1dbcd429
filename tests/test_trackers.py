"""Figures of runs in other people's trackers, without a network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leed_agentic.runs.log import read_csv

TRAIN = ("train", "--agents", "2", "--episodes", "3", "--steps", "30", "--source", "shortest-path", "--out", "run")
GENERATE = ("demo", "generate", "--model", "stand-in", "--agents", "2", "--rounds", "1", "--out", "run")


class Recorder:
    """A tracker of one's own."""

    written: list[tuple[int, dict[str, float]]] = []  # noqa: RUF012 - shared by design
    facts: dict[str, object] = {}  # noqa: RUF012

    def __init__(self, folder, facts, step):
        type(self).written, type(self).facts = [], facts

    def write(self, figures, step):
        self.written.append((step, dict(figures)))

    def close(self):
        self.written.append((-1, {}))


@pytest.mark.slow
def test_rounds_of_a_plan_reach_a_tracker_of_ones_own(leed):
    done = leed(*GENERATE, "-s", "demonstration.trackers=[tests.test_trackers.Recorder]", "--json")
    assert done.code == 0, done.err
    from tests.test_trackers import Recorder as Used

    steps = [step for step, _ in Used.written]
    assert steps[0] == 0
    assert steps[-1] == -1
    assert steps[:-1] == list(range(len(steps) - 1))
    assert {"validity", "calls"} <= set(Used.written[0][1])
    assert Used.facts["seed"] == 0


@pytest.mark.long
def test_weights_and_biases_offline(leed, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    done = leed(*TRAIN, "-s", "learning.trackers=[wandb]")
    assert done.code == 0, done.err
    assert list(Path("run", "wandb").glob("offline-run-*/run-*.wandb"))


@pytest.mark.slow
def test_mlflow_files(leed):
    pytest.importorskip("mlflow")
    done = leed(*TRAIN, "-s", "learning.trackers=[mlflow]")
    assert done.code == 0, done.err
    (file,) = Path("run", "mlruns").glob("*/*/metrics/reward_mean")
    written = [float(line.split()[1]) for line in file.read_text().splitlines()]
    assert written == pytest.approx([float(row["reward_mean"]) for row in read_csv(Path("run", "metrics.csv"))])
    assert list(Path("run", "mlruns").glob("*/*/params/learning.epochs"))


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_tracker_is_one_sentence_and_no_folder(leed, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    for words, group in ((TRAIN, "learning"), (GENERATE, "demonstration")):
        done = leed(*words, "-s", f"{group}.trackers=[{name}]")
        assert done.code == 2
        assert f'pip install "leed-agentic[{name}]"' in done.err
        assert not Path("run").exists()
