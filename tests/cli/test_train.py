"""`leed train` as a user meets it; what it learns and how it resumes is tested in tests/learning."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from leed_agentic.cli import main as command

SHORT = ("--agents", "2", "--episodes", "6", "--steps", "40", "--json")
PROMISED = [
    "run",
    "algorithm",
    "map",
    "agents",
    "episodes",
    "reward_first20",
    "reward_last20",
    "arrival_rate_last20",
    "decisions",
    "simulated_seconds",
    "seconds",
    "seconds_simulation",
    "seconds_learning",
    "seconds_demonstrations",
    "decisions_per_second",
]


@pytest.fixture
def leed(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["leed", *words])
        with pytest.raises(SystemExit) as stop:
            command.main()
        written = capsys.readouterr()
        return stop.value.code or 0, written.out, written.err

    return run


def test_the_graph_is_asked_every_q_episodes_and_the_critique_can_compare_with_the_run(leed):
    code, out, _ = leed("train", *SHORT, "--out", "run")
    assert code == 0
    summary = json.loads(out)
    assert set(PROMISED) <= set(summary)
    assert (summary["source"], summary["triggers"], summary["source_failures"]) == ("graph", 2, 0)
    assert summary["calls"] >= 1
    assert len(Path("run", "metrics.csv").read_text().splitlines()) == 7
    words = ("demo", "generate", "--model", "stand-in", "--agents", "2", "-s", "environment.max_steps=40", "--json")
    code, out, _ = leed(*words, "--policy", "run")
    assert code == 0
    assert json.loads(out)["dtw_mean"] > 0


def test_a_model_that_is_not_there_does_not_stop_the_training(leed):
    model = ("--model", "openai:x", "--base-url", "http://127.0.0.1:9/v1", "-s", "model.retries=0")
    code, out, err = leed("train", *SHORT, *model)
    assert code == 0
    assert json.loads(out)["source_failures"] == 2
    assert "training goes on" in err


@pytest.mark.parametrize(
    "words",
    [
        ("-s", "learning.q=0"),
        ("-s", "learning.gamma=2"),
        ("--agents", "-1"),
        ("--algorithm", "leeed"),
        ("--source", "x"),
    ],
)
def test_settings_out_of_range(leed, words):
    code, _, err = leed("train", *SHORT, *words)
    assert code == 2
    assert err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1
