"""For tests of what comes after training: one small trained run to start from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHORT = ("--agents", "2", "--episodes", "6", "--steps", "40")


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = [sys.executable, "-m", "leed_agentic.cli.main", "train", *SHORT, "--out", str(folder)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def trained(leed, _trained_once, tmp_path) -> Path:
    """A run of two agents, demonstrations by the graph with the stand-in; a copy, so that it may be damaged."""
    return Path(shutil.copytree(_trained_once, tmp_path / "run")).relative_to(tmp_path)


@pytest.fixture
def follower(leed) -> str:
    """The dotted path of a user's own algorithm that keeps no policy network and always takes the first action."""
    Path("follower.py").write_text(
        "class First:\n"
        "    uses_demonstrations, deterministic = False, False\n"
        "    def __init__(self, *settings): pass\n"
        "    def choose(self, agent, observation, mask): return 0\n"
        "    def update(self, experiences, experts, episode): return {}\n"
        "    def tensors(self): return {}\n"
        "    def load_tensors(self, tensors): pass\n"
        "    def random_state(self): return {}\n"
        "    def load_random_state(self, state): pass\n"
    )
    return "follower.First"
