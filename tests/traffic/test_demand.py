"""Trips of the user's own become a scenario: every kind of file, who the agents are, and what is refused."""

from __future__ import annotations

import gzip
import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sumolib
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.programs import run_program
from leed_agentic.setting_groups import MapSettings
from leed_agentic.settings import load_settings
from leed_agentic.traffic.closures import Closure, read_closures
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.scenario import Scenario

NETWORK = open_map("braunschweig", MapSettings())
FAR = NETWORK.shortest_path(NETWORK.edges[0].id, NETWORK.edges[90].to_junction)
START, END = FAR[0], FAR[-1]
LONG = [edge for edge in NETWORK.edges if edge.length > 60]


@pytest.fixture(scope="module")
def island(tmp_path_factory):
    """A square that one can drive round, a street away from it and one to it, and a short cut that bars lorries."""
    folder = tmp_path_factory.mktemp("island")
    nodes = {"a": (0, 0), "b": (200, 0), "c": (200, 200), "d": (0, 200), "x": (400, 0), "y": (600, 0)}
    ways = ["ab", "ba", "bc", "cb", "cd", "dc", "da", "ad", "bx", "yx"]
    rows = [f'<edge id="{way}" from="{way[0]}" to="{way[1]}"/>' for way in ways]
    rows.append('<edge id="short" from="d" to="b" disallow="truck"/>')
    points = "".join(f'<node id="{name}" x="{x}" y="{y}"/>' for name, (x, y) in nodes.items())
    (folder / "n.nod.xml").write_text(f"<nodes>{points}</nodes>")
    (folder / "n.edg.xml").write_text(f"<edges>{''.join(rows)}</edges>")
    files = ("-n", "n.nod.xml", "-e", "n.edg.xml", "-o", "island.net.xml")
    run_program("netconvert", files, folder, "The net cannot be built")
    return open_map(str(folder / "island.net.xml"), MapSettings())


def scenario(*files: Path, network: RoadNetwork = NETWORK, seed: int = 0, **settings: object) -> Scenario:
    tree = {f"scenario.{name}": value for name, value in settings.items()}
    wanted = load_settings(overrides={"scenario.demand": [str(f) for f in files], **tree}, environment={})
    return scenario_for(network, wanted, seed)


def written(folder: Path, text: str, name: str = "demand.rou.xml") -> Path:
    file = folder / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


def trips(folder: Path, count: int, name: str = "demand.trips.xml", prefix: str = "car") -> Path:
    rows = [f'<trip id="{prefix}{k}" depart="{3 * k}" from="{START}" to="{END}"/>' for k in range(count)]
    return written(folder, f"<routes>{''.join(rows)}</routes>", name)


EVERYTHING = f"""<routes>
<vType id="slow" maxSpeed="8" sigma="0.3"><param key="mine" value="1"/></vType>
<vType id="bus" vClass="bus"/>
<route id="known" edges="{" ".join(FAR)}"/>
<trip id="late" depart="0:01:00" from="{START}" to="{END}" departLane="best" departSpeed="max" arrivalPos="5"/>
<trip id="junction" type="slow" depart="2" from="{START}" toJunction="{NETWORK.edge(END).to_junction}"/>
<vehicle id="routed" depart="5" route="known"/>
<vehicle id="bus" type="bus" depart="6"><route edges="{" ".join(FAR)}"/></vehicle>
<flow id="flow" begin="0" end="30" number="3" from="{START}" to="{END}"/>
</routes>"""


@pytest.mark.parametrize("name", ["a.rou.xml", "with, comma.rou.xml.gz"])
def test_sumo_files_keep_ids_types_attributes_and_goals(tmp_path, name):
    found = scenario(written(tmp_path, EVERYTHING, name), fleet="6")
    everybody = {trip.id: trip for trip in found.vehicles}
    assert set(everybody) == {"late", "junction", "routed", "bus", "flow.0", "flow.1", "flow.2"}
    assert [trip.departure for trip in found.agents] == sorted(trip.departure for trip in found.agents)
    late, to_junction = everybody["late"], everybody["junction"]
    assert late.departure == 60
    assert late.destination_edge == END
    assert late.attributes == {"departLane": "best", "departSpeed": "max", "arrivalPos": "5.00"}
    assert to_junction.destination_edge is None
    assert to_junction.destination == NETWORK.edge(END).to_junction
    kinds = {kind.id: kind for kind in found.types}
    assert float(kinds["slow"].attributes["maxSpeed"]) == 8
    assert kinds["slow"].parameters == {"mine": "1"}
    assert Scenario.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_bus_drives_in_the_background(tmp_path):
    found = scenario(written(tmp_path, EVERYTHING))
    barred = not all(NETWORK.allows(edge.id, "bus") for edge in NETWORK.edges)
    assert ("bus" in {trip.id for trip in found.background}) == barred


@pytest.mark.slow
def test_routes_of_the_file_are_kept_and_may_be_replaced(tmp_path):
    file = written(tmp_path, EVERYTHING)
    kept = {trip.id: trip.route for trip in scenario(file, fleet="slow").background}
    assert kept["routed"] == tuple(FAR)
    assert kept["late"] == ()
    fastest = {trip.id: trip.route for trip in scenario(file, fleet="slow", background_routes="fastest").background}
    assert fastest["routed"] == ()


@pytest.mark.slow
def test_csv_and_matrix_make_the_same_kind_of_run(tmp_path):
    junctions = [j for j in NETWORK.junctions if j.lon is not None]
    a, b = junctions[0], junctions[-1]
    place = f'"{a.lon:.6f},{a.lat:.6f}"'
    table = f"id,from,to,depart\nmine,{place},{b.id},0:00:30\nother,{START},{END},12\n"
    found = scenario(written(tmp_path, table, "trips.csv"))
    assert [trip.id for trip in found.agents] == ["other", "mine"]
    assert found.agents[1].destination == b.id
    assert found.agents[0].destination_edge == END
    start = NETWORK.edge(found.agents[1].start_edge)
    assert a.id in (start.from_junction, start.to_junction)

    zones = f'<additional><taz id="w" edges="{START}"/><taz id="e" edges="{END}"/></additional>'
    matrix = "$OR;D2\n* hours\n0.00 0.10\n1.00\nw e 4\n"
    files = written(tmp_path, zones, "taz.xml"), written(tmp_path, matrix, "matrix.od")
    found = scenario(*files)
    assert len(found.agents) == 4
    assert {trip.destination_edge for trip in found.agents} == {END}
    assert scenario(*files) == found

    found.save(tmp_path / "scenario.json")
    assert scenario(tmp_path / "scenario.json") == found


def test_a_table_of_longitudes_and_latitudes_is_the_same_demand_as_its_edges(tmp_path):
    """Points in the middle of streets that no other street lies on."""
    middles = {
        edge.id: np.mean(edge.shape[len(edge.shape) // 2 - 1 : len(edge.shape) // 2 + 1], axis=0) for edge in LONG
    }
    alone = [
        edge for edge in LONG if min(np.hypot(*(middles[edge.id] - middles[o.id])) for o in LONG if o is not edge) > 1
    ]
    starts, goals = alone[:4], alone[-4:]
    pairs = [(a, b) for a, b in zip(starts, goals, strict=True) if a is not b]
    net = sumolib.net.readNet(str(NETWORK.net_file), lxml=False)
    place = {edge.id: "{:.7f},{:.7f}".format(*net.convertXY2LonLat(*middles[edge.id][:2])) for edge in alone}
    rows = [f'car{k},"{place[a.id]}","{place[b.id]}",{k}' for k, (a, b) in enumerate(pairs)]
    table = written(tmp_path, "\n".join(["id,from,to,depart", *rows]) + "\n", "trips.csv")
    same = [f'<trip id="car{k}" depart="{k}" from="{a.id}" to="{b.id}"/>' for k, (a, b) in enumerate(pairs)]
    assert len(pairs) == 4
    by_edges = scenario(written(tmp_path, f"<routes>{''.join(same)}</routes>"))
    by_points = scenario(table)
    assert [(t.id, t.start_edge, t.goal, t.departure) for t in by_points.agents] == [
        (t.id, t.start_edge, t.goal, t.departure) for t in by_edges.agents
    ]


def test_a_clock_that_starts_late(tmp_path):
    text = f'<routes><trip id="a" depart="57601.5" from="{START}" to="{END}"/></routes>'
    assert scenario(written(tmp_path, text)).begin == 57601


@pytest.mark.slow
@pytest.mark.parametrize(("fleet", "count"), [("3", 3), ("50%", 5), (None, 10), ("ids", 2)])
def test_who_the_agents_are(tmp_path, fleet, count):
    file = trips(tmp_path, 10)
    (tmp_path / "ids").write_text("car7\ncar2\n")
    chosen = str(tmp_path / "ids") if fleet == "ids" else fleet
    found = scenario(file, **({} if fleet is None else {"fleet": chosen}))
    assert len(found.agents) == count
    assert len(found.background) == 10 - count
    if fleet == "ids":
        assert [trip.id for trip in found.agents] == ["car2", "car7"]
    if fleet == "3":
        assert scenario(file, fleet="3") == found != scenario(file, fleet="3", seed=1)


@pytest.mark.slow
def test_more_vehicles_in_the_background(tmp_path):
    more = trips(tmp_path, 4, "more.xml", "other")
    found = scenario(trips(tmp_path, 3), background_demand=str(more), background_routes="rerouting")
    assert len(found.background) == 4
    assert found.rerouting
    with pytest.raises(UsageError, match="in demand and background both, such as 'car0'"):
        scenario(trips(tmp_path, 3), background_demand=str(trips(tmp_path, 1, "same.xml")))


@pytest.mark.slow
def test_closures_by_street_name_and_what_they_cut_off(tmp_path):
    named = replace(NETWORK.edges[5], street="High Street")
    network = copy(NETWORK)
    network.edges = tuple(named if edge.id == named.id else edge for edge in NETWORK.edges)
    file = written(tmp_path, f"street,begin,end,speed,known\nhigh street,0,600,,yes\n{END},10,20,3,no\n", "c.csv")
    assert read_closures(file, network) == (
        Closure((named.id,), 0, 600),
        Closure((END,), 10, 20, speed=3, known=False),
    )
    cut = written(tmp_path, f"street,begin,end\n{START},0,5\n", "cut.csv")
    with pytest.raises(UsageError, match="leave no way for 2 of 3 trips, such as 'car0'"):
        scenario(trips(tmp_path, 3), closures=str(cut))
    left = scenario(trips(tmp_path, 3), closures=str(cut), drop_unreachable=True)
    assert [(trip.agent, trip.id) for trip in left.agents] == [(0, "car2")]


@pytest.mark.slow
def test_incidents_are_drawn_with_the_trips_and_nobody_plans_for_them():
    words = ["scenario.incidents=5", "scenario.agents=12"]
    network = open_map("berlin", MapSettings())
    drawn = [scenario_for(network, load_settings(None, words), seed) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    closures, agents = drawn[0].closures, drawn[0].agents
    assert len(closures) == 5
    assert not any(closure.known for closure in closures)
    assert all(closure.begin > trip.departure for closure in closures for trip in agents)
    paths = [network.shortest_path(trip.start_edge, trip.goal) for trip in agents]
    met = {edge for closure in closures for edge in closure.edges}
    assert met <= {edge for path in paths for edge in path[1:-1]}
    assert met.isdisjoint(end for path in paths for end in (path[0], path[-1]))


@pytest.mark.slow
def test_who_has_no_way_is_counted_and_told_why(island):
    """Streets that lead away and not back, and one that no lorry may use."""
    one = '<trip id="ok" depart="0" from="ab" to="cd"/>'
    lost = one + '<trip id="lost" depart="1" from="bx" to="ab"/>'
    with pytest.raises(UsageError, match="such as 'lost': no way leads there"):
        scenario(written(island.net_file.parent, f"<routes>{lost}</routes>"), network=island)
    file = written(island.net_file.parent, f"<routes>{lost}</routes>")
    assert [trip.id for trip in scenario(file, network=island, drop_unreachable=True).agents] == ["ok"]
    lorry = '<vType id="big" vClass="truck"/><trip id="l" type="big" depart="1" from="short" to="ab"/>' + one
    with pytest.raises(UsageError, match="such as 'l': a truck may not use short"):
        scenario(written(island.net_file.parent, f"<routes>{lorry}</routes>"), network=island)
    on_the_way = '<vType id="big" vClass="truck"/><trip id="l" type="big" depart="1" from="ab" to="cd"/>'
    with pytest.raises(UsageError, match=r"vType big \(truck\) may not use 1 of the streets, such as short"):
        scenario(written(island.net_file.parent, f"<routes>{on_the_way}</routes>"), network=island, fleet="big")


WRONG = {
    "unknown edge": (
        f'<routes><trip id="a" depart="0" from="{START}x" to="{END}"/>'
        f'<trip id="b" depart="0" from="{START}" to="{END}"/></routes>',
        "first 'a': Map .* has no edge",
    ),
    "another map": ('<routes><trip id="a" depart="0" from="nowhere" to="here"/></routes>', "is it for another map"),
    "duplicate": (
        f'<routes><trip id="a" depart="0" from="{START}" to="{END}"/>'
        f'<trip id="a" depart="0" from="{START}" to="{END}"/></routes>',
        "'a' a second time",
    ),
    "endless flow": (f'<routes><flow id="f" begin="0" period="3" from="{START}" to="{END}"/></routes>', "has no end"),
    "negative time": (f'<routes><trip id="a" depart="-1" from="{START}" to="{END}"/></routes>', "departs at '-1'"),
    "no time": (f'<routes><trip id="a" from="{START}" to="{END}"/></routes>', "departs at ''"),
    "empty": ("<routes></routes>", "no trip, vehicle or flow"),
    "zones alone": ('<additional><taz id="a" edges="b"/></additional>', "zones alone"),
    "doctype": ('<!DOCTYPE x [<!ENTITY a "b">]><routes/>', "document type or entities"),
    "broken": ("<routes><trip", "truncated"),
    "nothing": ("", "is empty"),
    "matrix alone": ("$OR;D2\n0.00 0.10\n1.00\nw e 4\n", "give the file of its zones"),
    "negative cell": ("$OR;D2\n0.00 0.10\n1.00\nw e -4\n", "from w to e are -4"),
    "columns": ("id,from,to\n", "write id,from,to,depart"),
    "short row": ("id,from,to,depart\na,b\n", "line 2: a trip needs"),
    "place": (
        f"id,from,to,depart\na,{START},nowhere,1\n",
        "line 2: map braunschweig has no edge or junction 'nowhere'",
    ),
    "far away": (f'id,from,to,depart\na,"0.0,51.5",{END},1\n', "lies outside map braunschweig"),
    "csv time": (f"id,from,to,depart\na,{START},{END},soon\n", "depart is 'soon'"),
    "scenario": ('{"format": "leed-scenario", "version": 2}', "scenario is damaged"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_driven_is_refused_in_a_sentence(tmp_path, case):
    text, message = WRONG[case]
    with pytest.raises(UsageError, match=message) as refused:
        scenario(written(tmp_path, text, "demand"))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("fleet", "message"),
    [("11", "is 11 of the 10 vehicles"), ("0", "is 0 of"), ("0%", "is 0 of"), ("lorry", "no number, share, file")],
)
def test_a_fleet_that_is_none(tmp_path, fleet, message):
    with pytest.raises(UsageError, match=message):
        scenario(trips(tmp_path, 10), fleet=fleet)


CLOSURES = {
    "street,begin\n": "write street,begin,end",
    f"street,begin,end\n{END},9,3\n": "line 2: the closure ends",
    f"street,begin,end\n{END},x,3\n": "begin is 'x'",
    f"street,begin,end,speed\n{END},1,3,-2\n": "speed is '-2'",
    f"street,begin,end,speed,known\n{END},1,3,,maybe\n": "known is 'maybe'",
    "street,begin,end\nNo Such Street,1,3\n": "no edge or street 'No Such Street'",
}


@pytest.mark.parametrize("text", CLOSURES)
def test_closures_that_are_none(tmp_path, text):
    with pytest.raises(UsageError, match=CLOSURES[text]):
        scenario(trips(tmp_path, 2), closures=str(written(tmp_path, text, "c.csv")))


@budget(max_examples=30, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("any") / "demand"
    file.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)
    with pytest.raises(UsageError):
        scenario(file)
