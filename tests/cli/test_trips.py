"""Trips of the user's own on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TABLE = "id,from,to,depart\nvan-1,{a},{b},5\nvan-2,{b},{a},0:00:10\n"
STAND_IN = ("--model", "stand-in", "--json")


@pytest.fixture
def table(leed, braunschweig) -> Path:
    a, b = braunschweig.edges[0].id, braunschweig.edges[90].id
    Path("trips.csv").write_text(TABLE.format(a=a, b=b))
    Path("closed.csv").write_text(f"street,begin,end\n{braunschweig.edges[30].id},0,900\n")
    return Path("trips.csv")


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
