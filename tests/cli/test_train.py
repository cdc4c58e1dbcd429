"""`leed train` as a user meets it; what it learns and how it resumes is tested in tests/learning."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leed_agentic.models.stand_in import StandIn
from leed_agentic.runs.log import read_csv
from tests.model_server import Answer, ModelServer, Reset, Say

SHORT = ("--agents", "2", "--episodes", "6", "--steps", "40", "--json")


def stand_in() -> Callable[[dict[str, Any]], Say]:
    """What a server answers whose routes are those of the stand-in."""
    model = StandIn(seed=1)
    return lambda body: Say(str(model.invoke(body["messages"]).content))


# Every route is refined at every trigger, so the model is asked at each.
ALWAYS_ASK = ("-s", "demonstration.accept_ratio=1", "-s", "demonstration.rounds=1", "-s", "model.retries=0")
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("field", ["rewards", "positions"])
def test_trajectories_with_nan_are_refused_by_the_critique(leed, field):
    assert leed("train", *SHORT, "--source", "none", "--out", "run")[0] == 0
    file = Path("run", "trajectories.json")
    data = json.loads(file.read_text())
    values = data["trajectories"][1][field]
    values[0] = [float("nan")] * 2 if field == "positions" else float("nan")
    file.write_text(json.dumps(data))
    words = ("demo", "generate", "--model", "stand-in", "--agents", "2", "-s", "environment.max_steps=40")
    code, _, err = leed(*words, "--policy", "run", "--out", "demo")
    assert code == 2
    assert "the trajectory of agent 1 holds NaN" in err
    assert not Path("demo").exists()


@pytest.mark.slow
def test_a_run_without_any_demonstration_fails_and_says_so_again(leed, model_server):
    model_server.default = Say("I know no streets.")
    words = ("--model", "openai:x", "--base-url", model_server.url, "--out", "run")
    code, out, err = leed("train", *SHORT, *words)
    assert (code, out) == (1, "")
    assert err.count("training goes on with none so far") == 2
    assert "The agents never had a demonstration in 2 questions to source graph" in err
    assert "never had a demonstration" in json.loads(Path("run", "summary.json").read_text())["failure"]
    code, out, err = leed("train", "--resume", "run", "--json")
    assert (code, out) == (1, "")
    assert "never had a demonstration" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "code", "said"),
    [
        (Answer(404), 2, "knows no openai:gtp"),
        (Answer(401), 2, "refused the key for openai:gtp"),
        pytest.param(Answer(403), 2, "refused the key for openai:gtp", marks=pytest.mark.long),
        (Reset(), 3, "Cannot reach openai:gtp"),
        pytest.param(Answer(500), 3, "failed with status 500", marks=pytest.mark.long),
    ],
)
def test_a_model_that_cannot_be_used_at_first_ends_the_training(leed, model_server, step, code, said):
    model_server.default = step
    words = ("--model", "openai:gtp", "--base-url", model_server.url, "-s", "model.retries=0", "--out", "run")
    ran = leed("train", *SHORT, *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err.splitlines()[-1]
    assert "training goes on" not in ran.err
    assert len(model_server.requests) == 1
    assert not Path("run", "summary.json").exists()
    assert read_csv(Path("run", "metrics.csv")) == []
    # Mended, it goes on.
    model_server.default = stand_in()
    assert leed("train", "--resume", "run", "--base-url", model_server.url).code == 0


@pytest.mark.slow
def test_a_key_that_is_refused_in_mid_training_ends_it(leed, model_server):
    model = stand_in()
    model_server.default = lambda body: model(body) if len(model_server.requests) < 3 else Answer(401)
    words = ("--model", "openai:x", "--base-url", model_server.url, *ALWAYS_ASK, "--q", "2", "--out", "run")
    ran = leed("train", *SHORT, *words)
    assert (ran.code, ran.out) == (2, "")
    assert "refused the key for openai:x" in ran.err
    assert len(model_server.requests) == 3
    assert len(read_csv(Path("run", "metrics.csv"))) == 2
    model_server.default = model
    assert leed("train", "--resume", "run", "--base-url", model_server.url).code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("-s", "learning.q=0"),
        ("-s", "learning.gamma=2"),
        ("--agents", "-1"),
        ("--algorithm", "leeed"),
        ("--source", "x"),
        ("-s", "learning.episodes=0"),
        ("-s", "learning.learning_rate=.nan"),
        ("-s", "learning.hidden=two"),
        ("-s", "learning.gama=1"),
        ("-s", "demonstration.prompts=nowhere"),
        ("--device", "cuda:99"),
        ("--device", "meta"),
        ("--device", "gpu"),
        ("--map", "nowhere"),
        ("--model", "gpt"),
        ("--source", "file"),
        ("--demonstrations", "missing.json"),
    ],
)
def test_settings_out_of_range(leed, words):
    # SHORT has --episodes, which would win over the assignment.
    code, out, err = leed("train", "--agents", "2", "--steps", "40", "--out", "run", *words)
    assert code == 2
    assert out == ""
    assert err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("learning.algorithm=leeed", "leed"),
        ("learning.leed.alpha=normalized", "normalised"),
        ("learning.leed.expert_advantage=agent-critik", "agent-critic"),
        ("learning.leed.objectiv=paper", "objective"),
        ("learning.alpha=fixed", "learning.leed.alpha"),
        ("learning.mapo.value_clip=false", "mappo"),
        ("learning.source=logti", "logit"),
    ],
)
def test_a_name_spelt_wrong_gets_the_nearest(leed, setting, meant):
    code, _, err = leed("train", *SHORT, "-s", setting)
    assert code == 2
    assert f"did you mean '{meant}'?" in err


@pytest.mark.slow
def test_a_run_that_is_finished_says_so_and_shows_its_summary_again(leed, monkeypatch):
    first = json.loads(leed("train", *SHORT, "--source", "logit", "--out", "run")[1])
    code, out, err = leed("train", "--resume", "run", "--json")
    assert code == 0
    assert json.loads(out) == first
    assert err == "run has trained all its 6 episodes; this is its summary.\n"
    code, _, err = leed("train", "--resume", "run", "--out", "other")
    assert code == 2
    assert "leave out --out" in err
    Path("run", "summary.json").unlink()
    assert json.loads(leed("train", "--resume", "run", "--json")[1])["episodes"] == 6


@pytest.mark.parametrize(("folder", "told"), [("nowhere", "There is no folder"), (".", "is not a training run")])
def test_resuming_what_is_no_run(leed, folder, told):
    code, _, err = leed("train", "--resume", folder)
    assert code == 2
    assert told in err
    assert Path(".").exists()


@pytest.mark.slow
def test_a_server_that_dies_halfway_is_counted_and_said(leed, model_server):
    def answer(body):
        if len(model_server.requests) > 30:
            return Reset()
        # Junction planning: the streets are named by numbers, and the smallest is the way.
        return Say(min(re.findall(r"(\d+\.\d+) \(", body["messages"][-1]["content"]), key=float))

    model_server.default = answer
    words = ("--model", "openai:x", "--base-url", model_server.url, "--planning", "junction", "--agents", "2")
    far = ("-s", "demonstration.junction_distance=straight", "--seed", "0", "--q", "1")
    code, out, err = leed(
        "train", *words, *ALWAYS_ASK, *far, "--episodes", "6", "--steps", "60", "--out", "run", "--json"
    )
    assert code == 0
    summary = json.loads(out)
    rows = read_csv(Path("run", "triggers.csv"))
    good, bad = [r for r in rows if r["ok"] == "1"], [r for r in rows if r["ok"] == "0"]
    assert len(rows) == summary["triggers"] == 6
    assert len(bad) == summary["source_failures"] == err.count("training goes on with the 2 last good demonstrations")
    assert good
    assert bad
    assert all("Cannot reach openai:x" in row["failure"] for row in bad)
    assert {row["output_tokens"] for row in bad[1:]} == {"0"}
    assert rows[0]["validity"] == "1.0"
    assert {row["agents"] for row in rows} == {"2"}
    for name in ("calls", "input_tokens", "output_tokens"):
        assert int(rows[-1][f"{name}_total"]) == summary[name] == sum(int(row[name]) for row in rows)
    assert [row["memory"] for row in rows] == sorted((row["memory"] for row in rows), key=int)


@pytest.mark.slow
def test_tensorboard_files_on_request(leed):
    pytest.importorskip("tensorboard")
    words = ("--source", "shortest-path", "-s", "learning.trackers=[tensorboard]", "--out", "run")
    assert leed("train", *SHORT, *words)[0] == 0
    files = list(Path("run", "tensorboard").glob("events.out.tfevents.*"))
    assert len(files) == 1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(files[0])).Reload()
    rewards = [event.value for event in events.Scalars("reward_mean")]
    assert rewards == pytest.approx([float(r["reward_mean"]) for r in read_csv(Path("run", "metrics.csv"))])


def test_without_tensorboard_one_sentence_and_no_folder(leed, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    code, _, err = leed("train", *SHORT, "-s", "learning.trackers=[tensorboard]", "--source", "none", "--out", "run")
    assert code == 2
    assert 'pip install "leed-agentic[tensorboard]"' in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("run").exists()


def failing(server: ModelServer) -> tuple[str, ...]:
    server.default = Say("I know no streets.")
    return ("--model", "openai:x", "--base-url", server.url, "-s", "demonstration.rounds=0")


def test_no_escape_codes_where_there_is_no_terminal(leed, model_server):
    done = leed("train", *SHORT[:-1], *failing(model_server))
    assert "Warning: Episode 0" in done.err
    assert "\x1b" not in done.out + done.err


@pytest.mark.long
@pytest.mark.parametrize("no_color", [False, True])
def test_the_live_line_on_a_terminal(tmp_path, no_color, model_server):
    main, terminal = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    environment |= {"TERM": "xterm-256color", **({"NO_COLOR": "1"} if no_color else {})}
    command = [sys.executable, "-m", "leed_agentic", "train", *SHORT[:-1], *failing(model_server)]
    command += ["--episodes", "100"]
    process = subprocess.Popen(command, stderr=terminal, stdout=subprocess.DEVNULL, cwd=tmp_path, env=environment)
    os.close(terminal)
    seen = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody writes to with an error.
        while piece := os.read(main, 65536):
            seen += piece
    os.close(main)
    assert process.wait() == 1
    text = seen.decode()
    coloured = re.search(r"\x1b\[(?:\d+;)*(?:3[0-8]|9[0-7])(?:;\d+)*m", text)
    assert bool(coloured) is not no_color
    # Colours go; what moves the cursor separates one drawing of the line from the next.
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", re.sub(r"\x1b\[[0-9;]*m", "", text))
    lines = [line.strip() for line in re.split(r"[\r\n]+", plain)]
    form = re.compile(r". \d+/100 [▁▂▃▄▅▆▇█]+ reward -?\d+, arrived \d+%, alpha [\d.-]+, .* left")
    assert any(form.fullmatch(line) for line in lines)
    assert sum("no new demonstrations" in line for line in lines) == 20
    assert all(len(line) <= 80 for line in lines if "reward" in line)


def test_networks_that_do_not_fit_into_memory_are_refused(leed):
    code, out, err = leed("train", *SHORT, "--source", "none", "-s", "learning.hidden=200000", "--out", "run")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("Error: The networks of 2 agents need ")
    assert "-s learning.leed.share_policy=true" in err
    assert not Path("run").exists()
