"""`leed map` as a user meets it: list, show, build and find again by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.roads.cities import grid_osm
from tests.roads.conftest import leed as leed  # the fixture, for this folder too

ROOT = Path(__file__).parents[2]


@pytest.fixture
def town(tmp_path) -> Path:
    file = tmp_path / "town.osm"
    file.write_bytes(grid_osm())
    return file


def test_list_names_every_map(leed):
    result = leed("map", "list")
    assert result.code == 0
    for name in ("berlin", "braunschweig", "grid", "hong_kong", "orlando"):
        assert name in result.out


@pytest.mark.slow
def test_show_counts_and_draws(leed, tmp_path):
    result = leed("map", "show", "grid", "--json")
    facts = json.loads(result.out)
    assert (facts["edges"], facts["junctions"], facts["max_successors"]) == (360, 100, 3)
    assert facts["bbox"] is None
    assert (tmp_path / facts["picture"]).read_bytes().startswith(b"\x89PNG")
    result = leed("map", "show", "braunschweig", "--out", "pictures/b.png")
    assert "OpenStreetMap contributors" in result.out
    assert (tmp_path / "pictures" / "b.png").is_file()


@pytest.mark.slow
def test_built_map_is_found_by_its_name(leed, town):
    result = leed("map", "build", "--osm-file", town, "--name", "town", "--lefthand", "--json")
    assert result.code == 0, result.err
    built = json.loads(result.out)
    assert built["lefthand"]
    shown = json.loads(leed("map", "show", "town", "--json").out)
    assert {key: shown[key] for key in built} == built
    assert "town" in [entry["name"] for entry in json.loads(leed("map", "list", "--json").out)["maps"]]


@pytest.mark.parametrize("words", [["--bbox", "-81.39,28.53,-81.382,28.54"], ["--bbox=-81.39,28.53,-81.382,28.54"]])
def test_box_may_begin_with_a_minus(leed, town, words):
    result = leed("map", "build", "--osm-file", town, "--name", "town", *words, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["edges"] < 60


@pytest.mark.parametrize("name", ["", "a/b", "..", "berlin", "x" * 65, "a b", "-x", "ä"])
def test_bad_name_is_refused(leed, town, name):
    result = leed("map", "build", "--osm-file", town, f"--name={name}")
    assert result.code == 2
    assert "name" in result.err


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "3,2,1,4"])
def test_bad_box_is_refused(leed, town, box):
    result = leed("map", "build", "--osm-file", town, "--name", "town", "--bbox", box)
    assert result.code == 2
    assert "bounding box" in result.err


def test_unknown_setting_is_refused(leed):
    result = leed("map", "list", "-s", "map.cach=/tmp")
    assert result.code == 2
    assert "cache" in result.err


def test_cache_that_cannot_be_written_is_refused(leed, tmp_path):
    (tmp_path / "file").write_text("")
    result = leed("map", "show", "grid", "-s", f"map.cache={tmp_path / 'file'}")
    assert result.code == 2
    assert "map.cache" in result.err


@pytest.mark.slow
def test_results_on_stdout_alone_and_without_colour(town, tmp_path):
    """As a script sees it, in a process of its own."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("LEED_")}
    environment = {**outside, "PYTHONPATH": str(ROOT), "LEED_MAP__CACHE": str(tmp_path / "cache"), "NO_COLOR": "1"}
    words = ["map", "build", "--osm-file", str(town), "--name", "town", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "leed_agentic.cli.main", *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=True,
    )
    assert json.loads(done.stdout)["map"] == "town"
    assert "\x1b[3" not in done.stdout + done.stderr
