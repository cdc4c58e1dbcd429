"""Ctrl-C and kill -9 at any moment of `leed train`: one sentence that says how to go on, and the run goes on."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leed_agentic.runs.log import read_csv
from tests.model_server import Hang, ModelServer

LEED = [sys.executable, "-m", "leed_agentic"]
SHORT = ("--agents", "2", "--steps", "40", "-s", "learning.hidden=8", "-s", "learning.checkpoint_every=2")
ENDLESS = (*SHORT, "--episodes", "100000")

pytestmark = pytest.mark.slow


def start(*words: str, python: tuple[str, ...] = (), **options) -> subprocess.Popen[str]:
    command = [LEED[0], *python, *LEED[1:], "train", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)


def until(process: subprocess.Popen[str], reached) -> None:
    while not reached():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)


def stopped(process: subprocess.Popen[str]) -> str:
    """The one sentence after Ctrl-C."""
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    # Warnings, and how far it is, which a slow start is told.
    aside = re.compile(r"import time:|Warning: |\d+/\d+ ")
    lines = [line for line in said.splitlines() if not aside.match(line)]
    assert len(lines) == 1, said
    return lines[0]


def resume(folder: Path, episodes: int) -> subprocess.CompletedProcess[str]:
    """Go on with a run that would never end, as one of this many episodes."""
    file = folder / "run.json"
    file.write_text(file.read_text().replace('"episodes": 100000', f'"episodes": {episodes}'))
    return subprocess.run([*LEED, "train", "--resume", str(folder)], capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.parametrize("module", ["typer", "torch", "libsumo"])
def test_while_importing(tmp_path, module):
    process = start(*ENDLESS, "--out", str(tmp_path / "run"), python=("-X", "importtime"))
    for line in process.stderr:
        if line.rstrip().endswith(f" {module}"):
            break
    assert stopped(process).startswith("Stopped ")
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.long
def test_before_the_first_checkpoint(tmp_path):
    run = tmp_path / "a run"
    process = start(*ENDLESS, "--out", str(run))
    until(process, (run / "run.json").exists)
    said = stopped(process)
    assert said == f"Stopped; go on from episode 0 with: leed train --resume '{run}'"
    assert resume(run, 4).returncode == 0
    assert len(read_csv(run / "metrics.csv")) == 4


@pytest.mark.long
def test_while_training(tmp_path):
    run = tmp_path / "run"
    process = start(*ENDLESS, "--out", str(run))
    lines = random.randrange(1, 12)
    until(process, lambda: len(read_csv(run / "metrics.csv")) >= lines)
    said = stopped(process)
    checkpoint = int(said.split("episode ")[1].split()[0])
    assert checkpoint % 2 == 0
    assert checkpoint >= lines - 2
    done = len(read_csv(run / "metrics.csv"))
    assert resume(run, done + 3).returncode == 0
    assert [row["episode"] for row in read_csv(run / "metrics.csv")] == [str(k) for k in range(done + 3)]


@pytest.mark.long
def test_while_the_model_is_asked(tmp_path, model_server: ModelServer):
    run = tmp_path / "run"
    model_server.default = Hang()
    process = start(*ENDLESS, "--out", str(run), "--model", "openai:x", "--base-url", model_server.url)
    until(process, model_server.arrived.is_set)
    go_on = f"Stopped; go on from episode 0 with: leed train --resume {run}"
    # The address is not in the run, where it could be another's: it is named again.
    assert stopped(process) == f"{go_on} --base-url {model_server.url}"


@pytest.mark.long
def test_killed_before_anything_or_before_the_first_checkpoint(tmp_path):
    run = tmp_path / "run"
    process = start(*ENDLESS, "--out", str(run))
    until(process, run.exists)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (run / "run.json").unlink(missing_ok=True)
    again = subprocess.run([*LEED, "train", "--resume", str(run)], capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert len(again.stderr.splitlines()) == 1
    assert "is not a training run; give a folder of `leed train` (No such file or directory)" in again.stderr

    later = tmp_path / "later"
    process = start(*ENDLESS, "--out", str(later))
    until(process, (later / "run.json").exists)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # Looked at before the run goes on: older checkpoints are deleted then.
    had_one = any(later.glob("checkpoints/0*"))
    again = resume(later, 3)
    assert again.returncode == 0
    assert len(read_csv(later / "metrics.csv")) == 3
    if not had_one:
        assert "starts from the first episode" in again.stderr


def test_lost_in_a_finaliser_it_still_ends_a_wait(tmp_path):
    """Python drops what a finaliser raises; the wait behind it has no end of its own."""
    script = tmp_path / "wait.py"
    script.write_text(
        "import queue, signal\n"
        "from leed_agentic.cli.interrupt import Interrupt\n"
        "class Late:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "with Interrupt():\n"
        "    late = Late()\n"
        "    del late\n"
        "    queue.SimpleQueue().get()\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"
