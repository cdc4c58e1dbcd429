"""Any map by its name or its file; built once, kept with its credit, and a clear word for an unknown one."""

from __future__ import annotations

import gzip
import shutil

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import RECIPE
from leed_agentic.roads.catalogue import map_entries, open_map
from leed_agentic.roads.definition import OSM_ATTRIBUTION, named_maps, read_definition
from tests.roads.cities import grid_osm


@pytest.mark.parametrize("name", sorted(named_maps()))
def test_definitions_are_valid_and_credit_their_source(name):
    definition = read_definition(named_maps()[name])
    assert definition.attribution
    assert definition.lefthand == (name == "hong_kong")
    if definition.kind != "generated":
        assert definition.attribution == OSM_ATTRIBUTION


@pytest.mark.slow
@pytest.mark.parametrize("name", ["braunschweig", "berlin", "grid"])
def test_offline_maps_open_and_are_kept(settings, name):
    lines: list[str] = []
    first = open_map(name, settings, lines.append)
    assert len(lines) == 1
    second = open_map(name, settings, lines.append)
    assert len(lines) == 1
    assert first.name == second.name == name
    assert first.attribution == second.attribution
    assert first.title != name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["braunschweig", "berlin", "grid"])
def test_lights_of_offline_maps_keep_an_ordinary_fixed_time(settings, name):
    import sumolib

    net = sumolib.net.readNet(str(open_map(name, settings).net_file), withPrograms=True, lxml=False)
    programs = [p for light in net.getTrafficLights() for p in light.getPrograms().values()]
    assert programs
    assert {p.getType() for p in programs} == {"static"}
    assert max(sum(phase.duration for phase in p.getPhases()) for p in programs) <= 120


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".osm", ".osm.xml", ".osm.gz", ".osm.xml.gz"])
def test_osm_file_is_a_map_and_is_built_once(settings, tmp_path, ending):
    file = tmp_path / f"town{ending}"
    file.write_bytes(gzip.compress(grid_osm()) if ending.endswith("gz") else grid_osm())
    lines: list[str] = []
    network = open_map(str(file), settings, lines.append)
    again = open_map(str(file), settings, lines.append)
    assert len(lines) == 1
    assert (network.name, network.attribution) == ("town", OSM_ATTRIBUTION)
    assert again.net_file == network.net_file
    left = open_map(str(file), settings.model_copy(update={"lefthand": True}), lines.append)
    assert len(lines) == 2
    assert left.lefthand
    file.write_bytes(gzip.compress(grid_osm(4)) if ending.endswith("gz") else grid_osm(4))
    assert len(open_map(str(file), settings).edges) < len(network.edges)


@pytest.mark.slow
def test_network_file_is_a_map_plain_or_packed(settings, tmp_path):
    kept = open_map("braunschweig", settings).net_file
    plain = tmp_path / "city.net.xml"
    shutil.copyfile(kept, plain)
    packed = tmp_path / "city.net.xml.gz"
    packed.write_bytes(gzip.compress(kept.read_bytes()))
    for file in (plain, packed):
        network = open_map(str(file), settings)
        assert len(network.edges) == 153
        assert (network.name, network.attribution) == ("city", OSM_ATTRIBUTION)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("berln", "did you mean 'berlin'?"),
        ("", "choose one of"),
        ("../../etc/passwd", "Unknown map"),
        ("nowhere.net.xml", "no network file"),
        ("nowhere.osm", "no OpenStreetMap file"),
        ("x" * 5000, "Unknown map"),
        ("x" * 5000 + ".osm", "no OpenStreetMap file"),
        ("x" * 5000 + ".net.xml", "no network file"),
    ],
)
def test_unknown_map_is_named_with_the_nearest(leed, name, words):
    result = leed("map", "show", name)
    assert result.code == 2
    assert words in result.err


def test_file_of_another_kind_is_refused(leed, tmp_path):
    (tmp_path / "city.pbf").write_bytes(b"x")
    result = leed("map", "show", "city.pbf")
    assert result.code == 2
    assert ".osm.xml.gz" in result.err


@pytest.mark.parametrize("bad", ["", "kind: bundled", "kind: x", "- a", "kind: [", "kind: generated\nwrong: 1"])
def test_bad_definition_gets_a_sentence(tmp_path, bad):
    (tmp_path / "bad.yaml").write_text(bad, encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.yaml"):
        read_definition(tmp_path / "bad.yaml")


def test_entries_name_every_map(settings):
    assert {e.name for e in map_entries(settings)} == {"berlin", "braunschweig", "grid", "hong_kong", "orlando"}


def test_recipe_keeps_lights_static():
    assert "--tls.default-type=static" in RECIPE
