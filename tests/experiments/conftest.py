"""The command in an empty folder, and settings with which a run takes a moment."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from leed_agentic.cli import main as command

TINY = ("--episodes", "4", "--jobs", "1", "-s", "environment.max_steps=40", "-s", "learning.hidden=8")
FEW = ("--agents", "2", *TINY)
TWO_ARMS = ("--arm", "leed", "--arm", "ippo")
"""Of the figures with baselines: those that exist in every version."""


@pytest.fixture
def experiment(capsys, monkeypatch, tmp_path):
    """`leed experiment run` with --json; gives exit code, the object told, and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["leed", "experiment", "run", *words, "--json"])
        with pytest.raises(SystemExit) as stop:
            command.main()
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        told = json.loads(written.out) if written.out else None
        return SimpleNamespace(code=stop.value.code or 0, told=told, err=written.err)

    return run
