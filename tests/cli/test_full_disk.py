"""A disk that is full or cannot be written: one sentence that names the file and what goes on, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from leed_agentic.runs.files import PARTIAL
from tests.full_disk import no_file_beyond

SMALL = ("-s", "demonstration.accept_ratio=1", "-s", "environment.max_steps=40")
LEARN = ("-s", "learning.hidden=8", "-s", "learning.checkpoint_every=3", "-s", "learning.q=2")
COMMANDS = {
    "generate": ("demo", "generate", "--agents", "2", "--planning", "junction", "--rounds", "1", "--model", "stand-in"),
    "compare": (
        *("demo", "compare", "--trials", "1", "--planning", "agent", "--agents", "2", "--jobs", "1"),
        *("--model", "stand-in"),
    ),
    "experiment": (
        *("experiment", "run", "fig4b", "--arm", "leed", "--seeds", "1", "--episodes", "4", "--agents", "2"),
        *("--maps", "braunschweig", "--jobs", "1", *LEARN),
    ),
}
RESUME = {
    "generate": "go on, without asking again what was answered, with: leed demo generate --resume out",
    "compare": "the same command goes on",
    "experiment": "the same command goes on",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "largest", "file"),
    [
        ("generate", 4_000, "out/calls.jsonl"),
        ("generate", 60_000, "out/map.net.xml"),
        ("compare", 3_000, "calls.jsonl"),
        pytest.param("compare", 20_000, "map.net.xml", marks=pytest.mark.long),
        pytest.param("experiment", 5_000, "checkpoints/000000", marks=pytest.mark.long),
    ],
)
def test_a_file_that_may_not_grow(leed, few_references, tmp_path, name, largest, file):
    words = (*COMMANDS[name], *SMALL, "--out", "out")
    with no_file_beyond(largest):
        full = leed(*words)
    assert full.code == 3, full.err
    said = full.err.splitlines()[-1]
    assert said.startswith("Error: ")
    assert f"{file} (" in said
    assert RESUME[name] in said
    assert "leed train" not in said
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))
    again = leed(*(("demo", "generate", "--resume", "out") if name == "generate" else words))
    assert again.code in (0, 1), again.err
    assert not again.err.splitlines()[-1:] or not again.err.splitlines()[-1].startswith("Error")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("place", ["/proc/leed", "file/out"])
def test_a_folder_that_cannot_be_made(leed, name, place):
    Path("file").write_text("mine")
    refused = leed(*COMMANDS[name], *SMALL, "--out", place)
    assert refused.code in (2, 3), refused.err
    assert refused.err.splitlines()[-1].startswith("Error: Cannot write")
    assert place in refused.err.splitlines()[-1]
    assert Path("file").read_text() == "mine"
