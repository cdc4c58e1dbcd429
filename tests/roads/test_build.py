"""Built networks are strongly connected, the same every time, and appear whole or not at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.roads import programs
from leed_agentic.roads.build import build_network, generate_network
from leed_agentic.roads.definition import OSM_ATTRIBUTION, parse_box
from leed_agentic.roads.network import RoadNetwork
from tests.roads.cities import ORLANDO_CORNER, STEP, grid_osm, osm

SHARED = Path(__file__).parents[3] / "shared" / "maps"
KOWLOON = (114.1679, 22.3059, 114.1836, 22.3202)


@pytest.fixture
def town(tmp_path) -> Path:
    file = tmp_path / "town.osm"
    file.write_bytes(grid_osm())
    return file


def test_town_keeps_every_street_its_names_and_its_credit(town, tmp_path):
    build_network(town, tmp_path / "town.net.xml")
    network = RoadNetwork(tmp_path / "town.net.xml")
    assert network.left_out == 0
    assert len(network.edges) >= 60  # 80 without the corners' two streets becoming one
    assert {e.street for e in network.edges} >= {"Street 100 äöü 街"}
    assert not network.lefthand
    assert network.attribution == OSM_ATTRIBUTION
    assert {round(e.speed * 3.6) for e in network.edges} <= {30, 50}


@pytest.mark.slow
def test_same_input_same_bytes_and_no_trace_of_this_machine(town, tmp_path):
    packed = tmp_path / "town.osm.gz"
    packed.write_bytes(gzip.compress(grid_osm()))
    for source, name in ((town, "a"), (town, "b"), (packed, "c")):
        build_network(source, tmp_path / f"{name}.net.xml")
    first, second, third = ((tmp_path / f"{name}.net.xml").read_bytes() for name in "abc")
    assert first == second == third
    assert str(tmp_path).encode() not in first
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        "a.net.xml",
        "b.net.xml",
        "c.net.xml",
        "town.osm",
        packed.name,
    ]


@pytest.mark.slow
def test_left_hand_driving_mirrors_the_lanes(town, tmp_path):
    build_network(town, tmp_path / "right.net.xml")
    build_network(town, tmp_path / "left.net.xml", lefthand=True)
    right, left = RoadNetwork(tmp_path / "right.net.xml"), RoadNetwork(tmp_path / "left.net.xml")
    assert left.lefthand
    assert not right.lefthand
    assert {e.id for e in left.edges} == {e.id for e in right.edges}
    sides = [_side(network, "100#1") for network in (right, left)]
    assert sides[0] < 0 < sides[1]  # a lane lies to the right of its street's axis, or to the left


def _side(network: RoadNetwork, edge_id: str) -> float:
    """Positive where the edge lies to the left of the line between its junctions, seen along it."""
    edge = network.edge(edge_id)
    a, b = network.junction(edge.from_junction), network.junction(edge.to_junction)
    (x, y), *_ = edge.shape
    return (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x)


@pytest.mark.slow
def test_box_cuts_the_streets_outside(town, tmp_path):
    west, south = ORLANDO_CORNER
    box = (west - STEP / 2, south - STEP / 2, west + 2.5 * STEP, south + 2.5 * STEP)
    build_network(town, tmp_path / "cut.net.xml", bbox=box)
    build_network(town, tmp_path / "whole.net.xml")
    cut, whole = RoadNetwork(tmp_path / "cut.net.xml"), RoadNetwork(tmp_path / "whole.net.xml")
    assert 10 < len(cut.edges) < len(whole.edges) / 2
    assert max(j.lon or 0 for j in cut.junctions) < west + 3.1 * STEP


@pytest.mark.slow
def test_one_way_trap_is_left_out(tmp_path):
    """A one-way street that leads out of the town and ends cannot be part of any round trip."""
    nodes = '<node id="901" lat="28.5350" lon="-81.3900"/><node id="902" lat="28.5340" lon="-81.3920"/>'
    trap = (
        '<way id="900"><nd ref="1"/><nd ref="901"/><nd ref="902"/>'
        '<tag k="highway" v="residential"/><tag k="oneway" v="yes"/></way>'
    )
    text = grid_osm().decode().replace("</osm>", trap + "</osm>").replace("<way", nodes + "<way", 1)
    (tmp_path / "trap.osm").write_text(text, encoding="utf-8")
    build_network(tmp_path / "trap.osm", tmp_path / "trap.net.xml")
    network = RoadNetwork(tmp_path / "trap.net.xml")
    assert network.unconnected == 0
    assert (network.left_out, round(network.left_out_km, 1)) == (1, 0.6)
    assert not [e.id for e in network.edges if e.id.startswith("900")]


def test_box_elsewhere_is_refused_and_leaves_nothing(leed, town, tmp_path):
    result = leed("map", "build", "--osm-file", town, "--name", "town", "--bbox", "1,2,3,4")
    assert result.code == 2
    assert "inside the box 1.0,2.0,3.0,4.0" in result.err
    assert not [f for f in (tmp_path / "cache").rglob("*") if f.is_file()]


def test_a_single_one_way_street_is_refused(tmp_path):
    street = osm(
        '<node id="1" lat="1" lon="1"/><node id="2" lat="1.001" lon="1"/><way id="9"><nd ref="1"/><nd ref="2"/>'
        '<tag k="highway" v="primary"/><tag k="oneway" v="yes"/></way>'
    )
    (tmp_path / "street.osm").write_bytes(street)
    with pytest.raises(UsageError, match="choose a larger"):
        build_network(tmp_path / "street.osm", tmp_path / "street.net.xml")
    assert not (tmp_path / "street.net.xml").exists()


def test_refused_option_carries_netconverts_own_words(town, tmp_path):
    with pytest.raises(UsageError, match="no-such-option"):
        build_network(town, tmp_path / "x.net.xml", options=["--no-such-option"])


@pytest.mark.slow
def test_a_failed_rebuild_keeps_the_old_map(leed, town):
    assert leed("map", "build", "--osm-file", town, "--name", "town").code == 0
    town.write_bytes(grid_osm()[:-300])
    assert leed("map", "build", "--osm-file", town, "--name", "town").code == 2
    assert leed("map", "show", "town").code == 0


def test_commas_and_spaces_in_names(tmp_path):
    place = tmp_path / "a town, far away"
    place.mkdir()
    (place / "x, y.osm").write_bytes(grid_osm())
    build_network(place / "x, y.osm", place / "x, y.net.xml")
    assert RoadNetwork(place / "x, y.net.xml").left_out == 0


def test_missing_program_is_unavailable(town, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "sumo_home", lambda: tmp_path)
    with pytest.raises(UnavailableError, match="pip install eclipse-sumo"):
        build_network(town, tmp_path / "x.net.xml")


@pytest.mark.slow
def test_generated_grid_is_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        generate_network(tmp_path / f"{name}.net.xml", ["--grid", "--grid.number=3"])
    assert (tmp_path / "a.net.xml").read_bytes() == (tmp_path / "b.net.xml").read_bytes()


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,x", "3,2,1,4", "1,4,3,2", "1,2,3,nan", "-181,0,0,1", "0,0,1,91"])
def test_bad_box_is_refused(text):
    with pytest.raises(UsageError, match="bounding box"):
        parse_box(text)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the extracts of Portland and Hong Kong are not on this machine")
@pytest.mark.parametrize(
    ("file", "options", "junctions", "edges"),
    [
        ("portland_downtown.osm.xml.gz", {}, 250, 504),
        ("hk_kowloon.osm.xml.gz", {"bbox": KOWLOON, "lefthand": True}, 247, 450),
    ],
)
def test_real_cities_have_the_size_known(tmp_path, file, options, junctions, edges):
    build_network(SHARED / file, tmp_path / "city.net.xml", **options)
    network = RoadNetwork(tmp_path / "city.net.xml")
    assert network.unconnected == 0
    assert len(network.junctions) == pytest.approx(junctions, rel=0.1)
    assert len(network.edges) == pytest.approx(edges, rel=0.1)
    assert network.lefthand == options.get("lefthand", False)
