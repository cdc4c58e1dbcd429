"""`leed drive`: routes and baselines on one demand, by plain SUMO, in one table."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.cli.map import AsJson, Assignments, SettingsFile

if TYPE_CHECKING:
    from leed_agentic.setting_groups import MapSettings
    from leed_agentic.traffic.closures import Closure
    from leed_agentic.traffic.drives import Row

USUAL = ("shortest-path", "rerouting", "dua-iterate")
AFTER_LAST = 5400
"""Seconds: a drive ends this long after the last departure, where the user gives no end."""


def drive(
    names: list[str] | None = typer.Argument(
        None,
        metavar="[NAME]...",
        help="Route files (.rou.xml), run folders, or baselines: shortest-path (or duarouter), free-flow, "
        "shortest-path-noise, random, lights, one-shot, rerouting, dua-iterate, dua-marginal, a dotted path. Unset: "
        "shortest-path rerouting dua-iterate.",
    ),
    demand: list[Path] | None = typer.Option(
        None, help="SUMO trips, flows or routes (.xml, .xml.gz); may be given again. Unset: of the first run folder."
    ),
    map_name: str | None = typer.Option(None, "--map", help="The map; unset: of the suite or the first run folder."),
    suite: str | None = typer.Option(None, help="A named demand in place of --demand and --map, such as ingolstadt21."),
    fleet: str | None = typer.Option(
        None, help="Whose figures: a number, a share such as 20%, a file of ids, a vehicle type. Unset: everybody's."
    ),
    closures: Path | None = typer.Option(
        None, help="CSV of streets closed or slowed for a while. Unset: those of the run folder that the demand is of."
    ),
    drop_unreachable: bool = typer.Option(False, help="Leave out vehicles that no way is left for; else refused."),
    noise_seeds: int = typer.Option(1, min=1, max=1000, help="Drives of each, on as many SUMO seeds."),
    seed: int = typer.Option(
        23423, min=0, max=2_000_000_000, help="The first SUMO seed, and that of everything drawn; unset: SUMO's own."
    ),
    sigma: float | None = typer.Option(
        None, min=0, max=1, help="Imperfection of all drivers; unset: as the files say."
    ),
    speed_dev: float | None = typer.Option(
        None, min=0, max=1, help="Deviation of the speed that drivers want; unset: as the files say."
    ),
    iterations: int = typer.Option(8, min=1, max=1000, help="SUMO runs of dua-iterate and dua-marginal."),
    begin: float | None = typer.Option(None, help="Second of the simulation to begin at; unset: the first departure."),
    end: float | None = typer.Option(None, help="Second to end at; unset: 5400 s after the last departure."),
    teleport: float = typer.Option(300, help="Seconds after which SUMO moves a stuck vehicle; negative: never."),
    emissions: bool = typer.Option(False, "--co2", help="Also measure CO2."),
    folder: Path | None = typer.Option(None, "--out", help="A new folder: each row as a run that `sumo -c` drives."),
    export: list[str] | None = typer.Option(
        None, help="With --out: also each row in this format of `leed export`, such as geojson; may be given again."
    ),
    settings_file: Path | None = SettingsFile,
    assignments: list[str] | None = Assignments,
    as_json: bool = AsJson,
) -> None:
    """Drive routes and baselines in plain SUMO on the same demand and seeds, and compare them in one table.

    Times are seconds from the planned departure to the arrival. Waiting to be inserted counts, and a vehicle that does
    not arrive counts to the end.
    """
    from leed_agentic.errors import UsageError
    from leed_agentic.roads.markup import check_markup
    from leed_agentic.runs.folder import create_run_folder
    from leed_agentic.settings import load_settings
    from leed_agentic.traffic.baselines import Task
    from leed_agentic.traffic.driver_noise import DriverNoise
    from leed_agentic.traffic.drives import (
        check_edges,
        close_streets,
        drive_all,
        fleet_ids,
        route_file,
        temporary_folder,
        with_ways,
    )
    from leed_agentic.traffic.export import check_format, export_run
    from leed_agentic.traffic.trip_files import TripFile

    for form in export or ():
        check_format(form)
    if export and folder is None:
        raise UsageError("--export writes into the folders of the rows; give --out as well.")
    settings = load_settings(settings_file, assignments or (), uses="map").map
    names = names or list(USUAL)
    if os.getcwd() not in sys.path:
        # An installed command does not look into the folder it is run in, where a user's own baseline lies.
        sys.path.append(os.getcwd())
    for name in names:
        route_file(name)
    noise = None
    if sigma is not None or speed_dev is not None:
        noise = DriverNoise(sigma, speed_dev)
    with temporary_folder() as place, err.status("reading the demand") as status:
        work = Path(place)
        window = (begin, end)
        if suite is not None:
            if demand or map_name:
                raise UsageError("--suite names both map and demand; leave out --map and --demand.")
            net_file, files, window = _suite(suite, settings, work, window)
        else:
            net_file, files = _files(names, demand, map_name, settings)
            check_markup(net_file, "a SUMO network", "build it again with `leed map build` or netconvert")
        trips = TripFile.gather(files, net_file, work / "demand", noise)
        check_edges(trips, net_file)
        first = int(trips.first) if window[0] is None else window[0]
        last = trips.last + AFTER_LAST if window[1] is None else window[1]
        if last <= trips.last:
            raise UsageError(f"The last vehicle departs at {trips.last:g} s; give a later --end than {last:g}.")
        task = Task(net_file, trips, first, last, work / "plans", seed, iterations, teleport)
        shut = _closures(closures, files, net_file)
        if shut:
            task = close_streets(task, shut, work)
        if shut or drop_unreachable:
            task = with_ways(task, drop_unreachable, lambda line: err.print(line, markup=False, highlight=False))
        ids = fleet_ids(fleet, task.demand, seed) if fleet else None
        target = create_run_folder(folder) if folder else None
        seeds = list(range(seed, seed + noise_seeds))
        rows = drive_all(names, task, seeds, ids, target, emissions, shut, status.update)
        if target is not None:
            for row, form in itertools.product(rows, export or ()):
                status.update(f"{row.name}: {form}")
                export_run(target / row.name, form)
    facts = {
        "demand": suite or [str(file) for file in files],
        "net": str(net_file),
        "vehicles": len(task.demand.trips),
        "fleet": len(ids) if ids else None,
        "begin": first,
        "end": last,
        "closures": len(shut),
        "seeds": seeds,
        "sigma": noise and noise.sigma,
        "speed_dev": noise and noise.speed_dev,
        "teleport_seconds": teleport,
    }
    if as_json:
        print_json(facts | {"rows": [_as_json(row) for row in rows]})
    else:
        _show(facts, rows, emissions)


def _suite(
    name: str, settings: MapSettings, folder: Path, window: tuple[float | None, float | None]
) -> tuple[Path, list[Path], tuple[float | None, float | None]]:
    from leed_agentic.traffic.suites import find_suite

    suite = find_suite(name)
    net_file, demand = suite.open(settings, folder)
    err.print(f"{suite.name} version {suite.version}: {suite.title}. {suite.credit}.", markup=False, highlight=False)
    begin, end = window
    return net_file, [demand], (suite.begin if begin is None else begin, suite.end if end is None else end)


def _files(
    names: list[str], demand: list[Path] | None, map_name: str | None, settings: MapSettings
) -> tuple[Path, list[Path]]:
    """Net and demand, from the first run folder where they are not given."""
    from leed_agentic.errors import UsageError
    from leed_agentic.roads.catalogue import NET_ENDINGS, open_map
    from leed_agentic.roads.markup import check_is_file
    from leed_agentic.traffic.reproduction import ROUTES

    run = next((Path(name) for name in names if Path(name).is_dir()), None)
    if not demand:
        if run is None:
            raise UsageError("Say who drives: --demand with a file of SUMO trips, --suite, or a run folder.")
        # The types of its vehicles may stand in the additional files.
        demand = [*sorted(run.glob("additional-*.add.xml")), run / ROUTES]
    if map_name is None:
        nets = [run / f"map{ending}" for ending in NET_ENDINGS if (run / f"map{ending}").is_file()] if run else []
        if not nets:
            raise UsageError("Say where they drive: --map with a map's name or a .net.xml file.")
        return nets[0], demand
    if map_name.endswith(NET_ENDINGS):
        # As it is: a demand may use streets that our own street graph leaves out.
        check_is_file(Path(map_name), "net", "check the path")
        return Path(map_name), demand
    return open_map(map_name, settings).net_file, demand


def _closures(file: Path | None, demand: list[Path], net_file: Path) -> tuple[Closure, ...]:
    """Of a file, or of the run folder that the demand is of."""
    from leed_agentic.traffic.closed_net import NetStreets
    from leed_agentic.traffic.closures import read_closures
    from leed_agentic.traffic.reproduction import CLOSURES, ROUTES

    beside = [folder / CLOSURES for folder in (part.parent for part in demand if part.name == ROUTES)]
    file = file or next((found for found in beside if found.is_file()), None)
    return read_closures(file, NetStreets(net_file)) if file else ()


def _as_json(row: Row) -> dict[str, Any]:
    from dataclasses import asdict

    mean = _over_seeds(row, "mean")
    return asdict(row) | {"mean": {"mean": mean.mean, "low": mean.low, "high": mean.high}}


def _over_seeds(row: Row, figure: str) -> Any:
    import numpy as np

    from leed_agentic.experiments.statistics import mean_and_interval

    return mean_and_interval(np.array([getattr(drive, figure) for drive in row.drives], dtype=np.float64))


def _show(facts: dict[str, Any], rows: list[Row], emissions: bool) -> None:
    whose = f"a fleet of {facts['fleet']} among {facts['vehicles']}" if facts["fleet"] else f"{facts['vehicles']}"
    changed = (("sigma", facts["sigma"]), ("speed deviation", facts["speed_dev"]))
    noise = "".join(f", {name} {value:g}" for name, value in changed if value is not None)
    out.print(
        f"{whose} vehicles, {facts['begin']:g} to {facts['end']:g} s{noise}, "
        f"SUMO seeds {facts['seeds'][0]} to {facts['seeds'][-1]}; seconds from planned departure to arrival",
        markup=False,
        highlight=False,
    )
    others = bool(facts["fleet"])
    heads = ["routes", "mean", "vs first", "median", "95 %", "lost", *(["others"] if others else [])]
    heads += ["unfinished", "teleports", "km", *(["CO2 kg"] if emissions else []), "plan runs", "plan s", "drive s"]
    lines = [heads]
    base = _over_seeds(rows[0], "mean").mean
    for row in rows:
        mean = _over_seeds(row, "mean")
        cells = [str(mean), f"{mean.mean / base - 1:+.1%}"]
        cells += [f"{_over_seeds(row, figure).mean:.1f}" for figure in ("median", "p95", "time_lost")]
        if others:
            cells.append("-" if row.drives[0].others_mean is None else str(_over_seeds(row, "others_mean")))
        cells += [f"{_over_seeds(row, figure).mean:g}" for figure in ("unfinished", "teleports")]
        cells.append(f"{_over_seeds(row, 'km').mean:.0f}")
        if emissions:
            cells.append(f"{_over_seeds(row, 'co2_kg').mean:.1f}")
        cells += [str(row.runs), f"{row.planning_seconds:.1f}", f"{row.sumo_seconds:.1f}"]
        lines.append([row.name, *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for name, *figures in lines:
        text = "  ".join(f"{figure:>{width}}" for figure, width in zip(figures, widths[1:], strict=True))
        # Not a table of Rich's, which cuts figures off where the terminal is narrow.
        out.print(f"{name:<{widths[0]}}  {text}", markup=False, highlight=False)
    if facts["closures"]:
        out.print(
            "Baselines know all closures from the start, and take a closed street for closed to the end.",
            markup=False,
            highlight=False,
        )
    for row in rows:
        if row.turned_into_closed:
            out.print(
                f"{row.name}: {row.turned_into_closed} vehicles turned into a street while it was closed.",
                markup=False,
                highlight=False,
            )
        if never := _over_seeds(row, "never_departed").mean:
            out.print(
                f"{row.name}: of the unfinished vehicles {never:g} never found room on their first street.",
                markup=False,
                highlight=False,
            )
        if row.on_shortest_paths:
            out.print(
                f"{row.name} names no route for {row.on_shortest_paths} vehicles; they drive on shortest paths.",
                markup=False,
                highlight=False,
            )
