"""A cache of its own for every test, an Overpass server on 127.0.0.1, and the `leed` command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leed_agentic.setting_groups import MapSettings
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
def leed(leed, monkeypatch, tmp_path):
    """The command with an empty cache."""
    monkeypatch.setenv("LEED_MAP__CACHE", str(tmp_path / "cache"))
    return leed
