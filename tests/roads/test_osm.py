"""Bad OpenStreetMap input gets one clear sentence before SUMO sees it, whatever the bytes are."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import build_network
from leed_agentic.roads.network import RoadNetwork
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

PARTIAL = "partial download; the server's remark: runtime error: Query timed out; download"
BUSY = (
    b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x"><html><head><title>T</title>'
    b"<style>p {}</style></head><body><p><strong>Error</strong>: rate_limited. Please check /api/status.</p>"
    b"</body></html>"
)

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
    "includes": (grid_osm().replace(b"</osm>", b'<include href="/etc/passwd"/></osm>'), "includes another file"),
    "partial": (grid_osm().replace(b"</osm>", b"<remark> runtime error: Query timed\nout </remark></osm>"), PARTIAL),
    "busy page": (BUSY, "it says: Error: rate_limited. Please check /api/status; download"),
    "json answer": (b'{"remark": "Query timed out", "elements": []}', "Query timed out"),
    "huge id of a node": (grid_osm().replace(b'"7"', b'"9223372036854775808"'), "osmium renumber"),
    "huge id of a way": (grid_osm().replace(b'way id="102"', b'way id="99999999999999999999"'), "osmium renumber"),
    "id of letters": (grid_osm().replace(b'way id="102"', b'way id="x"'), "osmium renumber"),
    "nowhere": (grid_osm().replace(b'lat="28.536500"', b'lat="nan"'), "lat='nan'"),
    "beyond the pole": (grid_osm().replace(b'lat="28.536500"', b'lat="91"'), "lat='91'"),
    "closed streets": (grid_osm(tags='<tag k="access" v="private"/>'), "its 10 streets are closed to cars"),
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
    assert "Cannot read nowhere.osm" in result.err


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


@pytest.mark.slow
def test_ways_before_nodes_are_built_as_if_sorted(leed, tmp_path):
    """Overpass turbo exports ways first; netconvert reads nodes first, and what comes after it is lost."""
    text = grid_osm().decode()
    nodes = re.findall(r"<node[^>]*/>", text)
    ways = re.findall(r"<way.*?</way>", text)
    mixed = [*ways[:4], *nodes[:9], *ways[4:], *nodes[9:]]
    for name, body in (("sorted", nodes + ways), ("ways_first", ways + nodes), ("mixed", mixed)):
        (tmp_path / f"{name}.osm").write_bytes(osm("".join(body)))
        assert leed("map", "build", "--osm-file", f"{name}.osm", "--name", name).code == 0
    built = [(tmp_path / "cache" / "built" / f"{n}.net.xml").read_bytes() for n in ("sorted", "ways_first", "mixed")]
    assert built[0] == built[1] == built[2]


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": lambda content: _zipped(content)}


def _zipped(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("map.osm", content)
    return target.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("ending", PACKERS)
def test_packed_extracts_are_read(leed, tmp_path, ending):
    packed = PACKERS[ending](grid_osm())
    (tmp_path / f"town.osm.{ending}").write_bytes(packed)
    result = leed("map", "show", f"town.osm.{ending}", "--json")
    assert result.code == 0
    assert json.loads(result.out)["edges"] == 80
    (tmp_path / f"cut.osm.{ending}").write_bytes(packed[:-40])
    assert (
        f"damaged {'gzip' if ending == 'gz' else {'bz2': 'bzip2'}.get(ending, ending)} file"
        in leed("map", "show", f"cut.osm.{ending}").err
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [("city.osm.pbf", b"\x00\x00\x00\x0d\x0a\x09OSMHeader\x18\x7c"), ("city.osm", b"\xff\xe0\x04o5m2")],
)
def test_binary_formats_get_the_command_that_converts_them(leed, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    result = leed("map", "build", "--osm-file", name, "--name", "city")
    assert result.code == 2
    assert f"osmium cat {name} -o city.osm.gz" in result.err


ACCESS = [
    ({"access": "no"}, 0),
    ({"access": "private"}, 0),
    ({"vehicle": "no"}, 0),
    ({"motor_vehicle": "private"}, 0),
    ({"motorcar": "no"}, 0),
    ({"access": "yes", "motor_vehicle": "no"}, 0),
    ({"motor_vehicle": "yes", "motorcar": "no"}, 0),
    ({"motor_vehicle": "agricultural;forestry"}, 0),
    ({"access": "no", "motorcar": "yes"}, 2),
    ({"access": "private", "motor_vehicle": "yes"}, 2),
    ({"vehicle": "no", "motor_vehicle": "destination"}, 2),
    ({"access": "no", "bus": "yes"}, 0),
    ({"access": "destination"}, 2),
    ({"access": "customers"}, 2),
    ({"access": "permissive"}, 2),
    ({"motor_vehicle": "private;destination"}, 2),
    ({"access": "no", "foot": "yes"}, 0),
    ({"bicycle": "no"}, 2),
    ({"motor_vehicle:backward": "no"}, 1),
    ({"vehicle:forward": "no", "oneway": "no"}, 1),
    ({"access:forward": "no", "oneway": "yes"}, 0),
]


@pytest.mark.slow
def test_access_tags_in_their_order_of_precedence(tmp_path):
    """A town where every street from west to east but the outermost has tags of its own."""
    text = grid_osm(len(ACCESS) + 2).decode()
    for way, (tags, _) in enumerate(ACCESS, 101):
        extra = "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
        text = re.sub(rf'<way id="{way}".*?(?=</way>)', lambda found, extra=extra: found.group(0) + extra, text)
    (tmp_path / "t.osm").write_text(text)
    build_network(tmp_path / "t.osm", tmp_path / "t.net.xml")
    # The direction against the way's own has a minus.
    driven = {
        (e.lstrip("-").split("#")[0], e.startswith("-"))
        for e in (x.id for x in RoadNetwork(tmp_path / "t.net.xml").edges)
    }
    for way, (tags, directions) in enumerate(ACCESS, 101):
        found = [backwards for backwards in (False, True) if (str(way), backwards) in driven]
        assert len(found) == directions, tags
        if "motor_vehicle:backward" in tags:
            assert found == [False]


@pytest.mark.slow
def test_an_island_is_left_out_and_counted(leed, tmp_path):
    """Two towns with a bridge driven one way between them, and a third across the water."""
    text = _towns(bridge='<tag k="highway" v="primary"/><tag k="oneway" v="yes"/>')
    (tmp_path / "towns.osm").write_text(text, encoding="utf-8")
    shown = leed("map", "build", "--osm-file", "towns.osm", "--name", "towns")
    assert shown.code == 0
    assert "are left out" in shown.out
    facts = json.loads(leed("map", "show", "towns", "--json").out)
    assert facts["edges"] == 80
    assert facts["left_out_edges"] == 2 * 48 + 1
    assert facts["left_out_km"] == pytest.approx(2 * 48 * 0.155 + 1.1, rel=0.2)


def _towns(bridge: str) -> str:
    body, first = [], 0
    for town, size in enumerate((5, 4, 4)):
        part = grid_osm(size, (-81.40 + 0.02 * town, 28.5)).decode()
        part = re.sub(r'(id|ref)="(\d+)"', lambda m, base=first: f'{m[1]}="{int(m[2]) + base}"', part)
        body += re.findall(r"<node[^>]*/>|<way.*?</way>", part)
        first += 1000
    way = f'<way id="9000"><nd ref="5"/><nd ref="1001"/>{bridge}</way>'
    nodes = [element for element in body if element.startswith("<node")]
    return osm("".join([*nodes, *(e for e in body if e.startswith("<way")), way])).decode()


@pytest.mark.slow
def test_repeated_ways(tmp_path):
    """Joined extracts hold a way twice: once is enough, the newer counts, two different ones are nobody's to choose."""
    text = grid_osm().decode()
    way = re.search(r'<way id="102".*?</way>', text)
    assert way
    newer = way[0].replace('version="1"', 'version="2"').replace("residential", "primary")
    for name, second in (("same", way[0]), ("newer", newer)):
        (tmp_path / f"{name}.osm").write_text(text.replace(way[0], way[0] + second), encoding="utf-8")
        build_network(tmp_path / f"{name}.osm", tmp_path / f"{name}.net.xml")
        speed = RoadNetwork(tmp_path / f"{name}.net.xml").edge("102#1").speed
        assert speed == pytest.approx(13.89, abs=0.01), name
    different = way[0].replace("residential", "primary")
    (tmp_path / "two.osm").write_text(text.replace(way[0], way[0] + different), encoding="utf-8")
    with pytest.raises(UsageError, match="two different ways of the id 102"):
        build_network(tmp_path / "two.osm", tmp_path / "two.net.xml")


@pytest.mark.slow
def test_a_ring_gets_a_sentence(leed, tmp_path):
    corners = "".join(
        f'<node id="{n}" lat="{28.5 + y}" lon="{-81.4 + x}"/>'
        for n, (x, y) in enumerate(((0, 0), (0.002, 0), (0.002, 0.002), (0, 0.002)), start=1)
    )
    way = "".join(f'<nd ref="{n}"/>' for n in (1, 2, 3, 4, 1)) + '<tag k="highway" v="residential"/>'
    (tmp_path / "ring.osm").write_bytes(osm(f'{corners}<way id="9">{way}<tag k="oneway" v="yes"/></way>'))
    result = leed("map", "build", "--osm-file", "ring.osm", "--name", "ring")
    assert result.code == 2
    assert "lead to one another" in result.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"motor_vehicle:conditional": "no @ (Mo-Fr 07:00-09:00; Sa 10:00-12:00)"}, True),
        ({"access:forward:conditional": "delivery @ (11:00-23:00)"}, True),
        ({"access:conditional": "yes @ (11:00-23:00)"}, False),
        ({"motor_vehicle": "no", "motor_vehicle:conditional": "yes @ (19:00-06:00)"}, False),
    ],
    ids=str,
)
def test_streets_closed_at_times_are_told_and_closed_ones_stay_closed(tmp_path, caplog, tags, told):
    extra = "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
    text = grid_osm().decode()
    middle = re.search(r'<way id="102".*?</way>', text)
    assert middle
    (tmp_path / "t.osm").write_text(text.replace(middle.group(0), middle.group(0).replace("</way>", extra + "</way>")))
    build_network(tmp_path / "t.osm", tmp_path / "t.net.xml")
    edges = [e.id for e in RoadNetwork(tmp_path / "t.net.xml").edges if e.id.removeprefix("-").startswith("102#")]
    assert bool(edges) is ("motor_vehicle" not in tags)
    assert ("1 streets of" in caplog.text) is told
