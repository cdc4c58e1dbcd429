"""Trips of the user's own on the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from leed_agentic.roads.programs import sumo_home
from leed_agentic.traffic.sumo_run import elements

TABLE = "id,from,to,depart\nvan-1,{a},{b},5\nvan-2,{b},{a},0:00:10\n"
STAND_IN = ("--model", "stand-in", "--json")


@pytest.fixture
def table(leed, braunschweig) -> Path:
    a, b = braunschweig.edges[0].id, braunschweig.edges[90].id
    Path("trips.csv").write_text(TABLE.format(a=a, b=b))
    Path("closed.csv").write_text(f"street,begin,end\n{braunschweig.edges[30].id},0,900\n")
    return Path("trips.csv")


@pytest.mark.slow
def test_generate_keeps_the_users_ids(leed, table):
    done = leed("demo", "generate", *STAND_IN, "--demand", str(table), "--closures", "closed.csv", "--out", "run")
    assert done.code == 0, done.err
    assert json.loads(done.out)["agents"] == 2
    routes = Path("run/routes.rou.xml").read_text()
    assert 'id="van-1"' in routes
    assert 'id="van-2"' in routes
    scenario = json.loads(Path("run/demonstrations.json").read_text())["scenario"]
    assert [trip["id"] for trip in scenario["agents"]] == ["van-1", "van-2"]
    assert scenario["closures"][0]["end"] == 900


@pytest.mark.slow
def test_every_kind_of_demand_gives_the_same_kind_of_run(leed, braunschweig):
    """Trips, a table of longitudes and latitudes, and an origin-destination matrix: the same files and figures."""
    a, b = braunschweig.edges[0], braunschweig.edges[90]
    first, second = (braunschweig.junction(edge.to_junction) for edge in (a, b))
    Path("sumo.trips.xml").write_text(
        f'<routes><trip id="mine-0" depart="5" from="{a.id}" to="{b.id}"/>'
        f'<trip id="mine-1" depart="9" from="{b.id}" to="{a.id}"/></routes>'
    )
    places = [f'"{junction.lon:.6f},{junction.lat:.6f}"' for junction in (first, second)]
    Path("table.csv").write_text(
        f"id,from,to,depart\nmine-0,{places[0]},{places[1]},5\nmine-1,{places[1]},{places[0]},9\n"
    )
    zones = f'<taz id="w" edges="{a.id}"/><taz id="e" edges="{b.id}"/>'
    Path("taz.xml").write_text(f"<additional>{zones}</additional>")
    Path("matrix.od").write_text("$OR;D2\n0.00 0.01\n1.00\nw e 2\n")
    runs = {"sumo": ["sumo.trips.xml"], "table": ["table.csv"], "matrix": ["taz.xml", "matrix.od"]}
    summaries = {}
    for name, files in runs.items():
        demand = [word for file in files for word in ("--demand", file)]
        done = leed("demo", "generate", *STAND_IN, *demand, "--out", name)
        assert done.code == 0, done.err
        summaries[name] = json.loads(done.out)
    kinds = [{file.name for file in Path(name).iterdir()} for name in runs]
    assert kinds[0] == kinds[1] == kinds[2]
    keys = [(set(one), set(one["fleet"])) for one in summaries.values()]
    assert keys[0] == keys[1] == keys[2]
    for summary in summaries.values():
        assert summary["fleet"]["vehicles"] == 2
        assert summary["fleet"]["unfinished"] == 0
    for name in ("sumo", "table"):
        assert leed("report", name).code == 0
        page = Path(name, "report.html").read_text()
        assert "mine-0" in page
        assert "mine-1" in page


@pytest.mark.long
def test_the_figures_are_those_of_plain_sumo(leed, table):
    """In the summary, of the evaluation's plan, and by `sumo -c` alone; with everybody else's mean and CO2."""
    demand = ("--demand", str(table), "--fleet", "1")
    done = leed("demo", "generate", *STAND_IN, *demand, "--co2", "--out", "run")
    assert done.code == 0, done.err
    fleet = json.loads(done.out)["fleet"]
    subprocess.run([sumo_home() / "bin" / "sumo", "-c", "run.sumocfg"], cwd="run", check=True, capture_output=True)
    chosen = Path("run/fleet.txt").read_text().strip()
    infos = {info.get("id"): info for info in elements(Path("run/tripinfo.xml"), "tripinfo")}
    ours = infos.pop(chosen).attrib
    (other,) = infos.values()
    waited = float(ours["departDelay"])
    assert fleet["mean"] == pytest.approx(float(ours["duration"]) + waited)
    assert fleet["time_lost"] == pytest.approx(float(ours["timeLoss"]) + waited)
    assert fleet["insertion_delay"] == pytest.approx(waited)
    assert fleet["km"] == pytest.approx(float(ours["routeLength"]) / 1000)
    assert fleet["co2_kg"] > 0
    assert fleet["others_mean"] == pytest.approx(float(other.get("duration")) + float(other.get("departDelay")))
    small = ("--episodes", "1", "-s", "learning.hidden=8", "--algorithm", "ippo", "--source", "none")
    assert leed("train", *demand, *small, "--out", "trained").code == 0
    plan = ("--demonstrations", "run/demonstrations.json")
    done = leed("evaluate", "trained", "--episodes", "1", *plan, "--co2")
    assert done.code == 0, done.err
    told = json.loads(Path("trained/evaluation.json").read_text())
    rows = {row["driver"]: row["fleet"] for row in told["drivers"]}
    driven = next(row for name, row in rows.items() if name.startswith("plan"))
    assert driven == pytest.approx(fleet)
    assert all(head in done.out for head in ("insertion", "lost", "unfinished", "km", "others"))


@pytest.mark.slow
def test_train_and_evaluate_on_other_trips(leed, table):
    small = ("--episodes", "2", "-s", "learning.hidden=8")
    done = leed("train", "--demand", str(table), "--source", "none", "--algorithm", "ippo", *small, "--out", "run")
    assert done.code == 0, done.err
    done = leed("evaluate", "run", "--demand", str(table), "--closures", "closed.csv", "--episodes", "1", "--json")
    assert done.code == 0, done.err
    done = leed("evaluate", "run", "--demand", str(table), "--fleet", "1", "--episodes", "1")
    assert done.code == 2
    assert "was made for 2 agents, the scenario has 1" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--demand", "trips.csv", "--agents", "3"), "--fleet"),
        (("--demand", "none.csv"), "none.csv"),
        (("--demand", "trips.csv", "--fleet", "9"), "is 9 of the 2 vehicles"),
        (("--fleet", "9"), "scenario.fleet"),
        (("--closures", "none.csv"), "Cannot read the closures none.csv"),
        (("--demand", "trips.csv", "--map", "berlin"), "has no edge or junction"),
    ],
)
def test_what_contradicts_itself_is_refused(leed, table, words, message):
    done = leed("demo", "generate", *STAND_IN, *words)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
