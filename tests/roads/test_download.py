"""Downloads from a server that speaks Overpass's interface, and every way in which it can fail."""

from __future__ import annotations

import json
import socket

import pytest

from leed_agentic.errors import UnavailableError
from leed_agentic.roads import download
from leed_agentic.roads.catalogue import open_map
from leed_agentic.setting_groups import MapSettings
from tests.roads.cities import Overpass, grid_osm, osm


@pytest.fixture
def served(tmp_path, overpass) -> MapSettings:
    return MapSettings(cache=tmp_path / "cache", overpass_url=overpass.url, download_timeout=20)


def _kept(settings: MapSettings) -> list[str]:
    assert settings.cache is not None
    return [file.name for file in settings.cache.rglob("*") if file.is_file()]


@pytest.mark.slow
def test_download_builds_and_keeps_the_map(leed, overpass):
    url = f"map.overpass_url={overpass.url}"
    result = leed("map", "download", "orlando", "-s", url, "--json")
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert facts["map"] == "orlando"
    assert facts["edges"] >= 60
    assert facts["attribution"].startswith("Map data (c) OpenStreetMap")
    assert leed("map", "download", "orlando", "-s", url).code == 0
    assert leed("map", "show", "orlando", "-s", "map.overpass_url=http://127.0.0.1:9/").code == 0
    assert len(overpass.queries) == 1
    assert leed("map", "download", "orlando", "-s", url, "--again").code == 0
    assert len(overpass.queries) == 2


def test_query_asks_for_the_box_on_the_day(served, overpass):
    open_map("orlando", served)
    (query,) = overpass.queries
    assert '[date:"2025-01-01T00:00:00Z"]' in query
    assert 'way["highway"](28.533,-81.388,28.553,-81.368)' in query
    assert "[out:xml]" in query
    assert 'rel(bw.streets)["type"="restriction"]' in query


def test_hong_kong_drives_on_the_left(served, overpass):
    overpass.answer = overpass.sends(grid_osm(corner=(114.170, 22.308)))
    assert open_map("hong_kong", served).lefthand


def test_open_map_downloads_at_first_use_and_says_so(served):
    lines: list[str] = []
    network = open_map("orlando", served, lines.append)
    assert network.name == "orlando"
    assert "Overpass" in lines[0] or "Downloading" in lines[0]
    open_map("orlando", served, lines.append)
    assert len(lines) == 2


FAILURES = {
    "400": (Overpass.sends(b"parse error", 400), "answered 400"),
    "404": (Overpass.sends(b"", 404), "answered 404"),
    "429": (Overpass.sends(b"slow down", 429), "429 (too many requests)"),
    "500": (Overpass.sends(b"", 500), "answered 500"),
    "504": (Overpass.sends(b"", 504), "504 (the server is too busy)"),
    "html": (Overpass.sends(b"<html><body>maintenance</body></html>"), "is a web page"),
    "prose": (Overpass.sends(b"no"), "not XML"),
    "empty": (Overpass.sends(b""), "is empty"),
    "cut short": (Overpass.sends(grid_osm()[:-500]), "truncated"),
    "less than promised": (Overpass.sends(grid_osm()[:-500], promised=len(grid_osm())), "IncompleteRead"),
    "no streets": (Overpass.sends(osm("")), "no drivable road"),
    "bomb": (Overpass.sends(b'<!DOCTYPE osm [<!ENTITY a "b">]><osm>&a;</osm>'), "declares XML entities"),
    "remark": (
        Overpass.sends(grid_osm().replace(b"</osm>", b"<remark>runtime error: Query timed out</remark></osm>")),
        "Query timed out",
    ),
}


@pytest.mark.parametrize(("answer", "words"), FAILURES.values(), ids=FAILURES)
def test_every_failure_is_one_sentence_with_the_fix(leed, overpass, tmp_path, answer, words):
    overpass.answer = answer
    result = leed("map", "download", "orlando", "-s", f"map.overpass_url={overpass.url}")
    assert result.code == 3
    assert words in result.err
    assert overpass.url in result.err
    assert "LEED_MAP__OVERPASS_URL" in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not [f for f in (tmp_path / "cache").rglob("*") if f.is_file()]


def test_no_server(leed):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        result = leed("map", "download", "hong_kong", "-s", f"map.overpass_url={url}")
    assert result.code == 3
    assert "cannot be reached" in result.err


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "overpass",
        "",
        "http://",
        "http://[::1",
        "http://a b/",
        "http://x:99999/",
    ],
)
def test_url_that_is_none(leed, url):
    result = leed("map", "download", "orlando", "-s", f"map.overpass_url={url}")
    assert result.code == 2
    assert "map.overpass_url" in result.err


@pytest.mark.parametrize("behaviour", ["hang", "trickle"])
def test_slow_server_is_given_up(served, overpass, behaviour):
    overpass.answer = getattr(overpass, behaviour)
    impatient = served.model_copy(update={"download_timeout": 0.3})
    with pytest.raises(UnavailableError, match="cannot be reached"):
        open_map("orlando", impatient)
    assert not _kept(served)


def test_endless_answer_is_given_up(served, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 1000)
    with pytest.raises(UnavailableError, match="more than"):
        open_map("orlando", served)
    assert not _kept(served)


@pytest.mark.slow
def test_failed_download_keeps_the_map_there_was(leed, overpass):
    url = f"map.overpass_url={overpass.url}"
    assert leed("map", "download", "orlando", "-s", url).code == 0
    overpass.answer = overpass.sends(b"", 500)
    assert leed("map", "download", "orlando", "-s", url, "--again").code == 3
    assert leed("map", "show", "orlando", "-s", url).code == 0


@pytest.mark.parametrize(("name", "words"), [("grid", "needs no download"), ("orlndo", "did you mean 'orlando'?")])
def test_only_some_maps_are_downloaded(leed, name, words):
    result = leed("map", "download", name)
    assert result.code == 2
    assert words in result.err
