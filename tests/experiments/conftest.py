"""The command in an empty folder, and settings with which a run takes a moment."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

TINY = ("--episodes", "4", "--jobs", "1", "-s", "environment.max_steps=40", "-s", "learning.hidden=8")
FEW = ("--agents", "2", *TINY)
TWO_ARMS = ("--arm", "leed", "--arm", "ippo")
"""Of the figures with baselines: those that exist in every version."""


@pytest.fixture
def experiment(leed, few_references):
    """`leed experiment run` with --json; gives exit code, the object told, and stderr."""

    def run(*words: str) -> SimpleNamespace:
        ran = leed("experiment", "run", *words, "--json")
        return SimpleNamespace(code=ran.code, told=json.loads(ran.out) if ran.out else None, err=ran.err)

    return run
