"""`leed drive` and `leed export`: one table by plain SUMO, folders that SUMO alone drives again, and other formats."""

from __future__ import annotations

import contextlib
import csv
import json
import lzma
import signal
import subprocess
import sys
from pathlib import Path

import geojson
import pytest

from leed_agentic.roads.programs import sumo_home
from leed_agentic.traffic.sumo_run import elements

CARS = 40


@pytest.fixture
def demand(leed):
    """Cars from west to east on Braunschweig's net, as SUMO trips; the folder is the current one."""
    from leed_agentic.roads.catalogue import open_map
    from leed_agentic.settings import load_settings

    network = open_map("braunschweig", load_settings().map)
    starts = [edge for edge in network.edges if edge.length > 30][:: len(network.edges) // 12][:8]
    goal = network.edges[len(network.edges) // 2]
    trips = [
        f'<trip id="mine{k}" depart="{k}" from="{starts[k % len(starts)].id}" to="{goal.id}"/>' for k in range(CARS)
    ]
    file = Path("mine.trips.xml")
    file.write_text(f"<routes>{''.join(trips)}</routes>")
    return str(file)


def rows(done):
    assert done.code == 0, done.err
    return {row["name"]: row for row in json.loads(done.out)["rows"]}


@pytest.mark.slow
def test_a_table_of_baselines_and_of_a_file_of_routes(leed, demand):
    on = ("--demand", demand, "--map", "braunschweig", "--sigma", "0")
    first = rows(leed("drive", "shortest-path", "rerouting", *on, "--out", "all", "--json"))
    assert set(first) == {"shortest-path", "rerouting"}
    assert first["shortest-path"]["drives"][0]["vehicles"] == CARS
    assert first["shortest-path"]["drives"][0]["unfinished"] == 0
    again = rows(leed("drive", "all/shortest-path", "all/rerouting/routes.rou.xml", *on, "--json"))
    assert again["shortest-path"]["mean"] == first["shortest-path"]["mean"]
    shown = leed(
        "drive", "shortest-path", "one-shot", *on, "--noise-seeds", "2", "--speed-dev", "0.1", "--fleet", "25%"
    )
    assert shown.code == 0, shown.err
    assert "a fleet of 10 among 40 vehicles" in shown.out
    assert "others" in shown.out


@pytest.mark.slow
def test_rows_are_driven_measured_and_exported_by_one_command(leed, demand):
    on = ("--demand", demand, "--map", "braunschweig", "--sigma", "0")
    done = leed("drive", "shortest-path", *on, "--out", "run", "--export", "csv", "--export", "geojson", "--json")
    mean = rows(done)["shortest-path"]["mean"]["mean"]
    table = list(csv.DictReader(Path("run/shortest-path/vehicles.csv").read_text().splitlines()))
    assert sum(float(line["travel_time"]) for line in table) / CARS == pytest.approx(mean)
    assert json.loads(Path("run/shortest-path/run.geojson").read_text())["features"]
    assert "give --out" in leed("drive", "shortest-path", *on, "--export", "csv").err
    assert "did you mean 'geojson'" in leed("drive", "shortest-path", *on, "--export", "geojsn", "--out", "x").err


@pytest.mark.slow
def test_the_folder_alone_says_who_drives_and_where(leed, demand):
    on = ("--demand", demand, "--map", "braunschweig", "--sigma", "0", "--fleet", "5", "--out", "run")
    first = rows(leed("drive", "shortest-path", *on, "--json"))
    again = rows(leed("drive", "run/shortest-path", "duarouter", "--fleet", "run/shortest-path/fleet.txt", "--json"))
    assert again["shortest-path"]["mean"] == first["shortest-path"]["mean"]


@pytest.mark.slow
def test_plain_sumo_makes_the_same_drive_from_the_folder(leed, demand, tmp_path):
    on = ("--demand", demand, "--map", "braunschweig", "--fleet", "5", "--sigma", "0.5")
    row = rows(leed("drive", "rerouting", *on, "--out", "run", "--json"))["rerouting"]
    folder = Path("run/rerouting")
    program = sumo_home() / "bin" / "sumo"
    subprocess.run([program, "-c", "run.sumocfg"], cwd=folder, check=True, capture_output=True)
    fleet = set((folder / "fleet.txt").read_text().split())
    times = [
        float(info.attrib["arrival"]) - float(info.attrib["depart"]) + float(info.attrib["departDelay"])
        for info in elements(folder / "tripinfo.xml", "tripinfo")
        if info.get("id") in fleet
    ]
    assert sum(times) / len(times) == pytest.approx(row["drives"][0]["mean"])


@pytest.mark.slow
def test_exports(leed, demand):
    on = ("--demand", demand, "--map", "braunschweig", "--sigma", "0", "--fleet", "5")
    mean = rows(leed("drive", "shortest-path", *on, "--out", "run", "--json"))["shortest-path"]["mean"]["mean"]
    run = "run/shortest-path"
    for form in ("geojson", "csv", "tripinfo", "edgedata", "fcd", "emissions"):
        done = leed("export", run, "--to", form, "--out", f"x.{form}")
        assert done.code == 0, done.err
        assert done.out.strip() == f"x.{form}"
    table = list(csv.DictReader(Path("x.csv").read_text().splitlines()))
    assert len(table) == CARS
    times = [float(line["travel_time"]) for line in table if line["fleet"] == "1"]
    assert sum(times) / len(times) == pytest.approx(mean)
    collection = geojson.loads(Path("x.geojson").read_text())
    assert isinstance(collection, geojson.FeatureCollection)
    assert collection.is_valid, collection.errors()
    features = collection["features"]
    routes = [f for f in features if f["properties"]["kind"] == "route"]
    streets = [f for f in features if f["properties"]["kind"] == "street"]
    assert {f["properties"]["id"] for f in routes} == {line["id"] for line in table}
    assert sum(f["properties"]["fleet"] for f in routes) == 5
    assert max(f["properties"]["vehicles"] for f in streets) > 1
    for feature in features:
        for lon, lat in feature["geometry"]["coordinates"]:
            assert 10.5 < lon < 10.6
            assert 52.2 < lat < 52.3
    assert len(list(elements(Path("x.tripinfo"), "tripinfo"))) == CARS
    assert list(elements(Path("x.edgedata"), "edge"))
    assert list(elements(Path("x.fcd"), "vehicle"))
    assert all(float(e.attrib["CO2_abs"]) > 0 for e in elements(Path("x.emissions"), "emissions"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["shortest-pat", "--map", "braunschweig"], "did you mean 'shortest-path'"),
        (["--map", "braunschweig"], "--demand"),
        (["--demand", "mine.trips.xml"], "--map"),
        (["--demand", "none.xml", "--map", "braunschweig"], "none.xml"),
        (["--demand", "mine.trips.xml", "--map", "braunschweig", "--fleet", "99"], "holds 40"),
        (["--demand", "mine.trips.xml", "--map", "braunschweig", "--fleet", "taxis"], "20%"),
        (["--demand", "mine.trips.xml", "--map", "braunschweig", "--end", "10"], "later --end"),
        (["--suite", "nguyn"], "did you mean 'nguyen'"),
        (["--suite", "nguyen", "--map", "braunschweig"], "leave out --map"),
        (["nowhere.rou.xml", "--demand", "mine.trips.xml", "--map", "braunschweig"], "nowhere.rou.xml"),
    ],
)
def test_bad_input_is_one_sentence(leed, demand, words, hint):
    done = leed("drive", *words)
    assert done.code == 2
    assert hint in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_a_foreign_folder_does_not_have_sumo_write_files(leed, demand):
    on = ("--demand", demand, "--map", "braunschweig", "--sigma", "0")
    assert leed("drive", "shortest-path", *on, "--out", "run").code == 0
    config = Path("run/shortest-path/run.sumocfg")
    text = config.read_text()
    config.write_text(text.replace("</sumoConfiguration>", '<queue-output value="/tmp/x"/></sumoConfiguration>'))
    assert leed("export", "run/shortest-path", "--to", "csv").code == 0
    config.write_text(text.replace('"routes.rou.xml"', '"../../mine.trips.xml"'))
    done = leed("export", "run/shortest-path", "--to", "csv")
    assert done.code == 2
    assert "outside the folder" in done.err
    config.write_text(text.replace("<net-file", '<additional-files value="a.add.xml"/><net-file'))
    config.with_name("a.add.xml").write_text('<additional><edgeData id="x" file="/tmp/x"/></additional>')
    done = leed("export", "run/shortest-path", "--to", "csv")
    assert done.code == 2
    assert "write files" in done.err
    assert leed("export", "run", "--to", "csv").code == 2
    assert "did you mean" in leed("export", "run/shortest-path", "--to", "geojsn").err


@pytest.mark.slow
def test_a_run_folder_with_closures_is_driven_with_them(leed, demand):
    on = ("--demand", demand, "--map", "braunschweig", "--sigma", "0")
    leed("drive", "shortest-path", *on, "--out", "open")
    routes = [
        vehicle.find("route").get("edges").split()
        for vehicle in elements(Path("open/shortest-path/routes.rou.xml"), "vehicle")
    ]
    street = next(edge for route in routes for edge in route[1:-1])
    Path("shut.csv").write_text(f"street,begin,end\n{street},0,7200\n")
    shut = leed(
        "drive", "open/shortest-path", "rerouting", *on, "--closures", "shut.csv", "--drop-unreachable", "--out", "shut"
    )
    assert shut.code == 0, shut.err
    assert "shortest-path: " in shut.out
    assert "turned into a street while it was closed" in shut.out
    assert "rerouting: " not in shut.out
    again = leed("drive", "shut/rerouting", "one-shot", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["closures"] == 1
    assert all(row["turned_into_closed"] == 0 for row in json.loads(again.out)["rows"])


@pytest.mark.slow
def test_closures_that_cannot_be_used_are_one_sentence(leed, demand):
    on = ("--demand", demand, "--map", "braunschweig", "--closures", "shut.csv")
    Path("shut.csv").write_text("street,begin,end\nNo Such Street,0,7200\n")
    assert leed("drive", "shortest-path", *on).code == 2
    end = next(elements(Path(demand), "trip")).get("to")
    Path("shut.csv").write_text(f"street,begin,end\n{end},0,7200\n")
    done = leed("drive", "shortest-path", *on)
    assert done.code == 2
    assert "The closures leave no way for" in done.err
    assert "--drop-unreachable" in done.err


def test_an_edge_that_the_net_lacks_and_a_flow_without_end_are_one_sentence(leed, demand):
    edge = next(elements(Path(demand), "trip")).get("from")
    bad = {
        f'<trip id="v" depart="0" from="{edge}x" to="{edge}"/>': f"no edge '{edge}x' of vehicle 'v' (1 of 1",
        f'<flow id="f" begin="0" period="9" from="{edge}" to="{edge}"/>': "flow 'f' has no end",
    }
    for body, said in bad.items():
        Path("bad.rou.xml").write_text(f"<routes>{body}</routes>")
        done = leed("drive", "shortest-path", "--demand", "bad.rou.xml", "--map", "braunschweig")
        assert done.code == 2
        assert said in done.err


def _alive(group: int) -> bool:
    """Whether a process of the group still runs; one that only waits to be buried does not."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drive_that_is_ended_takes_duaiterate_with_it(leed, demand, number):
    command = [sys.executable, "-m", "leed_agentic", "drive", "--demand", demand, "--map", "braunschweig"]
    process = subprocess.Popen(
        [*command, "dua-iterate", "--iterations", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    group = None
    while group is None:
        assert process.poll() is None
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                parent = (file.parent / "stat").read_text().rpartition(")")[2].split()[1]
                if b"duaIterate.py" in file.read_bytes() and int(parent) == process.pid:
                    group = int(file.parent.name)
    process.send_signal(number)
    assert process.wait(timeout=60) == (-signal.SIGTERM if number == signal.SIGTERM else 130)
    while _alive(group):
        """It was killed; the kernel needs a moment."""


@pytest.mark.slow
def test_who_has_no_way_and_who_never_finds_room(leed, tmp_path):
    """A street that leads away and not back; more cars at once than their first street holds."""
    from leed_agentic.roads.programs import run_program

    nodes = {"a": (0, 0), "b": (200, 0), "c": (200, 200), "x": (400, 0)}
    ways = ["ab", "bc", "ca", "bx"]
    points = "".join(f'<node id="{name}" x="{x}" y="{y}"/>' for name, (x, y) in nodes.items())
    rows = "".join(f'<edge id="{way}" from="{way[0]}" to="{way[1]}"/>' for way in ways)
    rows += '<edge id="short" from="a" to="c" disallow="truck"/>'
    Path("n.nod.xml").write_text(f"<nodes>{points}</nodes>")
    Path("n.edg.xml").write_text(f"<edges>{rows}</edges>")
    run_program("netconvert", ("-n", "n.nod.xml", "-e", "n.edg.xml", "-o", "n.net.xml"), Path(), "No net")
    on = ("--demand", "d.trips.xml", "--map", "n.net.xml", "--sigma", "0")
    good = '<trip id="ok" depart="0" from="ab" to="bc"/>'
    lost = '<vType id="big" vClass="truck"/><trip id="l" type="big" depart="1" from="short" to="ab"/>'
    away = '<trip id="away" depart="1" from="bx" to="ab"/>'
    for body, said in ((good + away, "1 of 2 vehicles, such as 'away'"), (lost + good, "a truck may not use short")):
        Path("d.trips.xml").write_text(f"<routes>{body}</routes>")
        done = leed("drive", "shortest-path", *on)
        assert done.code == 2
        assert said in done.err
        assert "--drop-unreachable" in done.err
        assert rows_of_one(leed("drive", "shortest-path", *on, "--drop-unreachable", "--json"))["vehicles"] == 1
    crowd = "".join(f'<trip id="v{k}" depart="0" from="ab" to="bc"/>' for k in range(60))
    Path("d.trips.xml").write_text(f"<routes>{crowd}</routes>")
    found = rows_of_one(leed("drive", "shortest-path", *on, "--end", "40", "--json"))
    assert found["unfinished"] >= found["never_departed"] > 0
    assert found["mean"] > 30
    assert "never found room on their first street" in leed("drive", "shortest-path", *on, "--end", "40").out


def rows_of_one(done):
    return rows(done)["shortest-path"]["drives"][0]


@pytest.mark.parametrize(
    ("head", "inside"),
    [
        ('<!DOCTYPE routes SYSTEM "http://127.0.0.1:9/x.dtd">', ""),
        ("", '<include href="other.xml"/>'),
        ("", "<a " + " ".join(f"a{k}='1'" for k in range(1001)) + "/>"),
        ("", "<a>" * 101 + "</a>" * 101),
        ("", '<include xmlns="urn:x" href="other.xml"/>'),
    ],
)
def test_a_demand_that_leads_elsewhere_is_refused(leed, head, inside):
    Path("trips.xml").write_text(f'{head}<routes>{inside}<trip id="t" depart="0" from="a" to="b"/></routes>')
    ran = leed("drive", "shortest-path", "--demand", "trips.xml", "--map", "braunschweig")
    assert ran.code == 2
    assert "trips.xml cannot be read as a SUMO route file" in ran.err


@pytest.mark.slow
def test_a_network_that_sumo_does_not_unpack_is_refused(leed, braunschweig):
    Path("map.net.xml").write_bytes(lzma.compress(braunschweig.net_file.read_bytes()))
    ran = leed("map", "show", "map.net.xml")
    assert ran.code == 2
    assert "unpack it first" in ran.err
