"""Several ways of routing one demand, driven by plain SUMO on the same seeds and set side by side."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import nearest_id
from leed_agentic.runs.files import check_plain, is_named
from leed_agentic.runs.folder import check_links
from leed_agentic.traffic.baselines import (
    BASELINES,
    Plan,
    Task,
    drive_plan,
    make_plan,
    no_way,
    shortest_path,
    without_way,
)
from leed_agentic.traffic.closed_net import NetStreets, turned_into_closed, write_closed_net, write_speed_signs
from leed_agentic.traffic.closures import Closure
from leed_agentic.traffic.measures import FleetMeasures, measure
from leed_agentic.traffic.reproduction import ROUTES, write_reproduction
from leed_agentic.traffic.trip_files import Route, TripFile, read_routes


@dataclass(frozen=True)
class Row:
    """One way of routing: what it took to plan and what its drives came to, a drive per seed."""

    name: str
    runs: int
    """SUMO runs of the planning."""
    planning_seconds: float
    sumo_seconds: float
    """Wall-clock seconds of one drive, on average."""
    drives: tuple[FleetMeasures, ...]
    turned_into_closed: int = 0
    """Vehicles that entered a street while it was closed, in the drive with most of them."""
    on_shortest_paths: int = 0
    """Vehicles that a file of routes does not name: they drive on the fastest path of empty streets."""


def drive_all(
    names: Sequence[str],
    task: Task,
    seeds: Sequence[int],
    fleet: Collection[str] | None = None,
    out: Path | None = None,
    emissions: bool = False,
    closures: Sequence[Closure] = (),
    say: Callable[[str], None] = lambda _line: None,
) -> list[Row]:
    """A row per name: a baseline, a dotted path, a SUMO route file or a folder that holds routes.rou.xml.

    Args:
        task: the demand; each name plans in a folder of its own below the task's.
        fleet: ids whose figures are taken; None: everybody.
        closures: what the task's nets are without; who turned into a closed street all the same is counted.
        out: gets a folder per row from which `sumo -c run.sumocfg` drives it again, on the first seed.

    Raises:
        UsageError: a name is none of these, its routes are not of this demand, or SUMO refuses them.
    """
    labels = _labels(names)
    rows = []
    for name, label in zip(names, labels, strict=True):
        say(f"{label}: planning")
        folder = task.folder / label
        folder.mkdir(parents=True)
        own = replace(task, folder=folder, say=lambda line, label=label: say(f"{label}: {line}"))  # type: ignore[misc]
        plan, left = _plan(name, own)
        drives, seconds, turned = [], [], 0
        for seed in seeds:
            say(f"{label}: driving, seed {seed}")
            driven = drive_plan(plan, own, seed, emissions=emissions)
            drives.append(measure(driven, fleet))
            turned = max(turned, turned_into_closed(driven, closures))
            seconds.append(driven.seconds)
        rows.append(Row(label, plan.runs, plan.seconds, float(np.mean(seconds)), tuple(drives), turned, left))
        if out is not None:
            write_reproduction(
                out / label,
                plan.net_file(task),
                plan.route_files[0],
                begin=task.begin,
                end=task.end,
                seed=seeds[0],
                teleport_seconds=task.teleport_seconds,
                additional_files=task.additional_files,
                options=plan.options,
                fleet=fleet,
                closures=closures,
            )
    return rows


def check_edges(demand: TripFile, net_file: Path) -> None:
    """Raises UsageError with the nearest edge where a trip begins or ends on one that the net lacks."""
    known = {street.id for street in NetStreets(net_file).edges}
    strange = [
        (name, trip[place])
        for name, trip in demand.trips.items()
        for place in ("from", "to")
        if place in trip and trip[place] not in known
    ]
    if strange:
        name, edge = strange[0]
        count = len({vehicle for vehicle, _ in strange})
        raise UsageError(
            f"The net has no edge {edge!r} of vehicle {name!r} ({count} of {len(demand.trips)} vehicles name such); "
            f"{nearest_id(edge, known)}"
        )


def close_streets(task: Task, closures: Sequence[Closure], folder: Path) -> Task:
    """The task on a net that nobody can turn into the closed streets of, and with signs that slow the slowed ones.

    Closures outside the task's seconds change nothing.
    """
    met = [closure for closure in closures if closure.begin < task.end and closure.end > task.begin]
    if not met:
        return task
    net, signs = folder / "closed.net.xml", folder / "slow.add.xml"
    write_closed_net(task.net_file, net, met)
    additional = (signs,) if write_speed_signs(task.net_file, signs, met) else ()
    return replace(task, net_file=net, whole_net=task.net_file, additional_files=additional)


def with_ways(task: Task, drop: bool, say: Callable[[str], None]) -> Task:
    """The task without the vehicles that its net has no way for; said.

    Raises:
        UsageError: there are such, and they are not to be dropped; or nobody is left.
    """
    folder = task.folder.with_name("ways")
    folder.mkdir(parents=True, exist_ok=True)
    stuck = without_way(replace(task, folder=folder))
    if not stuck:
        return task
    total = len(task.demand.trips)
    said = no_way(task, stuck)
    if not drop:
        fewer = "close fewer streets, or " if task.whole_net else ""
        raise UsageError(f"{said}; {fewer}leave these vehicles out with --drop-unreachable.")
    if len(stuck) == total:
        raise UsageError(f"{said}: nobody is left to drive; give another demand or map.")
    say(f"{said}; they are left out.")
    left = {name: trip for name, trip in task.demand.trips.items() if name not in set(stuck)}
    demand = replace(task.demand, trips=left)
    demand.write()
    return replace(task, demand=demand)


def fleet_ids(words: str, demand: TripFile, seed: int = 0) -> list[str]:
    """The vehicles that "100", "20%", a file of ids (one a line) or the name of a vehicle type stand for.

    Raises:
        UsageError: none of these, more than the demand holds, or an id that it does not have.
    """
    ids = list(demand.trips)
    if number := re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", words.strip()):
        wanted = round(float(number[1]) * (len(ids) / 100 if number[2] else 1))
        if not 0 < wanted <= len(ids):
            raise UsageError(
                f"A fleet of {words} is {wanted} vehicles, and the demand holds {len(ids)}; give 1 to that."
            )
        drawn = np.random.default_rng([seed, 0xF1EE7]).permutation(len(ids))[:wanted]
        return [ids[k] for k in sorted(drawn)]
    if is_named(words):
        try:
            text = check_plain(Path(words)).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise UsageError(f"Cannot read the fleet {words}: {error}.") from error
        found = [line.strip() for line in text.splitlines() if line.strip()]
        if strangers := [name for name in found if name not in demand.trips]:
            raise UsageError(
                f"{words} names {len(strangers)} vehicles that the demand lacks, such as {strangers[0]!r}."
            )
        return found
    typed = [name for name, trip in demand.trips.items() if trip.get("type") == words]
    if not typed:
        raise UsageError(
            f"--fleet {words!r} is no number, share such as 20%, file of ids or vehicle type of the demand; give one."
        )
    return typed


def route_file(name: str) -> Path | None:
    """The routes that a file or a run folder holds; None where the name is that of a baseline."""
    if name in BASELINES.names():
        return None
    path = Path(name)
    if path.is_dir():
        check_links(path)
        if not (path / ROUTES).is_file():
            raise UsageError(f"The folder {name} holds no {ROUTES}; give a run folder or a route file.")
        return path / ROUTES
    if path.is_file() or name.endswith((".xml", ".xml.gz")):
        return path
    # Unknown names are refused here, before anything is driven.
    BASELINES.get(name)
    return None


def _plan(name: str, task: Task) -> tuple[Plan, int]:
    file = route_file(name)
    if file is None:
        return make_plan(name, task), 0
    given: dict[str, Route] = read_routes(file)
    missing = set(task.demand.trips) - set(given)
    if missing:
        filler = read_routes(shortest_path(task).route_files[0])
        given |= {vehicle: filler[vehicle] for vehicle in missing}
    routes = task.folder / "given.rou.xml"
    task.demand.write_routes(routes, given)
    return Plan((routes,), whole_net=True), len(missing)


def _labels(names: Sequence[str]) -> list[str]:
    """Names of rows and of folders: no two alike."""
    labels: list[str] = []
    for name in names:
        if not name.strip():
            raise UsageError("An empty name is no baseline, route file or run folder; leave it out.")
        route_file(name)
        stem = Path(name).name.removesuffix(".gz").removesuffix(".xml").removesuffix(".rou") or "run"
        label, number = stem, 2
        while label in labels:
            label, number = f"{stem}-{number}", number + 1
        labels.append(label)
    return labels


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """For a task's folder, where nobody wants to keep it."""
    return tempfile.TemporaryDirectory(prefix="leed-drive-")
