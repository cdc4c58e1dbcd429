"""A comparison on two workers of a local Ray has the figures that processes give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

WORDS = ("demo", "compare", "--model", "stand-in", "--agents", "2", "--trials", "2", "--rounds", "0,1", "--json")
TIMED = ("seconds", "seconds_median", "seconds_p95", "model_seconds")


def figures(told: str) -> list[dict]:
    rows = json.loads(told)["rows"]
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


@pytest.mark.long
@pytest.mark.processes
def test_ray_compares_as_processes_do(leed):
    pytest.importorskip("ray", reason='Ray is not installed: pip install "leed-agentic[ray]"')
    ours = leed(*WORDS, "--jobs", "2", "--out", "here")
    theirs = leed(*WORDS, "--jobs", "2", "--backend", "ray", "--out", "there")
    assert theirs.code == 0, theirs.err
    assert figures(theirs.out) == figures(ours.out)


def test_a_misspelt_backend_leaves_no_folder(leed):
    done = leed(*WORDS, "--backend", "rai", "--out", "there")
    assert done.code == 2
    assert "did you mean 'ray'" in done.err
    assert not Path("there").exists()
