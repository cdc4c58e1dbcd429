"""What a shell leaves a command to write to, and what outsiders' text may do to a terminal."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "leed_agentic"]
EVIL = "\x1b[2J\x1b]0;mine\x07 \x9b31m \u202e street"


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line.replace("leed ", f"{shlex.join(COMMAND)} ")],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("leed map list 2>&-", 0),
        ("leed map list <&- >&- 2>&-", 0),
        ("leed demo show missing 2>&-", 2),
        ("leed map list >/dev/full", 3),
        ("leed map list | true; exit ${PIPESTATUS[0]}", (0, 141)),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path, line, code):
    ran = shell(line, tmp_path)
    assert ran.returncode in (code if isinstance(code, tuple) else (code,)), ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_a_letter_that_the_locale_lacks(tmp_path):
    ran = shell("leed demo show Straße", tmp_path, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert ran.returncode == 2
    assert "Stra\\xdfe" in ran.stderr
    assert "Traceback" not in ran.stderr


def commands(text: str) -> list[str]:
    return [c for c in text if (ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c == "\u202e"]


def test_text_of_a_model_and_names_of_folders_command_no_terminal(leed):
    assert leed("demo", "generate", "--model", "stand-in", "--agents", 2, "--rounds", 0, "--out", "run").code in (0, 1)
    file = Path("run", "summary.json")
    summary = json.loads(file.read_text())
    file.write_text(json.dumps({**summary, "stopped": EVIL}))
    for words in (("demo", "show", "run"), ("demo", "show", "run", "--json"), ("demo", "show", EVIL)):
        ran = leed(*words)
        assert not commands(ran.out + ran.err), words
    assert json.loads(leed("demo", "show", "run", "--json").out)["stopped"] == EVIL


@pytest.mark.parametrize("kind", ["pipe", "link to a device"])
def test_nothing_is_put_in_the_place_of_a_pipe_or_a_device(leed, kind):
    if kind == "pipe":
        os.mkfifo("odd")
    else:
        Path("odd").symlink_to("/dev/zero")
    before = os.lstat("odd")
    ran = leed("map", "show", "braunschweig", "--out", "odd")
    assert ran.code == 3
    assert "it is a pipe or a device" in ran.err
    assert os.lstat("odd").st_ino == before.st_ino


def test_another_name_of_a_file_keeps_what_it_held(leed):
    Path("victim").write_text("mine")
    os.link("victim", "map.png")
    assert leed("map", "show", "braunschweig", "--out", "map.png").code == 0
    assert Path("victim").read_text() == "mine"


@pytest.mark.slow
def test_another_name_of_a_recording_gets_no_calls(leed, trained):
    os.link(trained / "calls.jsonl", "victim")
    before = Path("victim").read_bytes()
    assert leed("train", "--resume", trained, "--episodes", 11).code == 0
    assert Path("victim").read_bytes() == before
    assert (trained / "calls.jsonl").stat().st_size > len(before)
