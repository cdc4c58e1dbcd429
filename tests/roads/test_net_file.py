"""Networks of others: what cannot be driven is refused by name, and nothing in them reaches another file."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.roads.network import RoadNetwork


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> str:
    """A network of 3 x 3 crossings, as text."""
    file = tmp_path_factory.mktemp("grid") / "grid.net.xml"
    generate_network(file, ["--grid", "--grid.number=3"], "Somebody & others")
    return file.read_text(encoding="utf-8")


def altered(text: str, key: str, value: str) -> str:
    """The network with one attribute of the lane of edge A0A1 changed."""
    return re.sub(rf'(<lane id="A0A1_0".*?\b{key}=")[^"]*', rf"\g<1>{value}", text, count=1)


UNUSABLE = [
    ("length", "nan"),
    ("length", "-5"),
    ("length", "0"),
    ("length", "inf"),
    ("length", "1e300"),
    ("length", "ten"),
    ("length", "1_0"),
    ("speed", "0"),
    ("speed", "-1"),
    ("speed", "NaN"),
    ("speed", "1e-320"),
    ("shape", ""),
    ("shape", "1,2"),
    ("shape", "1,2 nan,3"),
    ("shape", "1 2"),
]


@pytest.mark.parametrize(("key", "value"), UNUSABLE)
def test_unusable_edge_is_named_with_its_value(leed, tmp_path, grid, key, value):
    (tmp_path / "bad.net.xml").write_text(altered(grid, key, value), encoding="utf-8")
    result = leed("map", "show", "bad.net.xml")
    assert result.code == 2
    assert "'A0A1'" in result.err
    assert f"{key}={value!r}" in result.err
    assert len(result.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('<edge id="A0A1"', '<edge id="A0 A1"', "'A0 A1', which is not one word"),
        ('<edge id="A0A1"', '<edge id=""', "which is not one word"),
        ('<edge id="A0A1"', '<edge id="A1A0"', "two edges 'A1A0'"),
        ('from="A0" to="A1"', 'from="A0"', "to='', which is not one word"),
        ('from="A0" to="A1"', 'from="A0" to="Z9"', "a junction 'Z9' that it lacks"),
        ('projParameter="!"', 'projParameter="+proj=nowhere"', "projection '+proj=nowhere'"),
        ('projParameter="!"', 'projParameter="+proj=utm +zone=33 +nadgrids=/etc/passwd"', "names another file"),
        ('projParameter="!"', 'projParameter="UTM"', "projection 'UTM'"),
        ('netOffset="0.00,0.00"', 'netOffset="nan,0"', "netOffset"),
        ('x="0.00"', 'x="inf"', "x='inf'"),
        ('fromLane="0"', 'fromLane="7"', "names a lane there is not"),
        ("<net ", "<city ", "root is <city>"),
        ("<location", '<include href="secret.xml"/><location', "includes another file ('secret.xml')"),
        ("<net ", '<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/passwd">]><net ', "document type or entities"),
        ('encoding="UTF-8"', 'encoding="IBM037"', "IBM037"),
        ('encoding="UTF-8"', 'encoding="UTF-7"', "UTF-7"),
        ("</net>", "", "truncated"),
    ],
)
def test_unusable_network_is_refused(tmp_path, grid, old, new, words):
    changed = grid.replace(old, new, 1)
    if old == "<net ":
        changed = changed.replace("</net>", f"</{new[1:].split()[0]}>") if new == "<city " else changed
    assert changed != grid
    for name, content in (("a.net.xml", changed.encode()), ("b.net.xml.gz", gzip.compress(changed.encode()))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError) as refusal:
            RoadNetwork(tmp_path / name)
        assert words in str(refusal.value)


def test_include_is_found_in_any_encoding(tmp_path, grid):
    """SUMO would read the other file and say what stands in it."""
    text = grid.replace("<location", '<include href="/etc/passwd"/><location', 1)
    for encoding in ("utf-8-sig", "utf-16", "iso-8859-1"):
        name = encoding.removesuffix("-sig")
        (tmp_path / "x.net.xml").write_bytes(text.replace("UTF-8", name, 1).encode(encoding))
        with pytest.raises(UsageError, match="includes another file"):
            RoadNetwork(tmp_path / "x.net.xml")


def test_packing_is_told_by_the_first_bytes(tmp_path, grid):
    (tmp_path / "packed.net.xml").write_bytes(gzip.compress(grid.encode()))
    (tmp_path / "plain.net.xml.gz").write_text(grid, encoding="utf-8")
    for name in ("packed.net.xml", "plain.net.xml.gz"):
        network = RoadNetwork(tmp_path / name)
        assert len(network.edges) == 24
        assert network.attribution == "Somebody & others"


def test_damaged_packing_is_refused(tmp_path, grid):
    (tmp_path / "x.net.xml.gz").write_bytes(gzip.compress(grid.encode())[:-30])
    with pytest.raises(UsageError, match="damaged gzip"):
        RoadNetwork(tmp_path / "x.net.xml.gz")


def test_one_endless_attribute_is_refused_early(tmp_path):
    text = '<net version="1.20" note="' + "x" * 8_000_000 + '"/>'
    (tmp_path / "x.net.xml.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(UsageError, match="longer than"):
        RoadNetwork(tmp_path / "x.net.xml.gz")


@pytest.mark.parametrize("folder", ["a, b", "${HOME}", 'it\'s 100% "x"', "街 #1;&<"])
def test_sumo_drives_in_folders_of_any_name(leed, tmp_path, grid, folder):
    place = tmp_path / folder
    place.mkdir()
    (place / "x.net.xml").write_text(grid, encoding="utf-8")
    words = ("--map", place / "x.net.xml", "--agents", "1", "--model", "stand-in", "-s", "scenario.min_trip_share=0.1")
    assert leed("demo", "generate", *words, "--out", place / "run").code == 0


def test_permissions_are_those_of_lanes_and_connections(tmp_path, grid):
    text = re.sub(r'<lane id="A0A1_0"', '<lane id="A0A1_0" allow="bus"', grid, count=1)
    (tmp_path / "x.net.xml").write_text(text, encoding="utf-8")
    network = RoadNetwork(tmp_path / "x.net.xml")
    assert network.allows("A0A1", "bus")
    assert network.allows("A0A1") is False
    assert network.allows("nowhere") is None
    assert "A0A1" not in network.next_edges("B0A0")
    assert "A0A1" in network.next_edges("B0A0", "bus")
    assert not network.has_edge("A0A1")
    assert network.unconnected == network.left_out


@settings(max_examples=60)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_gives_a_network_or_a_sentence(tmp_path_factory, grid, place, value):
    file: Path = tmp_path_factory.getbasetemp() / "changed.net.xml"
    content = bytearray(grid.encode())
    content[place % len(content)] = value
    file.write_bytes(content)
    try:
        network = RoadNetwork(file)
    except UsageError as error:
        assert str(file) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert 0 < network.diameter < 1e9


def test_a_street_has_the_name_that_netconvert_kept_as_a_parameter(tmp_path, grid):
    text = grid
    first, other = list(re.finditer(r'<edge id="([^:"]+)" from=[^>]*>', text))[:2]
    named = first[0].replace(">", ' name="High Street">')
    text = text.replace(first[0], named).replace(other[0], f'{other[0]}<param key="name" value="Elm Street"/>')
    text = text.replace(named, f'{named}<param key="name" value="ignored"/>')
    file = tmp_path / "named.net.xml"
    file.write_text(text)
    streets = {edge.id: edge.street for edge in RoadNetwork(file).edges}
    assert (streets[first[1]], streets[other[1]]) == ("High Street", "Elm Street")
    assert set(streets.values()) == {"High Street", "Elm Street", ""}
