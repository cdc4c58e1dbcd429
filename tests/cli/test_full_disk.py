"""A disk that is full or cannot be written: one sentence that names the file and what goes on, and nothing is lost."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from leed_agentic.runs.files import PARTIAL

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


def leed(folder: Path, *words: str, largest: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a folder where no file may grow beyond `largest` bytes."""
    limit = (largest, largest) if largest else None
    return subprocess.run(
        [sys.executable, "-m", "leed_agentic", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)) if limit else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "largest", "file"),
    [
        ("generate", 4_000, "out/calls.jsonl"),
        ("generate", 60_000, "out/map.net.xml"),
        ("compare", 3_000, "calls.jsonl"),
        ("compare", 20_000, "map.net.xml"),
        ("experiment", 5_000, "checkpoints/000000"),
    ],
)
def test_a_file_that_may_not_grow(tmp_path, name, largest, file):
    words = (*COMMANDS[name], *SMALL, "--out", "out")
    full = leed(tmp_path, *words, largest=largest)
    assert full.returncode == 3, full.stderr
    said = full.stderr.splitlines()[-1]
    assert said.startswith("Error: ")
    assert f"{file} (" in said
    assert RESUME[name] in said
    assert "leed train" not in said
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))
    again = leed(tmp_path, *(("demo", "generate", "--resume", "out") if name == "generate" else words))
    assert again.returncode in (0, 1), again.stderr
    assert not again.stderr.splitlines()[-1:] or not again.stderr.splitlines()[-1].startswith("Error")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("place", ["/proc/leed", "file/out"])
def test_a_folder_that_cannot_be_made(tmp_path, name, place):
    (tmp_path / "file").write_text("mine")
    refused = leed(tmp_path, *COMMANDS[name], *SMALL, "--out", place)
    assert refused.returncode in (2, 3), refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("Error: Cannot write")
    assert place in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    assert (tmp_path / "file").read_text() == "mine"
