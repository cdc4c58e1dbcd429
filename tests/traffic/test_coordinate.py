"""The loop of coordination in real SUMO, on a small grid with lights that a crossing demand fills."""

from __future__ import annotations

import numpy as np
import pytest
import sumolib

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.traffic.alternatives import argmin, check_answers, coin
from leed_agentic.traffic.baselines import Task, drive_plan, make_plan
from leed_agentic.traffic.coordinate import CoordinationSettings, Coordinator, coordinate
from leed_agentic.traffic.delays import Delays
from leed_agentic.traffic.judge import NOISY, Judge, mean_time
from leed_agentic.traffic.limits import Limits
from leed_agentic.traffic.paths import Costs, seconds_along
from leed_agentic.traffic.signals import read_signals
from leed_agentic.traffic.starts import shortest_paths
from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.street_times import INTERVAL, StreetTimes, Visits, mixed
from leed_agentic.traffic.trip_files import TripFile
from leed_agentic.traffic.trips import Trips

END = 3600.0


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    net = folder / "grid.net.xml"
    options = ("--grid", "--grid.number=5", "--grid.length=120", "--default-junction-type=traffic_light")
    generate_network(net, options, "Invented streets")
    return net, StreetGraph.read(sumolib.net.readNet(str(net)), read_signals(net)), folder


@pytest.fixture(scope="module")
def demand(grid):
    """120 cars from the western side to the eastern, within a minute and a half."""
    net, graph, folder = grid
    generator = np.random.default_rng(3)
    rows = []
    for number in range(120):
        row, goal = generator.integers(5), generator.integers(5)
        way = f'departLane="best" from="A{row}B{row}" toJunction="E{goal}"'
        rows.append(f'<trip id="c{number}" depart="{number * 0.75:.2f}" {way}/>')
    file = folder / "cross.trips.xml"
    file.write_text(f"<routes>{''.join(rows)}</routes>", encoding="utf-8")
    return Trips.of(TripFile.gather([file], net, folder / "gathered"), graph)


@pytest.fixture(scope="module")
def found(grid, demand):
    judge = Judge(demand, grid[0], END)
    return coordinate(demand, judge, CoordinationSettings(rounds=4)), judge


def test_the_fleet_gets_better_and_the_drive_shows_it(grid, demand, found):
    result, judge = found
    assert set(result.starts) == {"shortest", "lights", "rerouted"}
    assert result.best.score < min(one.score for one in result.starts.values())
    # Its own figure, driven again.
    assert mean_time(Judge(demand, grid[0], END).drive(result.routes)) == result.best.score
    # Rerouted is found by one more run than it is driven.
    assert result.runs == judge.runs == len(result.rounds) + 1
    assert [one.number for one in result.rounds] == [0, 0, 0, 1, 2, 3, 4]
    scores = [one.score for one in result.rounds]
    assert [one.best for one in result.rounds] == [s < min(scores[:i], default=np.inf) for i, s in enumerate(scores)]
    for name, route in result.routes.items():
        trip = demand.vehicles[name]
        assert demand.graph.legal(route)
        assert route[0] == trip.start
        assert route[-1] in trip.goal


@pytest.mark.slow
def test_the_same_seed_gives_the_same_routes(grid, demand):
    settings = CoordinationSettings(rounds=2, starts=("shortest",))
    first, again = (coordinate(demand, Judge(demand, grid[0], END), settings, chooser=coin, seed=5) for _ in range(2))
    other = coordinate(demand, Judge(demand, grid[0], END), settings, chooser=coin, seed=6)
    assert first.routes == again.routes
    assert first.routes != other.routes


@pytest.mark.slow
def test_a_fleet_among_others(grid, demand):
    fleet = list(demand.vehicles)[::4]
    rounds = []
    settings = CoordinationSettings(rounds=3, starts=("shortest", "rerouted"))
    result = coordinate(demand, Judge(demand, grid[0], END), settings, fleet=fleet, on_round=rounds.append)
    before = shortest_paths(demand, Costs(demand.graph))
    assert all(result.routes[name] == route for name, route in before.items() if name not in set(fleet))
    assert result.best.fleet <= result.starts["shortest"].fleet
    assert all(one.others is not None and one.asked <= len(fleet) / 2 for one in rounds)
    assert tuple(rounds) == result.rounds


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_coin_never_ends_worse_than_the_starts(grid, demand, seed):
    result = coordinate(
        demand,
        Judge(demand, grid[0], END, noise=NOISY, seeds=(1, 2)),
        CoordinationSettings(rounds=1, starts=("shortest", "lights"), signals="on", objective="everybody"),
        chooser=coin,
        seed=seed,
    )
    assert result.best.score == min(one.score for one in result.rounds)
    assert result.runs == 2 * len(result.rounds)


@pytest.mark.slow
def test_a_chooser_sees_every_alternative_and_may_fail(grid, demand):
    asked = []

    def odd(questions, generator):
        asked.extend(questions)
        return [None, 99, "2", *argmin(questions[3:], generator)]

    settings = CoordinationSettings(rounds=1, starts=("shortest",), signals="off")
    result = coordinate(demand, Judge(demand, grid[0], END), settings, chooser=odd)
    last = result.rounds[-1]
    assert (last.unread, last.asked, last.moved) == (3, len(asked), len(asked) - 3)
    assert {question.current for question in asked} > {0}
    for question in asked:
        kinds = [one.kind for one in question.alternatives]
        assert 2 <= len(kinds) <= 4
        assert kinds[question.current] == "current"
        fastest = question.alternatives[kinds.index("experienced")]
        assert fastest.seconds == min(one.seconds for one in question.alternatives)
        assert len({one.route for one in question.alternatives}) == len(kinds)
        assert all(delay.lost >= 1 for delay in question.delays)


def test_answers_of_the_wrong_number():
    with pytest.raises(UsageError, match="2 answers to 0 questions"):
        check_answers([], [0, 1])


@pytest.mark.slow
def test_no_detour_above_the_bound(grid, demand):
    settings = CoordinationSettings(rounds=2, limits=Limits(max_detour=1.2))
    result = coordinate(demand, Judge(demand, grid[0], END), settings)
    alone = Costs(demand.graph)
    shortest = shortest_paths(demand, alone)
    for name, route in result.routes.items():
        assert seconds_along(alone, route, 0) <= 1.2 * seconds_along(alone, shortest[name], 0) + 1e-6


@pytest.mark.slow
def test_nobody_enters_a_closed_street(grid, demand):
    graph = demand.graph
    closed = frozenset({graph.street("C2D2"), graph.street("B1C1")})
    settings = CoordinationSettings(rounds=2, limits=Limits(closed=closed))
    result = coordinate(demand, Judge(demand, grid[0], END), settings)
    assert all(closed.isdisjoint(route) for route in result.routes.values())
    every = frozenset(graph.street(f"C{row}D{row}") for row in range(5))
    with pytest.raises(UsageError, match=r"Vehicle 'c\d+' cannot drive .* no open way"):
        coordinate(demand, Judge(demand, grid[0], END), CoordinationSettings(limits=Limits(closed=every)))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"objective": "nobody"}, "no objective 'nobody'"),
        ({"starts": ("best",)}, "no start 'best'"),
        ({"signals": "maybe"}, "auto, on or off"),
        ({"share": 0.0}, "share above 0"),
    ],
)
def test_settings_that_make_no_sense(given, sentence):
    with pytest.raises(UsageError, match=sentence):
        CoordinationSettings(**given)


def test_a_detour_that_makes_no_sense():
    with pytest.raises(UsageError, match="factor of 1 or more"):
        Limits(max_detour=0.5)


def test_a_fleet_that_is_not_there(grid, demand):
    judge = Judge(demand, grid[0], END)
    with pytest.raises(UsageError, match="no vehicle 'mine'"):
        coordinate(demand, judge, fleet=["mine"])
    with pytest.raises(UsageError, match="fleet is empty"):
        coordinate(demand, judge, fleet=[])
    with pytest.raises(UsageError, match=r"departs at 89.25 s, when the simulation is over"):
        coordinate(demand, Judge(demand, grid[0], 80.0))
    assert judge.runs == 0


def test_who_lost_time_where_and_with_whom(grid, demand):
    """Delays add up to the travel times, and who meets whom is mutual."""
    (driven,) = Judge(demand, grid[0], END).drive(shortest_paths(demand, Costs(demand.graph)))
    visits = Visits.of(driven, demand.graph)
    delays = Delays(driven, visits, demand.graph, lights=False)
    for name, drive in driven.vehicles.items():
        free = sum(demand.graph.free[demand.graph.street(edge)] for edge in drive.route)
        assert delays.total[name] == pytest.approx(drive.travel_time(END) - free, abs=0.02)
    worst = max(delays.total, key=delays.total.get)
    first = delays.of(worst)[0]
    assert first.others
    assert worst in {
        other
        for delay in delays.of(first.others[0], most=99)
        for other in (delay.others if delay.street == first.street else (worst,))
    }
    streets = delays.by_street()
    assert sum(one.lost for one in streets) == pytest.approx(delays.lost.sum())
    assert [one.lost for one in streets] == sorted((one.lost for one in streets), reverse=True)


def test_street_times_are_what_the_drive_took(grid, demand):
    graph = demand.graph
    (driven,) = Judge(demand, grid[0], END).drive(shortest_paths(demand, Costs(graph)))
    visits = Visits.of(driven, graph)
    times = StreetTimes.measure([(driven, visits)], graph)
    assert times.flow.sum() == len(visits.street)
    assert (times.seconds >= graph.free[times.street] - 1e-9).all()
    assert (times.flow * times.seconds).sum() == pytest.approx(visits.seconds.sum(), rel=0.02)
    # Expected along the routes just driven, on average: what they took.
    for lights in (False, True):
        costs = times.costs(lights)
        expected = [
            seconds_along(costs, [graph.street(edge) for edge in drive.route], drive.departed)
            for drive in driven.vehicles.values()
        ]
        took = [drive.arrived - drive.departed for drive in driven.vehicles.values()]
        assert np.mean(expected) == pytest.approx(np.mean(took), rel=0.1)


def test_a_jam_is_not_over_where_nobody_could_enter(grid):
    graph = grid[1]
    key, one = np.array([5 * 8]), np.array([1.0])
    times = StreetTimes(graph, 0.0, INTERVAL, 8, key, one * 100, one * 70, one * 40, one, one)
    assert times.costs().extra == {40: 70.0, 41: 40.0, 42: 10.0}
    assert times.costs(lights=True).extra == {40: 40.0, 41: 10.0}


def test_what_one_drive_knows_and_another_does_not():
    assert mixed([(0.5, {1: 10.0, 2: 4.0}), (0.5, {1: 20.0})]) == {1: 15.0, 2: 4.0}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "runs"), [("static", 0), ("actuated", 1)])
def test_paths_that_know_the_lights_as_a_baseline(grid, demand, tmp_path, kind, runs):
    """Faster than free-flow paths on this grid; actuated lights cost one run, which measures them."""
    net = tmp_path / "lit.net.xml"
    net.write_text(grid[0].read_text(encoding="utf-8").replace('type="static"', f'type="{kind}"'), encoding="utf-8")
    task = Task(net, demand.demand, 0.0, END, tmp_path)
    plan = make_plan("lights", task)
    assert plan.runs == runs
    shortest = drive_plan(make_plan("free-flow", task), task, 23)
    assert drive_plan(plan, task, 23).mean_travel_time < 1.1 * shortest.mean_travel_time


@pytest.mark.slow
def test_a_drive_that_locks_the_town_is_forgotten(grid, demand):
    """Everybody by one street, and who stands for 10 s is moved on: what the streets took then says nothing."""
    judge = Judge(demand, grid[0], END, teleport_seconds=10.0)
    loop = Coordinator(demand, judge, CoordinationSettings(starts=("lights",)))
    loop.begin()
    known, narrow = loop.memory, demand.graph.index["C2D2"]
    closed = frozenset(demand.graph.index[f"C{row}D{row}"] for row in (0, 1, 3, 4))
    crowded = shortest_paths(demand, Costs(demand.graph, closed=closed))
    locked = loop.attempt(crowded)
    assert sum(narrow in route for route in crowded.values()) > len(crowded) / 2
    assert locked.teleports > loop.best.round.teleports
    assert locked.score > 1.3 * loop.best.round.score
    assert {k: costs.extra for k, costs in loop.memory.items()} == {k: costs.extra for k, costs in known.items()}
    assert loop.share == loop.settings.share / 2
    loop.attempt(shortest_paths(demand, Costs(demand.graph)))
    assert loop.memory[True].extra != known[True].extra, "what can be driven is learned from"


@pytest.mark.slow
def test_step_by_step_as_a_graph_would(grid, demand):
    """The loop's own steps give what the loop gives, and a plan made elsewhere may come between."""
    settings = CoordinationSettings(rounds=2, starts=("shortest",))
    loop = Coordinator(demand, Judge(demand, grid[0], END), settings)
    with pytest.raises(UsageError, match="begin"):
        loop.questions()
    loop.begin()
    for _ in range(2):
        loop.answer(argmin(loop.questions(), loop.generator))
    whole = coordinate(demand, Judge(demand, grid[0], END), settings)
    assert loop.result().routes == whole.routes
    worse = loop.drive(shortest_paths(demand, Costs(demand.graph)), "mine")
    assert not worse.round.best
    assert loop.result().best == whole.best
    assert loop.questions()
    with pytest.raises(UsageError, match="0 answers to"):
        loop.answer([])
