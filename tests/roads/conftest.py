"""A cache of its own for every test, an Overpass server on 127.0.0.1, and the `leed` command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from leed_agentic.cli import main as command
from leed_agentic.settings import MapSettings
from tests.roads.cities import Overpass


@pytest.fixture
def settings(tmp_path: Path) -> MapSettings:
    return MapSettings(cache=tmp_path / "cache", overpass_url="http://127.0.0.1:9/api/interpreter")


@pytest.fixture
def overpass() -> Iterator[Overpass]:
    server = Overpass()
    yield server
    server.close()


@pytest.fixture
def leed(capsys, monkeypatch, tmp_path) -> Callable[..., SimpleNamespace]:
    """Run the command in an empty folder with an empty cache; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEED_MAP__CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["leed", *map(str, words)])
        code = 0
        try:
            command.main()
        except SystemExit as stop:
            code = stop.code or 0
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return SimpleNamespace(code=code, out=written.out, err=written.err)

    return run
