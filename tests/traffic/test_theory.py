"""Two networks whose equilibrium and optimum can be written down, against what SUMO and its tools make of them.

Bottlenecks are point queues: a lane at 5 m/s carries 5 / (5 + 2.5 + 5 * 1) = 0.4 cars a second (length, gap and the
time gap tau of SUMO's default car), and whoever comes faster waits. Everything else is free flow.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from leed_agentic.roads.programs import run_program
from leed_agentic.traffic.baselines import Task, drive_plan, make_plan
from leed_agentic.traffic.driver_noise import DriverNoise
from leed_agentic.traffic.measures import measure
from leed_agentic.traffic.sumo_run import drive_routes
from leed_agentic.traffic.trip_files import TripFile

CAPACITY = 0.4
RATE = 0.6
"""Cars a second that want to leave."""
LIMIT = 13.89
"""m/s outside the bottlenecks."""
TOLERANCE = 0.1
"""Share of the closed form by which SUMO may differ: cars there take time to speed up, and queues have a length."""
MERGING = 0.25
"""The same where two streets of one lane merge, which costs seconds that the closed form does not know (measured: 20 %
above it)."""

NODES = {"o": (-300, 0), "s": (0, 0), "p": (500, 300), "a": (550, 300), "b": (550, -300), "q": (1050, -300),
         "t": (1100, 0), "d": (1400, 0)}  # fmt: skip


def build(folder: Path, *edges: tuple[str, str, str, float, float, int]) -> Path:
    """A net of edges (name, from, to, metres, m/s, lanes)."""
    nodes = "".join(f'<node id="{n}" x="{x}" y="{y}" type="priority"/>' for n, (x, y) in NODES.items())
    rows = "".join(
        f'<edge id="{name}" from="{start}" to="{end}" length="{length}" speed="{speed}" numLanes="{lanes}"/>'
        for name, start, end, length, speed, lanes in edges
    )
    (folder / "n.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
    (folder / "n.edg.xml").write_text(f"<edges>{rows}</edges>")
    options = ("-n", "n.nod.xml", "-e", "n.edg.xml", "-o", "n.net.xml", "--no-turnarounds", "--no-internal-links")
    run_program("netconvert", options, folder, "The net cannot be built")
    return folder / "n.net.xml"


def task(net: Path, folder: Path, seconds: float, iterations: int) -> Task:
    """RATE cars a second for so many seconds from `in` to `out`."""
    trips = [
        f'<trip id="{k}" depart="{k / RATE:.2f}" from="in" to="out" departLane="best" departSpeed="max"/>'
        for k in range(int(RATE * seconds))
    ]
    (folder / "d.trips.xml").write_text(f"<routes>{''.join(trips)}</routes>")
    demand = TripFile.gather([folder / "d.trips.xml"], net, folder / "demand", DriverNoise())
    plans = folder / "plans"
    plans.mkdir()
    return Task(net, demand, 0, 7200, plans, iterations=iterations)


def mean_of(given: Task, name: str) -> float:
    folder = given.folder / name
    folder.mkdir()
    figures = measure(drive_plan(make_plan(name, Task(**vars(given) | {"folder": folder})), given, 23))
    assert figures.unfinished == figures.teleports == 0
    return figures.mean


# -- two parallel routes -----------------------------------------------------------------------------------------------
SHORT, LONG, PERIOD = 100.0, 160.0, 600.0
"""Free-flow seconds of both routes; the short one leads through a bottleneck."""


@pytest.fixture(scope="module")
def parallel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    rest = SHORT - 50 / 5 - 600 / LIMIT
    return build(
        folder,
        ("in", "o", "s", 300, LIMIT, 2),
        ("short", "s", "p", rest * LIMIT, LIMIT, 1),
        ("narrow", "p", "t", 50, 5, 1),
        ("long", "s", "t", (LONG - 600 / LIMIT) * LIMIT, LIMIT, 1),
        ("out", "t", "d", 300, LIMIT, 2),
    )


def test_everybody_on_the_short_route_waits_for_each_other(parallel, tmp_path):
    """The queue grows by RATE - CAPACITY; the mean wait is half of the last car's."""
    expected = SHORT + (RATE / CAPACITY - 1) * PERIOD / 2
    assert mean_of(task(parallel, tmp_path, PERIOD, 1), "shortest-path") == pytest.approx(expected, rel=TOLERANCE)


def test_optimum_sends_no_more_than_the_bottleneck_carries(parallel, tmp_path):
    """Every third car on the long route: nobody waits."""
    given = task(parallel, tmp_path, PERIOD, 1)
    ways = {
        name: ("in", "long", "out") if int(name) % 3 == 2 else ("in", "short", "narrow", "out")
        for name in given.demand.trips
    }
    given.demand.write_routes(tmp_path / "best.rou.xml", ways)
    driven = drive_routes(parallel, [tmp_path / "best.rou.xml"], end=7200)
    expected = (CAPACITY * SHORT + (RATE - CAPACITY) * LONG) / RATE
    assert driven.mean_travel_time == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.slow
def test_equilibrium_makes_both_routes_equally_slow(parallel, tmp_path):
    """The short route fills until its queue costs LONG - SHORT; from then on everybody takes LONG seconds."""
    filled = (LONG - SHORT) / (RATE / CAPACITY - 1)
    expected = (filled * (SHORT + LONG) / 2 + (PERIOD - filled) * LONG) / PERIOD
    assert mean_of(task(parallel, tmp_path, PERIOD, 15), "dua-iterate") == pytest.approx(expected, rel=TOLERANCE)


# -- Braess ------------------------------------------------------------------------------------------------------------
SLOW, QUICK, BRIDGE = 160.0, 50.0, 10.0
"""Seconds of the two wide streets, of the two with a bottleneck at their end, and of the bridge between them."""
DELAY = SLOW - QUICK - BRIDGE
"""Seconds of queue at which a bottleneck is as bad as the wide street."""
FILLED = DELAY / (RATE / CAPACITY - 1)
LONG_PERIOD = 4 * FILLED


def braess(folder: Path, bridge: bool) -> Path:
    metres = (QUICK - 50 / 5) * LIMIT
    edges = [
        ("in", "o", "s", 300, LIMIT, 2),
        ("first", "s", "p", metres, LIMIT, 1),
        ("narrow1", "p", "a", 50, 5, 1),
        ("wide1", "a", "t", SLOW * LIMIT, LIMIT, 1),
        ("wide2", "s", "b", SLOW * LIMIT, LIMIT, 1),
        ("second", "b", "q", metres, LIMIT, 1),
        ("narrow2", "q", "t", 50, 5, 1),
        ("out", "t", "d", 300, LIMIT, 2),
    ]
    return build(folder, *edges, *([("bridge", "a", "b", BRIDGE * LIMIT, LIMIT, 1)] if bridge else []))


@pytest.mark.slow
def test_a_further_street_makes_everybody_slower(tmp_path):
    """Braess' paradox: without the bridge nobody waits, with it both bottlenecks fill until it is as slow as the rest.

    First the one at `narrow1` fills (FILLED seconds), then that at `narrow2` (as long), and then all ways cost alike:
    two queues of DELAY.
    """
    outside = 600 / LIMIT
    without, bridged = tmp_path / "without", tmp_path / "with"
    means = {}
    for folder in (without, bridged):
        folder.mkdir()
        net = braess(folder, bridge=folder is bridged)
        means[folder] = mean_of(task(net, folder, LONG_PERIOD, 15), "dua-iterate")
    free = outside + 2 * QUICK + BRIDGE
    assert means[without] == pytest.approx(outside + QUICK + SLOW, rel=TOLERANCE)
    assert means[bridged] == pytest.approx(free + (0.5 + 1.5 + 2 + 2) / 4 * DELAY, rel=MERGING)
    assert means[bridged] > 1.1 * means[without]
