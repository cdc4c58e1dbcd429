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

NODES = {"o": (-300, 0), "s": (0, 0), "p": (500, 300), "a": (550, 300), "b": (550, -300), "q": (1050, -300),
         "t": (1100, 0), "d": (1400, 0)}  # fmt: skip


def build(
    folder: Path,
    *edges: tuple[str, str, str, float, float, int],
    lanes_of: tuple[tuple[str, str, int, int], ...] = (),
    zippers: tuple[str, ...] = (),
) -> Path:
    """A net of edges (name, from, to, metres, m/s, lanes).

    Args:
        lanes_of: which lane leads to which: from, to and the numbers of both lanes; for the rest netconvert decides.
        zippers: nodes at which lanes merge by turns.
    """
    kinds = {node: "zipper" if node in zippers else "priority" for node in NODES}
    nodes = "".join(f'<node id="{n}" x="{x}" y="{y}" type="{kinds[n]}"/>' for n, (x, y) in NODES.items())
    rows = "".join(
        f'<edge id="{name}" from="{start}" to="{end}" length="{length}" speed="{speed}" numLanes="{lanes}"/>'
        for name, start, end, length, speed, lanes in edges
    )
    (folder / "n.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
    (folder / "n.edg.xml").write_text(f"<edges>{rows}</edges>")
    turns = "".join(
        f'<connection from="{start}" to="{end}" fromLane="{lane}" toLane="{other}"/>'
        for start, end, lane, other in lanes_of
    )
    (folder / "n.con.xml").write_text(f"<connections>{turns}</connections>")
    files = ("-n", "n.nod.xml", "-e", "n.edg.xml", "-x", "n.con.xml", "-o", "n.net.xml")
    options = (*files, "--no-turnarounds", "--no-internal-links")
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


@pytest.mark.slow
def test_everybody_on_the_short_route_waits_for_each_other(parallel, tmp_path):
    """The queue grows by RATE - CAPACITY; the mean wait is half of the last car's."""
    expected = SHORT + (RATE / CAPACITY - 1) * PERIOD / 2
    assert mean_of(task(parallel, tmp_path, PERIOD, 1), "shortest-path") == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.slow
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


@pytest.mark.long
def test_equilibrium_makes_both_routes_equally_slow(parallel, tmp_path):
    """The short route fills until its queue costs LONG - SHORT; from then on everybody takes LONG seconds."""
    filled = (LONG - SHORT) / (RATE / CAPACITY - 1)
    expected = (filled * (SHORT + LONG) / 2 + (PERIOD - filled) * LONG) / PERIOD
    assert mean_of(task(parallel, tmp_path, PERIOD, 15), "dua-iterate") == pytest.approx(expected, rel=TOLERANCE)


# -- Braess ------------------------------------------------------------------------------------------------------------
SLOW, QUICK, BRIDGE = 160.0, 80.0, 10.0
"""Seconds of the two wide streets, of the two with a bottleneck at their end, and of the bridge between them."""
DELAY = SLOW - QUICK - BRIDGE
"""Seconds of queue at which a bottleneck is as bad as the wide street."""
FILLED = DELAY / (RATE / CAPACITY - 1)
"""Seconds until a bottleneck's queue is that long."""
PHASES = 4
OUTSIDE = 600 / LIMIT
FREE = OUTSIDE + 2 * QUICK + BRIDGE
WITHOUT = OUTSIDE + QUICK + SLOW
BY_PHASE = tuple(FREE + share * DELAY for share in (0.5, 1.5, 2, 2))
"""Mean seconds by when one departs, in units of FILLED: the queue at `narrow1` grows, then that at `narrow2`, and then
all ways cost alike: two queues of DELAY."""
BOTH = ("in", "first", "narrow1", "bridge", "second", "narrow2", "out")
FIRST, SECOND = ("in", "first", "narrow1", "wide1", "out"), ("in", "wide2", "second", "narrow2", "out")
OVER = RATE - CAPACITY
SHARES = (
    {BOTH: 1.0},
    {BOTH: CAPACITY / RATE, SECOND: OVER / RATE},
    *(2 * ({BOTH: (CAPACITY - OVER) / RATE, FIRST: OVER / RATE, SECOND: OVER / RATE},)),
)
"""Who takes which way in equilibrium: as many as a full bottleneck carries; whoever is more stays away from it."""


def braess(folder: Path, bridge: bool) -> Path:
    """The queue of DELAY moves at the bottleneck's 5 m/s and is 547 m long: the 972 m before it hold it.

    Each stream keeps to a lane of its own to where `narrow2` begins, and they merge there by turns. With right of way
    in its place who comes over the bridge waits for all who do not (measured: 740 s against 286 s), and that is no
    queue of the closed form.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metres = (QUICK - 50 / 5) * LIMIT
    edges = [
        ("in", "o", "s", 300, LIMIT, 2),
        ("first", "s", "p", metres, LIMIT, 1),
        ("narrow1", "p", "a", 50, 5, 1),
        ("wide1", "a", "t", SLOW * LIMIT, LIMIT, 1),
        ("wide2", "s", "b", SLOW * LIMIT, LIMIT, 1),
        ("second", "b", "q", metres, LIMIT, 2),
        ("narrow2", "q", "t", 50, 5, 1),
        ("out", "t", "d", 300, LIMIT, 2),
    ]
    lanes = [("wide2", "second", 0, 0), ("second", "narrow2", 0, 0), ("second", "narrow2", 1, 0)]
    lanes += [("narrow2", "out", 0, 0), ("wide1", "out", 0, 1)]
    if bridge:
        edges.append(("bridge", "a", "b", BRIDGE * LIMIT, LIMIT, 1))
        lanes.append(("bridge", "second", 0, 1))
    return build(folder, *edges, lanes_of=tuple(lanes), zippers=("q",))


def by_turns(shares: dict[tuple[str, ...], float], waiting: dict[tuple[str, ...], float]) -> tuple[str, ...]:
    """The way of the next car, so that of many each way gets its share; `waiting` is kept from car to car."""
    for way, share in shares.items():
        waiting[way] = waiting.get(way, 0.0) + share
    chosen = max(shares, key=lambda way: waiting[way])
    waiting[chosen] -= 1
    return chosen


@pytest.mark.slow
def test_in_equilibrium_all_ways_over_both_bottlenecks_take_what_is_written_down(tmp_path):
    """Braess' paradox: the bridge makes everybody slower, and nobody gets home sooner by another way (Wardrop)."""
    net = braess(tmp_path, bridge=True)
    given = task(net, tmp_path, PHASES * FILLED, 1)
    waiting: dict[tuple[str, ...], float] = {}
    phase = {name: min(int(int(name) / RATE / FILLED), PHASES - 1) for name in given.demand.trips}
    ways = {name: by_turns(SHARES[phase[name]], waiting) for name in given.demand.trips}
    given.demand.write_routes(tmp_path / "equilibrium.rou.xml", ways)
    driven = drive_routes(net, [tmp_path / "equilibrium.rou.xml"], end=7200)
    assert driven.unfinished == driven.teleports == 0
    for number, expected in enumerate(BY_PHASE):
        for way in SHARES[number]:
            times = [
                drive.travel_time(7200)
                for name, drive in driven.vehicles.items()
                if phase[name] == number and ways[name] == way
            ]
            assert sum(times) / len(times) == pytest.approx(expected, rel=TOLERANCE), (number, way)
    assert driven.mean_travel_time > 1.1 * WITHOUT


@pytest.mark.long
def test_a_further_street_makes_everybody_slower(tmp_path):
    """The same paradox by duaIterate, which finds the ways itself, from mean seconds over 900 s: it is near the
    equilibrium of a minute and not at it, and everybody is slower all the same."""
    means = {}
    for bridge in (False, True):
        folder = tmp_path / str(bridge)
        net = braess(folder, bridge)
        means[bridge] = mean_of(task(net, folder, PHASES * FILLED, 15), "dua-iterate")
    assert means[False] == pytest.approx(WITHOUT, rel=TOLERANCE)
    assert means[True] == pytest.approx(sum(BY_PHASE) / PHASES, rel=TOLERANCE)
    assert means[True] > means[False]
