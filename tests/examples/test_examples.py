"""examples/: each script is short and does what it says, as a newcomer runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"


def ran(folder: Path, script: str, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    command = [sys.executable, str(FOLDER / script), *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.py")), ids=lambda script: script.stem)
def test_examples_are_short(script):
    assert len(script.read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.long
def test_generate(tmp_path):
    said = ran(tmp_path, "generate.py", "--agents", "2")
    assert "100% of the agents have a valid route" in said
    assert "arrived: 100%" in said
    assert (tmp_path / "example_routes" / "routes.png").is_file()


@pytest.mark.long
def test_train_and_use_the_policy(tmp_path):
    said = ran(tmp_path, "train.py", "--agents", "2", "--episodes", "6")
    assert "6 episodes" in said
    said = ran(tmp_path, "use_policy.py")
    assert {line.split()[0] for line in said.splitlines()} == {"agent_0", "agent_1"}
