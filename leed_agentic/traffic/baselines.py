"""What traffic engineers would do without us: routes by SUMO's own programs and tools, by name.

A baseline is a function of a Task that returns a Plan: route files, and the options with which SUMO drives them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from leed_agentic.errors import UsageError
from leed_agentic.registry import Registry
from leed_agentic.roads.programs import run_program, run_tool
from leed_agentic.traffic.judge import Judge
from leed_agentic.traffic.lights import lights_paths
from leed_agentic.traffic.signals import read_signals
from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.sumo_run import DEFAULT_SEED, REROUTING, TELEPORT_SECONDS, Driven, drive_routes, elements
from leed_agentic.traffic.trip_files import TripFile, read_routes
from leed_agentic.traffic.trips import Trips

NOISE_FACTOR = 1.03
"""Of shortest-path-noise: every vehicle takes every street for up to this many times its free-flow seconds."""
RANDOM_FACTOR = 1.5
"""Of random, likewise."""
DUA_LOG = "dua.log"
# Length over speed limit alone: no seconds for crossing a junction or for giving way.
FREE_FLOW = ("--no-internal-links", "true", "--weights.minor-penalty", "0")


@dataclass(frozen=True)
class Task:
    """What a baseline is given."""

    net_file: Path
    """The streets to plan on: where some are closed, the net that nobody can turn into them of."""
    demand: TripFile
    begin: float
    end: float
    folder: Path
    """Empty, for whatever the baseline writes."""
    seed: int = DEFAULT_SEED
    iterations: int = 8
    teleport_seconds: float = TELEPORT_SECONDS
    say: Callable[[str], None] = lambda _line: None
    whole_net: Path | None = None
    """With the closed streets, where `net_file` is without; None: they are one."""
    additional_files: tuple[Path, ...] = ()
    """For every drive, such as signs that slow a street for a while."""


@dataclass(frozen=True)
class Plan:
    """What a baseline comes to: files to give to SUMO, with the options to drive them by."""

    route_files: tuple[Path, ...]
    options: tuple[str, ...] = ()
    runs: int = 0
    """SUMO runs it took to get there."""
    seconds: float = field(default=0.0, compare=False)
    """Wall-clock seconds it took; `make_plan` fills it in."""
    whole_net: bool = False
    """Driven on the net with the closed streets: its routes may use one again after it has opened."""

    def net_file(self, task: Task) -> Path:
        """The net to drive it on."""
        return task.whole_net or task.net_file if self.whole_net else task.net_file


class Baseline(Protocol):
    """Raises UsageError where the demand cannot be routed, UnavailableError where SUMO cannot be used."""

    def __call__(self, task: Task) -> Plan: ...


BASELINES: Registry[Baseline] = Registry("baseline")


@BASELINES.register("duarouter")
@BASELINES.register("shortest-path")
def shortest_path(task: Task) -> Plan:
    """Everybody on the fastest path of empty streets as duarouter has it by default, and as duaIterate begins: length
    over speed limit on streets and turns, and a second and a half for giving way."""
    return Plan((_duarouter(task, "shortest-path"),))


@BASELINES.register("free-flow")
def free_flow(task: Task) -> Plan:
    """The same by length over speed limit of the streets alone, as if junctions took no time."""
    return Plan((_duarouter(task, "free-flow", *FREE_FLOW),))


@BASELINES.register("shortest-path-noise")
def shortest_path_noise(task: Task) -> Plan:
    """Shortest paths, each vehicle by seconds that are up to 3 % too long, so that equal paths are shared out."""
    return Plan((_duarouter(task, "noise", "--weights.random-factor", str(NOISE_FACTOR)),))


@BASELINES.register("random")
def random_routes(task: Task) -> Plan:
    """Near-shortest paths by chance: every vehicle takes every street for up to 1.5 times its seconds."""
    return Plan((_duarouter(task, "random", "--weights.random-factor", str(RANDOM_FACTOR)),))


@BASELINES.register("lights")
def lights(task: Task) -> Plan:
    """Fastest paths that know the red light at the second of arrival; an actuated one is measured in one run."""
    import sumolib

    graph = StreetGraph.read(sumolib.net.readNet(str(task.net_file), lxml=False), read_signals(task.net_file))
    trips = Trips.of(task.demand, graph)
    more = task.additional_files
    judge = Judge(trips, task.net_file, task.end, task.begin, (task.seed,), None, more, task.teleport_seconds)
    file = task.folder / "lights.rou.xml"
    trips.write_routes(file, lights_paths(trips, judge))
    return Plan((file,), runs=judge.runs)


@BASELINES.register("one-shot")
def one_shot(task: Task) -> Plan:
    """Each vehicle routed once, at its departure, by the speeds on the streets at that moment: trips given to SUMO."""
    return Plan((task.demand.file,))


@BASELINES.register("rerouting")
def rerouting(task: Task) -> Plan:
    """Shortest paths at first, and SUMO's navigation device in every vehicle once a minute."""
    return replace(shortest_path(task), options=REROUTING)


@BASELINES.register("dua-iterate")
def dua_iterate(task: Task) -> Plan:
    """User equilibrium: duaIterate.py lets everybody learn from the day before, `iterations` times (Gawron 1998)."""
    return _dua_iterate(task)


@BASELINES.register("dua-marginal")
def dua_marginal(task: Task) -> Plan:
    """duaIterate.py by marginal costs, its approach to the system's optimum; with logit, as it asks for."""
    # It rewrites its measurements in plain text under the same name, which a .gz would not survive.
    return _dua_iterate(task, "--marginal-cost", "--logit", "--no-gzip")


def make_plan(name: str, task: Task) -> Plan:
    """The plan of a baseline by name or dotted path, with the seconds it took."""
    baseline = BASELINES.get(name)
    started = time.perf_counter()
    plan = baseline(task)
    if not isinstance(plan, Plan):
        raise UsageError(f"The baseline {name!r} returned {type(plan).__name__}; return leed_agentic's Plan.")
    return replace(plan, seconds=time.perf_counter() - started)


def drive_plan(plan: Plan, task: Task, seed: int, folder: Path | None = None, emissions: bool = False) -> Driven:
    """Drive a plan once; SUMO's outputs stay in `folder`, where one is given."""
    return drive_routes(
        plan.net_file(task),
        plan.route_files,
        begin=task.begin,
        end=task.end,
        seed=seed,
        teleport_seconds=task.teleport_seconds,
        additional_files=task.additional_files,
        options=plan.options,
        emissions=emissions,
        folder=folder,
    )


def check_baseline(baseline: Baseline, task: Task) -> Driven:
    """Whether a baseline of your own keeps the contract on this task: every vehicle of the demand, from its start to
    its end, the same plan for the same seed, and SUMO drives it.

    Raises:
        UsageError: it does not; the sentence says what is wrong.
    """
    plans = []
    for attempt in ("first", "second"):
        folder = task.folder / attempt
        folder.mkdir(parents=True)
        plans.append(baseline(replace(task, folder=folder)))
    if not all(isinstance(plan, Plan) and plan.route_files for plan in plans):
        raise UsageError("A baseline returns a Plan with at least one route file.")
    first, second = (drive_plan(plan, task, task.seed) for plan in plans)
    if missing := sorted(set(task.demand.trips) - set(first.vehicles)):
        raise UsageError(f"The plan lacks {len(missing)} vehicles of the demand, such as {missing[0]!r}.")
    routes = {name: drive.route for name, drive in first.vehicles.items() if drive.route}
    task.demand.write_routes(task.folder / "checked.rou.xml", routes)
    if first.vehicles != second.vehicles:
        raise UsageError("The same seed gave two different plans; draw everything random from task.seed.")
    return first


def without_way(task: Task) -> list[str]:
    """The vehicles of the demand for which the task's net has no way from start to end."""
    file = _duarouter(task, "ways", "--ignore-errors", "true")
    routed = {vehicle.get("id") for vehicle in elements(file, "vehicle")}
    return [name for name in task.demand.trips if name not in routed]


def no_way(task: Task, stuck: Sequence[str]) -> str:
    """A sentence of how many these are, without its end, and why the first of them has none where it is its type."""
    where = "The closures leave" if task.whole_net else "The net has"
    first = task.demand.trips[stuck[0]]
    kind = next((known for known in task.demand.types if known.get("id") == first.get("type")), None)
    vehicle_class = kind.get("vClass", "passenger") if kind is not None else "passenger"
    import sumolib

    net = sumolib.net.readNet(str(task.net_file), lxml=False)
    ends = [first[place] for place in ("from", "to") if place in first and net.hasEdge(first[place])]
    shut = [edge for edge in ends if not net.getEdge(edge).allows(vehicle_class)]
    why = f" (a {vehicle_class} may not use {shut[0]})" if shut else ""
    return f"{where} no way for {len(stuck)} of {len(task.demand.trips)} vehicles, such as {stuck[0]!r}{why}"


def _duarouter(task: Task, name: str, *options: str) -> Path:
    file = task.folder / f"{name}.rou.xml"
    words = [
        *("--net-file", str(task.net_file.absolute()), "--route-files", str(task.demand.file.absolute())),
        *("--output-file", str(file.absolute()), "--begin", f"{task.begin:g}", "--seed", str(task.seed)),
        *("--junction-taz", "true", "--no-step-log", "true", "--no-warnings", "true", "--xml-validation", "never"),
    ]
    try:
        run_program("duarouter", [*words, *options], task.folder, "The demand cannot be routed")
    except UsageError:
        # It names the first vehicle only, and not how to go on without it.
        stuck = [] if "--ignore-errors" in options else without_way(task)
        if not stuck:
            raise
        raise UsageError(f"{no_way(task, stuck)}; leave these vehicles out with --drop-unreachable.") from None
    return file


def _dua_iterate(task: Task, *options: str) -> Plan:
    """The last iteration's routes. Its first iteration is duarouter's."""
    if task.iterations < 1:
        raise UsageError(f"duaIterate needs at least one iteration, not {task.iterations}.")
    # Destinations that are junctions become the streets that duarouter chooses: duaIterate.py knows edges only.
    trips = task.folder / "demand.trips.xml"
    routes = read_routes(_duarouter(task, "first"))
    edges = {name: dict(trip) for name, trip in task.demand.trips.items()}
    for name, trip in edges.items():
        if trip.pop("toJunction", None) is not None:
            trip["to"] = routes[name][-1]
    replace(task.demand, file=trips, trips=edges).write()

    def say(line: str) -> None:
        if line.startswith("> Executing step"):
            task.say(f"duaIterate: run {int(line.split()[-1]) + 1} of {task.iterations}")

    words = [
        *("--net-file", str(task.net_file.absolute()), "--trips", str(trips.absolute())),
        *("--begin", f"{task.begin:g}", "--end", f"{task.end:.10g}", "--last-step", str(task.iterations)),
        *("--time-to-teleport", f"{task.teleport_seconds:g}", "--disable-warnings", "--disable-summary"),
        *("--disable-tripinfos", "--dualog", DUA_LOG),
        *(
            ("--additional", ",".join(str(file.absolute()) for file in task.additional_files))
            if task.additional_files
            else ()
        ),
        *options,
        *("sumo--seed", str(task.seed), "duarouter--seed", str(task.seed)),
    ]
    run_tool("assign/duaIterate.py", words, task.folder, "duaIterate cannot route the demand", say, DUA_LOG)
    last = f"{task.iterations - 1:03}"
    (file,) = (task.folder / last).glob(f"*_{last}.rou.xml*")
    return Plan((file,), runs=task.iterations)
