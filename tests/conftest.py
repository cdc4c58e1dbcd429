"""What every test gets: no settings or keys from outside, fast tests before slow ones, a model server on 127.0.0.1."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from leed_agentic.roads.network import RoadNetwork
    from tests.model_server import ModelServer

# Until all is collected: see pytest_runtestloop.
gc.disable()

# Before anything imports torch: the workers of pytest take the cores, and further threads would only queue.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Else every worker, and every process that a test starts, would compile tests and package anew: half a minute in all.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_FROM_OUTSIDE = ("LEED_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_")

JUNCTION = Path(__file__).parent / "recordings" / "junction.jsonl"
"""Calls of Qwen2.5-Coder 1.5B for ten agents in Braunschweig, junction by junction."""

# A shell that starts pytest in the background has it ignore Ctrl-C, and every command that a test starts would too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure; what must be quick says so in its own test.
hypothesis.settings.register_profile("house", deadline=None, max_examples=50)
# By hand, where a reader was changed: pytest --hypothesis-profile=thorough
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("house")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Before -m is looked at: `-m "not slow"` leaves out the long ones too.
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    # What is imported and collected by now stays: no search for garbage looks at it again.
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _made_once() -> Iterator[None]:
    # Imported here and below: the process that only hands out tests needs none of it.
    from tests import kept

    with pytest.MonkeyPatch.context() as patch:
        kept.keep(patch)
        yield


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(_FROM_OUTSIDE):
            monkeypatch.delenv(name)
    # Where a proxy is set, the servers of these tests are still on this machine.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(autouse=True)
def _tasks_are_done_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from leed_agentic.experiments import backends
    from tests import inline

    if request.node.get_closest_marker("processes") is None:
        monkeypatch.setitem(backends.backends._items, "processes", inline.here)


@pytest.fixture(autouse=True)
def _pictures_are_blank(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import blank

    if not any(map(request.node.get_closest_marker, ("pictures", "long"))):
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", blank.savefig)


@pytest.fixture
def few_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers that learn nothing drive three episodes, not twenty: each is measured, which loads SUMO's net anew."""
    from leed_agentic.experiments import experiment, run

    for module in (run, experiment):
        monkeypatch.setattr(module, "REFERENCE_EPISODES", 3)


class Ran(NamedTuple):
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def leed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ran]:
    """Run the command in an empty folder."""
    from leed_agentic.cli import main as command

    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["leed", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            command.main()
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return Ran(int(stop.value.code or 0), written.out, written.err)

    return run


SHORT = ("--agents", "2", "--episodes", "6", "--steps", "40")


def made(folder: Path, *words: object) -> Path:
    """What the command leaves in `folder`; for fixtures that live longer than a test."""
    from leed_agentic.cli import main as command

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["leed", *map(str, words), "--out", str(folder)])
        with pytest.raises(SystemExit) as stop, contextlib.redirect_stdout(io.StringIO()):
            command.main()
    assert not stop.value.code
    return folder


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("trained") / "run", "train", *SHORT)


@pytest.fixture
def trained(leed, _trained_once, tmp_path) -> Path:
    """A run of two agents, demonstrations by the graph with the stand-in; a copy, so that it may be damaged."""
    return Path(shutil.copytree(_trained_once, tmp_path / "run")).relative_to(tmp_path)


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    from tests.model_server import ModelServer

    with ModelServer() as server:
        yield server


@pytest.fixture(scope="session")
def braunschweig() -> RoadNetwork:
    """A small real network that comes with the SUMO wheel: 153 edges, 78 junctions."""
    import sumo

    from leed_agentic.roads.network import RoadNetwork

    return RoadNetwork(f"{sumo.SUMO_HOME}/tools/game/bs3d/bs.net.xml", name="braunschweig")


@pytest.fixture(scope="session")
def berlin() -> RoadNetwork:
    """A larger one: 696 edges, 363 junctions."""
    import sumo

    from leed_agentic.roads.network import RoadNetwork

    return RoadNetwork(f"{sumo.SUMO_HOME}/tools/game/DRT/osm.net.xml", name="berlin")
