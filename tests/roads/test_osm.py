"""Bad OpenStreetMap input gets one clear sentence before SUMO sees it, whatever the bytes are."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.roads.osm import check_osm
from tests.roads.cities import grid_osm, osm

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE osm [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><osm version="0.6"><node id="1" lat="1" lon="1"/>&c;</osm>'
)
STEALS = b'<!DOCTYPE osm [<!ENTITY x SYSTEM "file:///etc/passwd">]><osm version="0.6">&x;</osm>'
FOOTPATH = osm(
    '<node id="1" lat="1" lon="1"/><node id="2" lat="1.001" lon="1"/>'
    '<way id="9"><nd ref="1"/><nd ref="2"/><tag k="highway" v="footway"/></way>'
)
NO_NODES = osm('<way id="9"><nd ref="1"/><nd ref="2"/><tag k="highway" v="primary"/></way>')

BAD = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "not XML"),
    "truncated": (grid_osm()[:-200], "truncated"),
    "cut in a tag": (grid_osm()[:900], "truncated"),
    "prose": (b"Roads are nice.", "not XML"),
    "json": (b'{"version": 0.6}', "is JSON, not XML"),
    "binary": (bytes(range(256)), "not XML"),
    "broken": (grid_osm().replace(b"</way>", b"</node>", 1), "broken XML at line"),
    "truncated gzip": (gzip.compress(grid_osm())[:-40], "truncated or damaged gzip"),
    "damaged gzip": (gzip.compress(grid_osm())[:60] + b"\xff" * 60, "gzip"),
    "empty gzip": (gzip.compress(b""), "is empty"),
    "entity bomb": (BOMB, "declares XML entities"),
    "external entity": (STEALS, "declares XML entities"),
    "html": (b"<html><body>503</body></html>", "a web page, not OpenStreetMap data; it says: 503"),
    "osm change": (b"<osmChange><create/></osmChange>", "its root is <osmChange>"),
    "no road": (osm('<node id="1" lat="1" lon="1"/>'), "no drivable road"),
    "foot path only": (FOOTPATH, "no drivable road"),
    "no nodes": (NO_NODES, "no nodes"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_bad_file_is_refused_through_the_command(leed, tmp_path, content, words):
    file = tmp_path / "city.osm"
    file.write_bytes(content)
    result = leed("map", "build", "--osm-file", file, "--name", "city")
    assert result.code == 2
    assert words in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not list((tmp_path / "cache").rglob("*.net.xml"))


def test_missing_file_is_refused(leed):
    result = leed("map", "build", "--osm-file", "nowhere.osm", "--name", "city")
    assert result.code == 2
    assert "no OpenStreetMap file" in result.err


@pytest.mark.parametrize("content", [grid_osm(), gzip.compress(grid_osm()), grid_osm().decode().encode("utf-8-sig")])
def test_whole_file_passes_whatever_its_packing(tmp_path, content):
    file = tmp_path / "city.xml"
    file.write_bytes(content)
    check_osm(file)


@given(st.binary(max_size=200) | st.integers(0, len(grid_osm()) - 8).map(lambda n: grid_osm()[:n]))
def test_any_bytes_get_a_sentence(tmp_path_factory, content):
    file: Path = tmp_path_factory.getbasetemp() / "any.osm"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        check_osm(file)


@given(st.integers(0, len(grid_osm()) - 1), st.integers(0, 255))
def test_a_changed_byte_passes_or_gets_a_sentence(tmp_path_factory, place, value):
    file: Path = tmp_path_factory.getbasetemp() / "changed.osm"
    content = bytearray(grid_osm())
    content[place] = value
    file.write_bytes(content)
    try:
        check_osm(file)
    except UsageError as error:
        assert str(file) in str(error)  # noqa: PT017 - either outcome is right
