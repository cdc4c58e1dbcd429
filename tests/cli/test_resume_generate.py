"""`leed demo generate --resume`: a run that was stopped goes on, and nothing that was answered is asked again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leed_agentic.models.stand_in import StandIn
from tests.kills import KINDS, killed, undisturbed
from tests.model_server import Answer, Hang, ModelServer, Say

LEED = [sys.executable, "-m", "leed_agentic"]
ASK = ("demo", "generate", "--agents", "3", "--planning", "agent", "--rounds", "1", "--model", "openai:x")


@pytest.fixture
def thoughtful(model_server: ModelServer) -> ModelServer:
    """A server whose routes are those of the stand-in."""
    model = StandIn(seed=1)
    model_server.default = lambda body: Say(str(model.invoke(body["messages"]).content))
    return model_server


def results(folder: str) -> tuple[object, ...]:
    found = json.loads(Path(folder, "demonstrations.json").read_text())
    summary = json.loads(Path(folder, "summary.json").read_text())
    for round_ in found["rounds"]:
        round_.pop("seconds")
    del found["provenance"]["versions"]
    return found, {name: value for name, value in summary.items() if "seconds" not in name and name != "run"}


@pytest.mark.slow
def test_a_dead_server_and_then_the_same_result(leed, thoughtful: ModelServer) -> None:
    url = ("--base-url", thoughtful.url, "-s", "model.retries=0", "-s", "model.concurrent_calls=1")
    whole = leed(*ASK, *url, "--out", "whole")
    asked = len(thoughtful.requests)
    thoughtful.script = [thoughtful.default(body) for body in thoughtful.requests[:2]] + [Answer(500)]
    broken = leed(*ASK, *url, "--out", "run")
    assert broken.code == 3
    assert (
        f"go on, without asking again what was answered, with: leed demo generate --resume run --base-url {url[1]}"
        in (" ".join(broken.err.split()))
    )
    assert json.loads(Path("run", "summary.json").read_text())["stopped"]
    before = len(thoughtful.requests)
    again = leed("demo", "generate", "--resume", "run", *url)
    assert again.code == whole.code
    assert len(thoughtful.requests) - before == asked - 2
    assert results("run") == results("whole")
    # A run that has come to its end is shown.
    shown = leed("demo", "generate", "--resume", "run", "--json")
    assert "came to its end" in shown.err
    assert json.loads(shown.out)["calls"] == asked
    assert len(thoughtful.requests) - before == asked - 2


@pytest.mark.slow
def test_a_cap_may_be_raised_and_nothing_else(leed, thoughtful: ModelServer) -> None:
    url = ("--base-url", thoughtful.url)
    assert leed(*ASK, *url, "--out", "whole").code in (0, 1)
    capped = leed(*ASK, *url, "--max-calls", "2", "--out", "run")
    assert capped.code == 1
    refused = leed("demo", "generate", "--resume", "run", *url, "--agents", "4")
    assert refused.code == 2
    assert refused.err.strip().endswith("leave scenario.agents=4 out, or begin a new one.")
    assert leed("demo", "generate", "--resume", "run", *url, "--max-calls", "500", "--agents", "3").code in (0, 1)
    assert results("run") == results("whole")


def test_what_cannot_go_on_is_said(leed, tmp_path: Path) -> None:
    Path("empty").mkdir()
    for folder, words in (("nowhere", "There is no folder"), ("empty", "nothing was asked there yet")):
        ran = leed("demo", "generate", "--resume", folder)
        assert ran.code == 2
        assert words in ran.err
    assert "leave out --out" in leed("demo", "generate", "--resume", "empty", "--out", "other").err
    Path("empty", "settings.json").write_text("[")
    assert leed("demo", "generate", "--resume", "empty").code == 2


@pytest.mark.long
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, model_server: ModelServer) -> None:
    model_server.default = Hang()
    run = tmp_path / "a run"
    words = [*ASK, "--base-url", model_server.url, "--out", str(run)]
    process = subprocess.Popen([*LEED, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert model_server.arrived.wait(timeout=120)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == (
        "Stopped; go on, without asking again what was answered, with: leed demo generate --resume "
        f"'{run}' --base-url {model_server.url}"
    )


@pytest.mark.long
def test_ctrl_c_with_sumo_behind_a_socket(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "--agents", "2", "--episodes", "1000", "-s", "environment.backend=traci", "--source", "none"]
    process = subprocess.Popen(
        [*LEED, *words, "--algorithm", "ippo", "--out", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (run / "metrics.csv").is_file() or (run / "metrics.csv").read_text().count("\n") < 2:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
    # As a terminal does it: everybody in the group hears it, SUMO too.
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    # SUMO may say of itself, in front of it, that nobody listens any more.
    assert "Stopped; go on from episode" in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_killed_and_gone_on_with(tmp_path: Path, name: str) -> None:
    whole = undisturbed(KINDS[name], tmp_path / "whole")
    made = killed(KINDS[name], tmp_path / "killed", 1, random.Random(5), 8.0)
    assert made.results == whole.results
    assert made.calls == whole.calls
    # At most the question under way at each kill is asked again.
    assert made.asked <= whole.asked + made.kills
