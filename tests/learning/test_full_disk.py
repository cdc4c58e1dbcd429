"""A disk that fills up at any file: exit code 3, one sentence, the last checkpoint whole, and the run goes on later."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from leed_agentic.demonstrations.source import GraphSource
from leed_agentic.errors import UnwritableError
from leed_agentic.learning.checkpoint import checkpoints, load_checkpoint
from leed_agentic.learning.session import begin, finish
from leed_agentic.runs.log import read_csv
from leed_agentic.settings import load_settings
from tests.conftest import Ran, made
from tests.full_disk import no_file_beyond

SMALL = {
    "scenario.agents": 2,
    "environment.max_steps": 40,
    "learning.episodes": 8,
    "learning.checkpoint_every": 2,
    "learning.hidden": 1,
    "learning.q": 2,
    "model.name": "stand-in",
}
WORDS = [word for name, value in SMALL.items() for word in ("-s", f"{name}={value}")]


def said_once(done: Ran, *words: str) -> None:
    assert done.code == 3, done.err
    lines = [line for line in done.err.splitlines() if not line.startswith("Warning: ")]
    assert len(lines) == 1, done.err
    for word in ("Error: Cannot write", *words):
        assert word in done.err


def train(leed, *words) -> None:
    done = leed("train", *words)
    assert done.code == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["checkpoints", "demonstrations"])
def test_a_folder_that_cannot_be_made(tmp_path, name):
    (tmp_path / name).touch()
    session = begin(load_settings(overrides=SMALL, environment={}), tmp_path, GraphSource)
    with pytest.raises(UnwritableError, match=f"Cannot write .*(checkpoint|{name}).*leed train --resume"):
        finish(session)
    session.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metrics.csv", "timing.csv", "triggers.csv", "trajectories.json"])
def test_a_file_that_cannot_be_replaced(tmp_path, name):
    (tmp_path / name).mkdir()
    session = begin(load_settings(overrides=SMALL, environment={}), tmp_path, GraphSource)
    with pytest.raises(UnwritableError, match=f"Cannot write .*{name} .*folder of that name.*leed train --resume"):
        finish(session)
    session.close()
    for checkpoint in checkpoints(tmp_path / "checkpoints"):
        load_checkpoint(checkpoint)


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "limit", "words"),
    [
        ("metrics.csv", 9_000, ["learning.algorithm=ippo", "learning.episodes=60", "learning.checkpoint_every=99"]),
        ("calls.jsonl", 30_000, ["demonstration.planning=fleet"]),
        ("checkpoint", 30_000, ["learning.hidden=64", "demonstration.planning=junction"]),
    ],
)
def test_a_file_that_may_not_grow(leed, tmp_path, file, limit, words):
    run = tmp_path / "run"
    more = [word for setting in words for word in ("-s", setting)]
    with no_file_beyond(limit):
        said_once(leed("train", "--out", run, *WORDS, *more), file, "File too large")
    for checkpoint in checkpoints(run / "checkpoints"):
        load_checkpoint(checkpoint)
    train(leed, "--resume", run)
    assert len(read_csv(run / "metrics.csv")) == (60 if file == "metrics.csv" else 8)


@pytest.fixture
def disk(tmp_path):
    """A function that makes a small disk, or one that is there larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(kilobytes: int, again: bool = False) -> Path:
        options = f"{'remount,' if again else ''}size={kilobytes}k"
        try:
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip("mounting a small disk is not allowed here")
        return place

    yield sized
    while subprocess.run(["mountpoint", "-q", str(place)]).returncode == 0:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed; it takes more than 200 kB."""
    return made(tmp_path_factory.mktemp("whole") / "run", "train", *WORDS)


@pytest.mark.long
@pytest.mark.parametrize("kilobytes", [8, 100, *(pytest.param(k, marks=pytest.mark.long) for k in (40, 160, 200))])
def test_a_small_disk_that_is_enlarged_later(leed, whole, disk, kilobytes):
    run = disk(kilobytes) / "run"
    said_once(leed("train", "--out", run, *WORDS))
    for checkpoint in checkpoints(run / "checkpoints"):
        load_checkpoint(checkpoint)
    disk(100_000, again=True)
    if (run / "run.json").exists():
        train(leed, "--resume", run)
    else:
        shutil.rmtree(run, ignore_errors=True)
        train(leed, "--out", run, *WORDS)
    assert (run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert len(read_csv(run / "triggers.csv")) == 4


@pytest.mark.slow
def test_a_summary_that_cannot_be_written_is_made_by_resuming(leed, tmp_path):
    run = tmp_path / "run"
    train(leed, "--out", run, *WORDS)
    (run / "summary.json").unlink()
    (run / "summary.json").mkdir()
    said_once(leed("train", "--resume", run), "summary.json")
    (run / "summary.json").rmdir()
    train(leed, "--resume", run)
    assert (run / "summary.json").is_file()


@pytest.mark.slow
def test_any_other_file_is_one_sentence_too(leed):
    with no_file_beyond(20_000):
        said_once(leed("demo", "generate", "--model", "stand-in", "--agents", "2", "--out", "run", "--json"))
