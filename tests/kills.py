"""kill -9 at any moment, again and again: what a command leaves in the end, and what its model was asked meanwhile.

`python -m tests.kills generate 25 7` kills `leed demo generate` 25 times at moments drawn from seed 7 and says what
came of it; likewise train, compare and experiment.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.models.stand_in import StandIn
from tests.model_server import ModelServer, Say

LEED = [sys.executable, "-m", "leed_agentic"]
SMALL = ("-s", "demonstration.accept_ratio=1", "-s", "environment.max_steps=40")
LEARN = ("-s", "learning.hidden=8", "-s", "learning.checkpoint_every=3", "-s", "learning.q=2")


@dataclass(frozen=True)
class Kind:
    """A command that can be killed."""

    words: tuple[str, ...]
    again: tuple[str, ...] | None
    """The words that go on with it in its folder; None: the same ones."""
    begun: str
    """A file in its folder from which on it can go on; before, it is started anew."""
    results: tuple[str, ...]
    """Patterns of the files that must be equal in the end."""


KINDS = {
    "generate": Kind(
        ("demo", "generate", "--agents", "3", "--planning", "junction", "--rounds", "2", *SMALL),
        ("demo", "generate"),
        "settings.json",
        ("demonstrations.json", "trajectories.json", "routes.rou.xml", "summary.json"),
    ),
    "train": Kind(
        ("train", "--agents", "2", "--episodes", "12", "--planning", "agent", *SMALL, *LEARN),
        ("train",),
        "run.json",
        ("metrics.csv", "triggers.csv", "trajectories.json", "demonstrations/*.json", "summary.json"),
    ),
    "compare": Kind(
        ("demo", "compare", "--trials", "2", "--planning", "agent,fleet", "--agents", "2", "--jobs", "1", *SMALL),
        None,
        "",
        ("table.csv", "trials.csv", "verdicts.csv"),
    ),
    "experiment": Kind(
        (
            *("experiment", "run", "fig4b", "--arm", "leed", "--arm", "ippo", "--seeds", "1", "--episodes", "6"),
            *("--agents", "2", "--maps", "braunschweig", "--source", "graph", "--jobs", "1", *SMALL, *LEARN),
        ),
        None,
        "",
        ("*/table.csv", "*/curves_*.csv", "runs/*/metrics.csv"),
    ),
}
_TIMES = ("seconds", "per_second", "versions", "run")
"""Parts of the names of figures that no two runs share."""


@dataclass
class Outcome:
    """What a command left."""

    results: dict[str, Any]
    calls: list[Any]
    """Questions and replies on record, sorted."""
    asked: int
    """Requests that the server had."""
    kills: int = 0


def undisturbed(kind: Kind, folder: Path) -> Outcome:
    """The command without a kill."""
    return _made(kind, folder, lambda process: None)


def killed(kind: Kind, folder: Path, kills: int, chance: random.Random, longest: float) -> Outcome:
    """The command, killed so many times at random moments within `longest` seconds of its start, then left alone."""
    left = kills

    def disturb(process: subprocess.Popen[bytes]) -> None:
        nonlocal left
        if left == 0:
            return
        try:
            process.wait(timeout=chance.uniform(0, longest))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            left -= 1

    made = _made(kind, folder, disturb)
    made.kills = kills - left
    return made


def _made(kind: Kind, folder: Path, disturb: Callable[[subprocess.Popen[bytes]], None]) -> Outcome:
    model = StandIn(seed=1)

    def answer(body: dict[str, Any]) -> Say:
        return Say(str(model.invoke(body["messages"]).content))

    with ModelServer() as server:
        server.default = answer
        model_words = ("--model", f"openai:x@{server.url}") if kind is KINDS["compare"] else _server(server)
        while True:
            begun = kind.again is not None and (folder / kind.begun).is_file()
            if kind.again is None:
                words = [*kind.words, *model_words, "--out", str(folder)]
            elif begun:
                words = [*kind.again, "--resume", str(folder), "--base-url", server.url]
            else:
                shutil.rmtree(folder, ignore_errors=True)
                words = [*kind.words, *model_words, "--out", str(folder)]
            process = subprocess.Popen([*LEED, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            disturb(process)
            said = process.communicate()[1].decode()
            if process.returncode != -signal.SIGKILL:
                break
            while _held(folder):
                # The processes of the one that was killed notice it in a moment.
                time.sleep(0.05)
        results = _results(kind, folder)
        assert process.returncode in (0, 1), said
        assert results, said
        return Outcome(results, _calls(folder), len(server.requests))


def _server(server: ModelServer) -> tuple[str, ...]:
    return ("--model", "openai:x", "--base-url", server.url)


def _held(folder: Path) -> bool:
    """Whether a process that works in the folder is left."""
    named = str(folder).encode()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if named in entry.read_bytes() and entry.parent.name != str(os.getpid()):
                return True
        except OSError:
            continue
    return False


def _results(kind: Kind, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pattern in kind.results:
        for file in sorted(folder.glob(pattern)):
            # The name of a run or a trial has a digest of its server's address in it, and the model's name the address.
            name, text = (
                re.sub(r"http://127[.0-9:]*/v1|(?:_[0-9a-f]{8})?_[0-9a-f]{10}\b", "", words)
                for words in (str(file.relative_to(folder)), file.read_text(encoding="utf-8"))
            )
            if file.suffix == ".json":
                found[name] = _plain(json.loads(text))
            else:
                head, *lines = [line.split(",") for line in text.splitlines()]
                kept = [k for k, column in enumerate(head) if not any(word in column for word in _TIMES)]
                found[name] = [[line[k] for k in kept if k < len(line)] for line in (head, *lines)]
    return found


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _plain(v) for k, v in data.items() if not any(word in k for word in _TIMES) or k == "rounds"}
    return [_plain(v) for v in data] if isinstance(data, list) else data


def _calls(folder: Path) -> list[Any]:
    found = []
    for file in folder.rglob("calls.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines()[1:]:
            call = json.loads(line)
            if call.get("error") is None:
                # Not the folder: its name has the address of the server in it.
                found.append([call["key"], call["reply"]])
    return sorted(found)


def main() -> None:
    """From the command line, by hand."""
    name, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as place:
        began = time.monotonic()
        whole = undisturbed(kind, Path(place) / "whole")
        seconds = time.monotonic() - began
        chance, total, equal, records, requests, runs = random.Random(seed), 0, 0, 0, [], 0
        while total < kills:
            made = killed(kind, Path(place) / f"killed_{runs}", kills - total, chance, seconds / 2)
            runs, total = runs + 1, total + made.kills
            requests.append(made.asked)
            equal += made.results == whole.results
            records += made.calls == whole.calls
            for file, data in whole.results.items():
                if (other := made.results.get(file)) != data:
                    print(f"differs: {file}: {str(data)[:1500]} || {str(other)[:1500]}")
        print(
            f"{name}: {total} kills in {runs} runs; equal results (of {len(whole.results)} files): {equal}; equal "
            f"records ({len(whole.calls)} replies): {records}; requests undisturbed {whole.asked}, killed {requests}"
        )


if __name__ == "__main__":
    main()
