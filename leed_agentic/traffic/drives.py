"""Several ways of routing one demand, driven by plain SUMO on the same seeds and set side by side."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.runs.folder import check_links
from leed_agentic.traffic.baselines import BASELINES, Plan, Task, drive_plan, make_plan, shortest_path
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
    on_shortest_paths: int = 0
    """Vehicles that a file of routes does not name: they drive on the fastest path of empty streets."""


def drive_all(
    names: Sequence[str],
    task: Task,
    seeds: Sequence[int],
    fleet: Collection[str] | None = None,
    out: Path | None = None,
    emissions: bool = False,
    say: Callable[[str], None] = lambda _line: None,
) -> list[Row]:
    """A row per name: a baseline, a dotted path, a SUMO route file or a folder that holds routes.rou.xml.

    Args:
        task: the demand; each name plans in a folder of its own below the task's.
        fleet: ids whose figures are taken; None: everybody.
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
        drives, seconds = [], []
        for seed in seeds:
            say(f"{label}: driving, seed {seed}")
            driven = drive_plan(plan, own, seed, emissions=emissions)
            drives.append(measure(driven, fleet))
            seconds.append(driven.seconds)
        rows.append(Row(label, plan.runs, plan.seconds, float(np.mean(seconds)), tuple(drives), left))
        if out is not None:
            write_reproduction(
                out / label,
                task.net_file,
                plan.route_files[0],
                begin=task.begin,
                end=task.end,
                seed=seeds[0],
                teleport_seconds=task.teleport_seconds,
                options=plan.options,
                fleet=fleet,
            )
    return rows


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
    if Path(words).is_file():
        found = [line.strip() for line in Path(words).read_text(encoding="utf-8").splitlines() if line.strip()]
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
    return Plan((routes,)), len(missing)


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
