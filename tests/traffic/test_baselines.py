"""Baselines by SUMO's own tools on a small congested grid, their contract, and the figures of a fleet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.traffic.baselines import BASELINES, Plan, Task, check_baseline, drive_plan, make_plan, shortest_path
from leed_agentic.traffic.driver_noise import DriverNoise
from leed_agentic.traffic.measures import measure
from leed_agentic.traffic.trip_files import TripFile, read_routes

CARS = 60


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    file = tmp_path_factory.mktemp("net") / "grid.net.xml"
    options = ("--grid", "--grid.number=4", "--grid.length=150", "--default.speed=13.89", "--no-turnarounds")
    generate_network(file, options, "Invented streets")
    return file


@pytest.fixture(scope="module")
def demand(net, tmp_path_factory):
    """Everybody from one corner to the other, a car every two seconds, half of them to a junction."""
    folder = tmp_path_factory.mktemp("demand")
    to = ('to="D2D3"', 'toJunction="D3"')
    trips = [f'<trip id="car{k}" depart="{2 * k}" from="A0A1" {to[k % 2]}/>' for k in range(CARS)]
    (folder / "grid.trips.xml").write_text(f"<routes>{''.join(trips)}</routes>")
    return TripFile.gather([folder / "grid.trips.xml"], net, folder / "gathered", DriverNoise())


@pytest.fixture
def task(net, demand, tmp_path):
    return Task(net, demand, begin=0, end=1200, folder=tmp_path, iterations=2)


@pytest.mark.long
@pytest.mark.parametrize("name", BASELINES.names())
def test_every_baseline_keeps_the_contract(name, task):
    driven = check_baseline(BASELINES.get(name), task)
    assert len(driven.vehicles) == CARS
    assert driven.unfinished == 0


@pytest.mark.slow
def test_what_a_plan_took_is_counted(task):
    plan = make_plan("dua-iterate", task)
    assert plan.runs == 2
    assert plan.seconds > 0
    assert make_plan("shortest-path", replace(task, folder=task.folder)).runs == 0


@pytest.mark.slow
def test_equilibrium_spreads_the_cars_that_the_shortest_path_holds_together(task):
    """A path for each of the two destinations, where duaIterate finds more of equal length."""
    together = drive_plan(make_plan("shortest-path", task), task, 23)
    assert len({drive.route for drive in together.vehicles.values()}) == 2
    apart = drive_plan(make_plan("dua-iterate", replace(task, iterations=4)), task, 23)
    assert len({drive.route for drive in apart.vehicles.values()}) > 2
    assert measure(apart).mean < measure(together).mean


@pytest.mark.slow
def test_a_baseline_of_ones_own_by_dotted_path(task, tmp_path, monkeypatch):
    Path(tmp_path, "my_baseline.py").write_text(
        "from leed_agentic.traffic.baselines import shortest_path\n"
        "def same(task):\n    return shortest_path(task)\n"
        "def nothing(task):\n    return 'a route'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert make_plan("my_baseline.same", task).route_files
    with pytest.raises(UsageError, match="return leed_agentic's Plan"):
        make_plan("my_baseline.nothing", task)
    with pytest.raises(UsageError, match="did you mean 'dua-iterate'"):
        make_plan("dua-iterat", task)


@pytest.mark.slow
def test_the_check_finds_what_is_wrong(task):
    def half(task):
        routes = read_routes(shortest_path(task).route_files[0])
        task.demand.write_routes(task.folder / "half.rou.xml", dict(list(routes.items())[::2]))
        return Plan((task.folder / "half.rou.xml",))

    def elsewhere(task):
        routes = read_routes(shortest_path(task).route_files[0])
        file = task.folder / "short.rou.xml"
        demand = replace(task.demand, trips={k: {"id": k, "depart": v["depart"]} for k, v in task.demand.trips.items()})
        demand.write_routes(file, {name: route[:2] for name, route in routes.items()})
        return Plan((file,))

    with pytest.raises(UsageError, match="lacks 30 vehicles"):
        check_baseline(half, replace(task, folder=task.folder / "half"))
    with pytest.raises(UsageError, match="leads from A0A1 to"):
        check_baseline(elsewhere, replace(task, folder=task.folder / "elsewhere"))


# -- demands -----------------------------------------------------------------------------------------------------------
def gather(net, tmp_path, *bodies):
    files = []
    for number, body in enumerate(bodies):
        files.append(tmp_path / f"part{number}.rou.xml")
        files[-1].write_text(f"<routes>{body}</routes>")
    return TripFile.gather(files, net, tmp_path / "gathered")


def test_trips_flows_and_routes_of_several_files_become_one_demand(net, tmp_path):
    demand = gather(
        net,
        tmp_path,
        '<vType id="slow" maxSpeed="5"/><trip id="late" type="slow" depart="00:01:00" from="A0A1" to="D2D3"/>'
        '<trip id="early" depart="3" from="A0A1" toJunction="B2"/>',
        '<flow id="f" begin="0" end="10" number="2" from="A0B0" to="B1B2"/>'
        '<route id="r" edges="A0A1 A1A2"/><vehicle id="v" depart="1" route="r"/>',
    )
    assert list(demand.trips) == ["f.0", "v", "early", "f.1", "late"] or set(demand.trips) == {
        "f.0",
        "f.1",
        "v",
        "early",
        "late",
    }
    assert [t["depart"] for t in demand.trips.values()][-1] == "00:01:00"
    assert (demand.first, demand.last) == (0, 60)
    assert demand.trips["v"]["to"] == "A1A2"
    assert [kind.get("id") for kind in demand.types] == ["slow"]


def test_types_of_one_file_serve_the_next(net, tmp_path):
    routes = '<vehicle id="v" type="slow" depart="1"><route edges="A0A1 A1A2"/></vehicle>'
    demand = gather(net, tmp_path, '<vType id="slow" maxSpeed="5"/>', routes)
    assert demand.trips["v"]["type"] == "slow"
    assert [kind.get("maxSpeed") for kind in demand.types][-1] in ("5", "5.00")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('<trip id="a" depart="0" from="A0A1" to="D2D3"/>' * 2, "'a' again"),
        ("", "no trip"),
        ('<trip id="a" depart="soon" from="A0A1" to="D2D3"/>', "hh:mm:ss"),
        ("<trip", "cannot be read"),
        ('<flow id="f" begin="0" end="10" number="2" from="A0B0" to="nowhere"/>', "nowhere"),
    ],
)
def test_demands_that_cannot_be_used(net, tmp_path, body, words):
    with pytest.raises(UsageError, match=words):
        gather(net, tmp_path, body)


def test_an_unknown_street_is_said_by_name(net, tmp_path):
    demand = gather(net, tmp_path, '<trip id="a" depart="0" from="A0A1" to="D2D9"/>')
    with pytest.raises(UsageError, match="D2D9"):
        make_plan("shortest-path", Task(net, demand, 0, 60, tmp_path))


def test_routes_of_another_demand_are_refused(task, tmp_path):
    with pytest.raises(UsageError, match="belong to no vehicle"):
        task.demand.write_routes(tmp_path / "x.rou.xml", {"stranger": ("A0A1",)})


# -- measures ----------------------------------------------------------------------------------------------------------
def test_figures_of_a_fleet_and_the_others(task):
    driven = drive_plan(make_plan("shortest-path", task), task, 23, emissions=True)
    fleet = [f"car{k}" for k in range(0, CARS, 3)]
    ours, everybody = measure(driven, fleet), measure(driven)
    assert ours.vehicles == 20
    assert ours.others == 40
    assert everybody.others_mean is None
    assert ours.vehicles * ours.mean + ours.others * ours.others_mean == pytest.approx(everybody.total)
    assert everybody.mean == pytest.approx(driven.mean_travel_time)
    assert everybody.median <= everybody.p95
    assert 0 < everybody.time_lost < everybody.mean
    assert everybody.co2_kg > ours.co2_kg > 0
    with pytest.raises(UsageError, match="not in this run"):
        measure(driven, ["stranger"])


def test_who_does_not_arrive_counts_to_the_end(task):
    short = replace(task, end=100)
    driven = drive_plan(make_plan("shortest-path", short), short, 23)
    figures = measure(driven)
    assert figures.unfinished > 0
    first = driven.vehicles["car0"]
    assert max(driven.travel_times) <= 100
    assert first.travel_time(driven.end) == (first.arrived or 100)
