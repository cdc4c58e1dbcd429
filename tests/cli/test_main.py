"""The `leed` command itself: it starts at once and ends with the house's exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leed_agentic.cli.options import plannings
from leed_agentic.demonstrations.planning import planners

HEAVY = {"numpy", "scipy", "pydantic", "langchain_core", "langgraph", "torch", "libsumo", "sumolib", "matplotlib"}


def leed(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leed_agentic.cli.main", *words], capture_output=True, text=True, check=False
    )


def test_help_loads_nothing_that_takes_time() -> None:
    code = "import sys, leed_agentic.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.slow
def test_an_error_is_one_sentence_without_a_traceback() -> None:
    done = leed("doctor", "-s", "model.nmae=x")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Unknown setting 'model.nmae'")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_unknown_command_is_a_usage_error() -> None:
    assert leed("fly").returncode == 2


@pytest.mark.slow
def test_help_in_every_form():
    whole = leed("--help")
    assert whole.returncode == 0
    assert leed("-h").stdout == whole.stdout
    bare = leed()
    assert bare.returncode == 0
    assert "demo" in bare.stdout
    assert "--agents" in leed("train", "-h").stdout


def test_help_names_every_way_of_planning():
    assert sorted(plannings().split(", ")) == planners.names()
