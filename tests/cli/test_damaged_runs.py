"""Files of run folders as a disk, an editor or a stranger leaves them: one sentence, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

READ_BY = {
    "run.json": ("report", "run"),
    "evaluation.json": ("report", "run"),
    "metrics.csv": ("report", "run"),
    "triggers.csv": ("report", "run"),
    "timing.csv": ("train", "--resume", "run", "--episodes", "8"),
    "calls.jsonl": ("demo", "calls", "run"),
    "trajectories.json": (
        "demo",
        "generate",
        "--model",
        "stand-in",
        "--agents",
        "2",
        "--policy",
        "run",
        "--out",
        "new",
    ),
}
DAMAGE = {
    "empty": b"",
    "noise": bytes((131 * k + 7) % 256 for k in range(3000)),
    "a list": b"[1, 2]\n",
    "deep": b"[" * 100_000,
    "a folder": None,
}


ALSO = (
    ("run.json", ("evaluate", "run")),
    ("run.json", ("policy", "export", "run", "--agent", "0", "--out", "new.safetensors")),
    ("checkpoints/000006/state.json", ("evaluate", "run")),
    ("checkpoints/000006/tensors.safetensors", ("policy", "export", "run", "--agent", "0", "--out", "new.safetensors")),
    ("checkpoints/000006/experts.json", ("train", "--resume", "run", "--episodes", "8")),
    ("demonstrations/000000.json", ("evaluate", "run", "--demonstrations", "run/demonstrations/000000.json")),
)


@pytest.mark.parametrize("damage", ["noise", "a list", "a folder"])
@pytest.mark.parametrize(("name", "words"), ALSO)
def test_a_file_that_other_commands_read(leed, trained: Path, name: str, words: tuple[str, ...], damage: str) -> None:
    check_damage(leed, trained, name, damage, words)


@pytest.mark.long
@pytest.mark.parametrize("name", ["map.net.xml", "routes.rou.xml", "run.sumocfg", "fleet.txt"])
def test_a_file_of_a_drive(leed, braunschweig, name: str) -> None:
    first, *_, last = braunschweig.edges
    Path("trips.xml").write_text(f'<routes><trip id="t" depart="0" from="{first.id}" to="{last.id}"/></routes>')
    assert leed("drive", "shortest-path", "--demand", "trips.xml", "--map", "braunschweig", "--out", "made").code == 0
    file = Path("made", "shortest-path", name)
    for content in (b"", DAMAGE["noise"], b"[1, 2]\n"):
        file.write_bytes(content)
        for words in (("drive",), ("export", "--to", "csv")):
            ran = leed(words[0], file.parent, *words[1:])
            assert ran.code in (0, 1, 2), (words, content[:9], ran.err)


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", READ_BY)
def test_a_file_of_a_training_run(leed, trained: Path, name: str, damage: str) -> None:
    check_damage(leed, trained, name, damage, READ_BY[name])


def check_damage(leed, trained: Path, name: str, damage: str, words: tuple[str, ...]) -> None:
    (trained / name).unlink(missing_ok=True)
    content = DAMAGE[damage]
    (trained / name).mkdir() if content is None else (trained / name).write_bytes(content)
    ran = leed(*words)
    assert ran.code in (0, 1, 2), ran.err
    if ran.code == 2:
        assert ran.err.splitlines()[-1].startswith("Error: ")


ODD = [float("nan"), float("inf"), 2**70, "x\u2028y", None, [], {}, -1]


def _places(data: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every way into the data; of a list, into its first item."""
    inside = (
        list(data.items()) if isinstance(data, dict) else list(enumerate(data))[:1] if isinstance(data, list) else []
    )
    return [place for key, value in inside for place in [(*before, key), *_places(value, (*before, key))]]


@pytest.mark.long
def test_any_value_of_demonstrations_and_summary(leed) -> None:
    words = ("--model", "stand-in", "--agents", "2", "-s", "environment.max_steps=40", "--out", "made")
    assert leed("demo", "generate", *words).code in (0, 1)
    for file in (Path("made", "demonstrations.json"), Path("made", "summary.json")):
        text = file.read_text()
        for number, place in enumerate(_places(json.loads(text))):
            data = json.loads(text)
            inner = data
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = ODD[number % len(ODD)]
            file.write_text(json.dumps(data))
            ran = leed("demo", "show", "made")
            assert ran.code in (0, 1, 2), (place, ran.err)
        file.write_text(text)
