"""`leed demo check`: every element judged or named, in agreement with SUMO's own verdict on the same file."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leed_agentic.demonstrations.route_check import Verdict, check_demands
from leed_agentic.demonstrations.route_file import read_route_file
from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.roads.network import RoadNetwork

CLASSES = ("passenger", "bus", "tram", "bicycle", "truck", "pedestrian", "rail_urban", "delivery")


def xml(body: str) -> str:
    return f"<routes>{body}</routes>"


def vehicle(edges: object, name: str = "v", more: str = "", inner: str = "", depart: object = 0) -> str:
    route = edges if isinstance(edges, str) else " ".join(edges)  # type: ignore[call-overload]
    return f'<vehicle id="{name}" depart="{depart}" {more}><route edges="{route}"/>{inner}</vehicle>'


@pytest.fixture(scope="session")
def way(braunschweig: RoadNetwork) -> list[str]:
    """A long legal route."""
    start = braunschweig.edges[0]
    return braunschweig.shortest_path(start.id, braunschweig.junctions[40].id)


def judge(network: RoadNetwork, content: str | bytes, folder: Path, name: str = "x.rou.xml") -> Verdict:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return check_demands(network, read_route_file(file))


def kinds(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(f.element, f.id, f.kind) for f in verdict.faults]


def test_vehicles_are_told_apart_by_their_ids(braunschweig, way, tmp_path):
    """Numbers in ids once made two vehicles one."""
    body = vehicle([way[0], way[2]], "north_1") + vehicle(way, "south_1") + vehicle(way, "1")
    verdict = judge(braunschweig, xml(body), tmp_path)
    assert (verdict.judged, verdict.invalid) == (3, 1)
    assert kinds(verdict) == [("vehicle", "north_1", "not_a_successor")]


def test_every_element_is_judged_or_named(braunschweig, way, tmp_path):
    route = " ".join(way)
    body = (
        f'<vType id="car"/><route id="r" edges="{route}"/>'
        f'<trip id="t" depart="0" from="{way[0]}" to="{way[-1]}" via="{way[1]}"/>'
        '<flow id="f" begin="0" end="9" number="2" route="r"/>'
        f'<interval begin="0" end="9"><flow id="g" number="2" from="{way[0]}" to="{way[-1]}"/></interval>'
        '<routeDistribution id="d"><route refId="r" probability="1"/>'
        f'<route edges="{way[0]} {way[1]}" probability="1"/></routeDistribution>'
        '<vehicle id="v" depart="1" route="d" type="car"/>'
        f'<person id="p" depart="2"><walk edges="{way[0]}"/></person>'
        '<trip id="z" depart="3" fromTaz="a" toTaz="b"/>'
        '<vehicle id="far" depart="4" route="elsewhere"/>'
        + vehicle(way, "typed", 'type="bus"', depart=5)
        + vehicle(way, "waits", inner='<stop busStop="b" duration="1"/>', depart=6)
        + '<busStop id="b" lane="x_0"/>'
    )
    verdict = judge(braunschweig, xml(body), tmp_path)
    assert kinds(verdict) == []
    assert verdict.judged == 4
    assert {(d.kind, d.id) for d in verdict.unjudged} == {
        ("person", "p"),
        ("trip", "z"),
        ("vehicle", "far"),
        ("vehicle", "typed"),
        ("vehicle", "waits"),
        ("busStop", "b"),
    }
    assert all(d.unjudged for d in verdict.unjudged)


def test_routes_that_nobody_drives_are_judged_as_a_cars(braunschweig, way, tmp_path):
    verdict = judge(braunschweig, xml(f'<route id="a" edges="{way[0]} {way[2]}"/>'), tmp_path)
    assert kinds(verdict) == [("route", "a", "not_a_successor")]


@pytest.mark.slow
def test_other_classes_are_judged_by_their_own_lanes(berlin, tmp_path):
    bus = next(e for e in berlin.file_edges if berlin.allows(e, "bus") and not berlin.allows(e))
    for kind, found in (("bus", []), ("passenger", [("vehicle", "v", "closed_edge")])):
        body = f'<vType id="t" vClass="{kind}"/>' + vehicle([bus], more='type="t"')
        assert kinds(judge(berlin, xml(body), tmp_path)) == found


BROKEN = {
    "vehicle of a flow": (
        lambda r: f'<flow id="f" begin="0" number="2" end="9" from="{r[0]}"/>' + vehicle(r, "f.1"),
        "duplicate",
    ),
    "second vehicle": (lambda r: vehicle(r) + vehicle(r), "duplicate"),
    "second route": (lambda r: 2 * f'<route id="r" edges="{" ".join(r)}"/>' + vehicle(r), "duplicate"),
    "route after it": (
        lambda r: f'<vehicle id="v" depart="0" route="r"/><route id="r" edges="{" ".join(r)}"/>',
        "unknown_reference",
    ),
    "type after it": (lambda r: vehicle(r, more='type="t"') + '<vType id="t"/>', "unknown_reference"),
    "no departure": (lambda r: vehicle(r, depart=""), "bad_departure"),
    "negative departure": (lambda r: vehicle(r, depart="-1"), "bad_departure"),
    "not a time": (lambda r: vehicle(r, depart="nan"), "bad_departure"),
    "out of order": (lambda r: vehicle(r, "a", depart=9) + vehicle(r, "b", depart=1), "unsorted"),
    "no route": (lambda r: '<vehicle id="v" depart="0"/>', "no_route"),
    "empty route": (lambda r: vehicle(""), "no_route"),
    "two routes": (lambda r: vehicle(r, inner=f'<route edges="{r[0]}"/>'), "duplicate"),
    "trip with a route": (lambda r: f'<route id="r" edges="{r[0]}"/><trip id="t" depart="0" route="r"/>', "no_route"),
    "unknown goal": (lambda r: f'<trip id="t" depart="0" from="{r[0]}" to="nowhere"/>', "unknown_edge"),
    "unknown class": (lambda r: '<vType id="t" vClass="ufo"/>' + vehicle(r, more='type="t"'), "unknown_class"),
    "bad flow": (lambda r: f'<flow id="f" begin="9" end="1" number="1" from="{r[0]}"/>', "bad_departure"),
    "flow of nobody": (lambda r: f'<flow id="f" begin="0" from="{r[0]}" to="{r[1]}"/>', "bad_departure"),
    "stop elsewhere": (lambda r: vehicle(r[1:], inner=f'<stop edge="{r[0]}" duration="1"/>'), "stop_off_route"),
    "id of two words": (lambda r: vehicle(r, "a b"), "bad_id"),
    "commas": (lambda r: vehicle(",".join(r)), "unknown_edge"),
    "departs beyond": (lambda r: vehicle(r, more='departEdge="99"'), "bad_departure"),
    "one bad alternative": (
        lambda r: (
            f'<routeDistribution id="d"><route edges="{r[0]}" probability="1"/><route edges="no" probability="1"/>'
            '</routeDistribution><vehicle id="v" depart="0" route="d"/>'
        ),
        "unknown_edge",
    ),
}


@pytest.mark.parametrize(("body", "kind"), BROKEN.values(), ids=BROKEN)
def test_what_sumo_refuses_is_found(braunschweig, way, tmp_path, body, kind):
    verdict = judge(braunschweig, xml(body(way)), tmp_path)
    assert kind in {fault.kind for fault in verdict.faults}


@pytest.mark.parametrize(
    ("pack", "name"), [(gzip.compress, "r.xml"), (bz2.compress, "r.gz"), (lambda b: b, "r.rou.xml.gz")]
)
def test_packing_is_told_by_the_first_bytes(braunschweig, way, tmp_path, pack, name):
    verdict = judge(braunschweig, pack(xml(vehicle(way)).encode()), tmp_path, name)
    assert (verdict.judged, verdict.invalid) == (1, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1", "utf-16"])
def test_encodings(braunschweig, way, tmp_path, encoding):
    name = encoding.removesuffix("-sig")
    content = f'<?xml version="1.0" encoding="{name}"?>' + xml(vehicle(way, "südlich"))
    assert judge(braunschweig, content.encode(encoding), tmp_path).judged == 1
    rows = json.dumps({"routes": [{"agent": 1, "edges": way}], "note": "südlich"}, ensure_ascii=False)
    assert judge(braunschweig, rows.encode(encoding), tmp_path).invalid == 0


@pytest.mark.parametrize(
    "shape",
    [
        lambda r: {"1": r},
        lambda r: {"agent_1": r},
        lambda r: {"routes": {"1": r}},
        lambda r: {"routes": [{"agent": 1, "edges": r}]},
        lambda r: [{"id": "agent_1", "route": r}],
    ],
)
def test_shapes_of_json(braunschweig, way, tmp_path, shape):
    verdict = judge(braunschweig, json.dumps(shape(way)), tmp_path, "r.json")
    assert (verdict.judged, verdict.invalid) == (1, 0)
    assert judge(braunschweig, json.dumps(shape(way[::-1])), tmp_path, "r.json").faults[0].agent == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"1": ["a"], "1": ["b"]}', "twice"),
        ('[{"agent": 1, "edges": []}, {"agent": "agent_1", "edges": []}]', "two routes"),
        ('{"one": ["a"]}', "not of the form"),
        ('<routes><include href="other.rou.xml"/></routes>', "includes another file"),
        ('<!DOCTYPE r [<!ENTITY x "y">]><routes>&x;</routes>', "document type"),
        ("<net/>", "root is <net>"),
        ("<routes><vehicle", "truncated"),
    ],
)
def test_files_that_are_none(tmp_path, content, words):
    file = tmp_path / "x"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        read_route_file(file)


@pytest.mark.parametrize("body", ["", '<person id="p" depart="0"/>', '<trip id="t" depart="0" fromTaz="a" toTaz="b"/>'])
def test_nothing_judged_is_exit_2(leed, tmp_path, body):
    (tmp_path / "x.rou.xml").write_text(xml(body), encoding="utf-8")
    result = leed("demo", "check", "x.rou.xml", "--map", "braunschweig")
    assert result.code == 2
    assert "nothing that can be judged" in result.err


def test_the_command_names_what_it_did_not_judge(leed, way, tmp_path):
    (tmp_path / "x.rou.xml").write_text(
        xml(vehicle(way) + '<person id="p" depart="0"/>' + vehicle(way[:1], "late", depart=0)), encoding="utf-8"
    )
    result = leed("demo", "check", "x.rou.xml", "--map", "braunschweig")
    assert result.code == 0
    assert "Not judged: person p" in result.out
    assert "2 of 2 routes valid" in result.out
    found = json.loads(leed("demo", "check", "x.rou.xml", "--map", "braunschweig", "--json").out)
    assert found["not_judged"][0]["id"] == "p"


@pytest.mark.slow
@settings(max_examples=50)
@given(st.text(max_size=300) | st.recursive(st.none() | st.text(max_size=5), lambda s: st.lists(s)).map(json.dumps))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(text, encoding="utf-8", errors="replace")
    try:
        read_route_file(file)
    except UsageError as error:
        assert str(file) in str(error)  # noqa: PT017 - either outcome is right


# -- against SUMO ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def lanes(tmp_path_factory) -> RoadNetwork:
    """A small grid in which every third street is for some classes alone, and a few are for nobody."""
    file = tmp_path_factory.mktemp("lanes") / "lanes.net.xml"
    generate_network(file, ["--grid", "--grid.number=4", "--grid.length=60"])
    numbers = itertools.count()

    def restrict(lane: re.Match[str]) -> str:
        rules = ("", 'allow="bus tram" ', "", 'disallow="passenger truck" ', "", 'allow="bicycle passenger" ', "")
        rule = 'disallow="all" ' if (number := next(numbers)) % 23 == 22 else rules[number % len(rules)]
        return f'<lane id="{lane.group(1)}" {rule}'

    file.write_text(re.sub(r'<lane id="([^:"]+)" ', restrict, file.read_text(encoding="utf-8")), encoding="utf-8")
    return RoadNetwork(file)


@st.composite
def routes(draw: st.DrawFn, network: RoadNetwork) -> list[str]:
    """A walk along legal turns of some class, now and then with an edge changed, gone or twice."""
    kind = draw(st.sampled_from(CLASSES))
    edge = draw(st.sampled_from(network.file_edges))
    walk = [edge]
    for _ in range(draw(st.integers(0, 5))):
        choices = network.next_edges(walk[-1], kind)
        if not choices:
            break
        walk.append(draw(st.sampled_from(choices)))
    match draw(st.integers(0, 20)):
        case 0:
            walk[draw(st.integers(0, len(walk) - 1))] = draw(st.sampled_from([*network.file_edges, "no", ":1_0"]))
        case 1:
            del walk[draw(st.integers(0, len(walk) - 1))]
        case 2:
            walk.append(walk[draw(st.integers(0, len(walk) - 1))])
    return walk


@st.composite
def elements(draw: st.DrawFn, network: RoadNetwork, number: int) -> str:
    name = draw(st.sampled_from([f"v{number}"] * 20 + ["v0", "v0.0", "a;b"]))
    kind = draw(st.sampled_from(CLASSES))
    depart = draw(st.sampled_from([number] * 20 + ["0:0:09", -1, 0, "soon"]))
    route = draw(routes(network))
    head = f'<vType id="t{number}" vClass="{kind}"/>'
    typed = f'type="t{number}"' if draw(st.booleans()) else ""
    match draw(st.integers(0, 4)):
        case 0:
            ends = f'from="{route[0]}" to="{route[-1]}"' if route else 'from="no"'
            return f'{head}<trip id="{name}" depart="{depart}" {ends} {typed}/>'
        case 1:
            ends = f'from="{route[0]}" to="{route[-1]}"' if route else ""
            return f'{head}<flow id="{name}" begin="{depart}" end="90" number="1" {ends} {typed}/>'
        case 2:
            defined = f'<route id="r{number}" edges="{" ".join(route)}"/>'
            user = f'<vehicle id="{name}" depart="{depart}" route="r{number}" {typed}/>'
            return head + draw(st.sampled_from([defined + user, defined + user, user + defined, user]))
        case _:
            stop = draw(st.sampled_from(["", "", *(f'<stop edge="{e}" duration="1"/>' for e in route[:2])]))
            return head + vehicle(route, name, typed, stop, depart)


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_sumo_takes_what_passes(lanes, tmp_path_factory, data):
    """And refuses, or leaves out, what does not."""
    count = data.draw(st.integers(1, 4))
    body = "".join(data.draw(elements(lanes, number)) for number in range(count))
    folder = tmp_path_factory.getbasetemp()
    verdict = judge(lanes, xml(body), folder)
    takes = _sumo_takes(lanes, folder / "x.rou.xml")
    if takes:  # two things of one name are sometimes overlooked by SUMO
        assert {kind for _, _, kind in kinds(verdict)} <= {"duplicate"}, (body, kinds(verdict))
    elif not verdict.unjudged:
        assert verdict.faults, body


def _sumo_takes(network: RoadNetwork, file: Path) -> bool:
    """Whether SUMO loads the file without an error and leaves nothing in it out."""
    import libsumo

    log = file.with_suffix(".log")
    words = ["sumo", "--net-file", str(network.net_file), "--route-files", str(file), "--no-step-log"]
    try:
        libsumo.start([*words, "--error-log", str(log)])
        libsumo.simulationStep(20.0)
        libsumo.close()
    except Exception as error:  # noqa: BLE001 - libsumo's errors share no base class
        assert "TraCI" in type(error).__name__  # noqa: PT017
        return False
    return "ignoring '" not in log.read_text(encoding="utf-8", errors="replace")
