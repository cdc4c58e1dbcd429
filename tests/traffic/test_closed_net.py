"""Streets closed or slowed for SUMO's tools: every baseline keeps out of them; routes that do not are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.traffic.baselines import BASELINES, Task, drive_plan, make_plan
from leed_agentic.traffic.closed_net import NetStreets, turned_into_closed
from leed_agentic.traffic.closures import Closure, closures_text, read_closures
from leed_agentic.traffic.driver_noise import DriverNoise
from leed_agentic.traffic.drives import close_streets, drive_all, with_ways
from leed_agentic.traffic.trip_files import TripFile

SHUT = Closure(("B1C1",), 10, 900)
SLOW = Closure(("B0C0",), 0, 60, speed=2)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    file = tmp_path_factory.mktemp("net") / "grid.net.xml"
    options = ("--grid", "--grid.number=4", "--grid.length=150", "--default.speed=13.89", "--no-turnarounds")
    generate_network(file, options, "Invented streets")
    return file


@pytest.fixture
def task(net, tmp_path):
    """Cars that would all take B1C1, the fastest way; the last begins on it."""
    trips = [f'<trip id="car{k}" depart="{3 * k}" from="A1B1" to="C1D1"/>' for k in range(20)]
    trips.append('<trip id="inside" depart="70" from="B1C1" to="C1D1"/>')
    Path(tmp_path, "mine.trips.xml").write_text(f"<routes>{''.join(trips)}</routes>")
    demand = TripFile.gather([tmp_path / "mine.trips.xml"], net, tmp_path / "gathered", DriverNoise())
    return Task(net, demand, begin=0, end=1200, folder=tmp_path / "plans", iterations=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES.names())
def test_no_baseline_turns_into_a_closed_street(name, task, tmp_path):
    task.folder.mkdir()
    closed = close_streets(task, [SHUT, SLOW], tmp_path)
    driven = drive_plan(make_plan(name, closed), closed, 23)
    assert turned_into_closed(driven, [SHUT]) == 0
    assert all("B1C1" not in drive.route for car, drive in driven.vehicles.items() if car != "inside")
    assert driven.vehicles["inside"].route == ("B1C1", "C1D1")
    assert driven.unfinished == 0


@pytest.mark.slow
def test_routes_that_turn_in_are_counted_and_drive_on_the_whole_net(task, tmp_path):
    (open_row,) = drive_all(["shortest-path"], task, [23], out=tmp_path / "open")
    closed = replace(close_streets(task, [SHUT], tmp_path), folder=tmp_path / "again")
    given, planned = drive_all(
        [str(tmp_path / "open/shortest-path"), "shortest-path"],
        closed,
        [23],
        closures=[SHUT],
        out=tmp_path / "closed",
    )
    assert given.turned_into_closed > 10
    assert given.drives == open_row.drives
    assert planned.turned_into_closed == 0
    assert planned.drives[0].mean > given.drives[0].mean
    kept = read_closures(tmp_path / "closed/shortest-path/closures.csv", NetStreets(task.net_file))
    assert kept == (SHUT,)


@pytest.mark.slow
def test_a_slowed_street_is_slow_from_begin_to_end_only(task, net, tmp_path):
    seen = []

    def seconds(closures):
        folder = tmp_path / f"of{len(seen)}"
        seen.append(folder)
        folder.mkdir()
        closed = replace(close_streets(task, closures, folder), folder=folder / "plans")
        route = folder / "one.rou.xml"
        closed.demand.write_routes(route, {"car0": ("A1B1", "B1C1", "C1D1"), "car19": ("A1B1", "B1C1", "C1D1")})
        (row,) = drive_all([str(route)], closed, [23], fleet=["car0"])
        return row.drives[0].mean

    free = seconds([])
    assert seconds([Closure(("B1C1",), 0, 600, speed=3)]) > free + 20
    late = (Closure(("B1C1",), 300, 600, speed=3), Closure(("C1D1",), 400, 600, speed=3))
    assert seconds(late) == pytest.approx(free, abs=2)


@pytest.mark.slow
def test_closures_that_cut_trips_off_are_refused_or_these_left_out(task, tmp_path):
    wall = Closure(("B1C1", "B0C0", "B2C2", "B3C3"), 0, 900)
    closed = close_streets(task, [wall], tmp_path)
    with pytest.raises(UsageError, match=r"no way for 20 of 21 vehicles, such as 'car0'; close fewer streets"):
        with_ways(closed, False, lambda line: None)
    said = []
    assert list(with_ways(closed, True, said.append).demand.trips) == ["inside"]
    assert "left out" in said[0]


def test_closures_are_read_again_as_they_were_written(net, tmp_path):
    closures = (SHUT, SLOW, Closure(("A0A1",), 1.5, 2.25, 0.75, known=False))
    (tmp_path / "c.csv").write_text(closures_text(closures))
    assert read_closures(tmp_path / "c.csv", NetStreets(net)) == closures
