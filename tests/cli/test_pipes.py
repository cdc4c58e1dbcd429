"""Pipes and devices named as input, which may never end: each command ends at once, with one sentence."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

GENERATE = "demo generate --model stand-in --out run"

COMMANDS = [
    "demo generate --replay {}.jsonl --out run",
    f"{GENERATE} --demand {{}}.rou.xml",
    f"{GENERATE} --demand {{}}.csv",
    f"{GENERATE} --demand trips.xml --fleet {{}}",
    f"{GENERATE} --background {{}}.rou.xml",
    f"{GENERATE} --closures {{}}.csv",
    f"{GENERATE} --brief {{}}",
    f"{GENERATE} --brief {{}}.json",
    f"{GENERATE} --settings {{}}.yaml",
    f"{GENERATE} --prompts {{}}",
    f"{GENERATE} --policy {{}}",
    f"{GENERATE} --map {{}}.net.xml",
    f"{GENERATE} --map {{}}.osm",
    "train --source file --demonstrations {}.json --out run",
    "drive --demand {}.rou.xml --map braunschweig",
    "drive --demand trips.xml --map {}.net.xml",
    "map build --name here --osm-file {}.osm",
    "demo check {}.rou.xml --map braunschweig",
    "demo check {}.json --map braunschweig",
    "report {}",
    "demo show {}",
]


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_input_that_may_never_end(leed, braunschweig, command: str, kind: str) -> None:
    first, *_, last = braunschweig.edges
    Path("trips.xml").write_text(f'<routes><trip id="t" depart="0" from="{first.id}" to="{last.id}"/></routes>')
    words = shlex.split(command.format("odd"))
    (name,) = (word for word in words if word.startswith("odd"))
    if kind == "pipe":
        os.mkfifo(name)
    else:
        Path(name).symlink_to("/dev/zero")
    ran = leed(*words)
    assert ran.code == 2, ran
    assert name in ran.err
    assert len([line for line in ran.err.splitlines() if line.startswith("Error: ")]) == 1, ran.err
