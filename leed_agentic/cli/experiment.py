"""`leed experiment`: repeat training over seeds, maps and choices, and compare."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import typer

from leed_agentic.cli.console import err, out, print_json

app = typer.Typer(no_args_is_help=True, help="Experiments: repeat training over seeds, maps and choices, and compare.")


@app.command("list")
def list_experiments(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Every experiment, what it asks and what it compares."""
    from leed_agentic.experiments import experiments

    known = [experiments.get(name) for name in experiments.names()]
    if as_json:
        print_json({e.name: {"question": e.question, "arms": [arm.label for arm in e.arms]} for e in known})
        return
    for e in known:
        out.print(f"{e.name}: {e.question}; {', '.join(arm.label for arm in e.arms)}", markup=False, highlight=False)


@app.command()
def run(
    name: str = typer.Argument(help="One of `leed experiment list`."),
    maps: str | None = typer.Option(None, help="Maps, separated by commas."),
    seeds: int = typer.Option(5, help="Independent runs of each arm, seeded 0, 1, 2 ..."),
    episodes: int | None = typer.Option(None, help="Episodes of each run."),
    agents: int | None = typer.Option(None, help="Number of agents."),
    source: str | None = typer.Option(None, help="Of demonstrations, for the arms that do not set it."),
    model: str = typer.Option("stand-in", help="Of source graph; the default calls no LLM."),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1."),
    jobs: int | None = typer.Option(None, help="Runs at a time, each in a process; as many as there are cores."),
    out_folder: Path = typer.Option(
        Path("experiments"), "--out", help="Folder of runs/ (shared, never made twice) and a report per experiment."
    ),
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, for every arm."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Make the runs that are missing, then write table, curves and pictures. Call it again to go on after a stop.

    Exit code 1: some runs failed; the report covers the others' arms as far as they are complete.
    """
    from leed_agentic.errors import UsageError
    from leed_agentic.experiments import experiments
    from leed_agentic.experiments.experiment import Run, runs_of
    from leed_agentic.experiments.report import as_json as row_json
    from leed_agentic.experiments.report import markdown, write_report
    from leed_agentic.experiments.runner import is_done, perform
    from leed_agentic.roads.catalogue import open_map

    for option, value in (("--seeds", seeds), ("--jobs", jobs)):
        if value is not None and value < 1:
            raise UsageError(f"{option} must be 1 or more, not {value}.")
    experiment = experiments.get(name)
    places = tuple(part.strip() for part in maps.split(",") if part.strip()) if maps else experiment.maps
    changes = {
        "learning.episodes": episodes,
        "scenario.agents": agents,
        "learning.source": source,
        "model.name": model,
        "model.base_url": base_url,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    wanted = runs_of(experiment, places, seeds, given, tuple(assignments or ()))
    with err.status("opening the maps"):
        for one in {r.map: r for r in wanted}.values():
            # A wrong name is found before anything runs, and a map is built once, not in every process.
            open_map(one.map, one.settings.map)
    parent = out_folder / "runs"
    left = len({r.key for r in wanted if not is_done(parent / r.key)})
    began, done = time.monotonic(), 0

    with err.status(f"{left} runs to make, {len(wanted)} in all") as status:

        def told(run: Run, problem: str | None) -> None:
            nonlocal done
            done += 1
            seconds = (time.monotonic() - began) / done * (left - done)
            state = "failed: " + problem if problem else "done"
            err.print(f"{run.arm}, {run.map}, seed {run.seed}: {state}", markup=False, highlight=False)
            status.update(f"{done} of {left} runs made, about {seconds / 60:.0f} min left")

        failed = perform(wanted, parent, jobs or os.cpu_count() or 1, told)
    # An arm without its failed runs would look better or worse than it is.
    broken = {(r.arm, r.map) for r in wanted if r.key in failed}
    whole = [r for r in wanted if (r.arm, r.map) not in broken]
    if not whole:
        raise UsageError(f"No arm is complete; the first failure: {next(iter(failed.values()))}")
    command = shlex.join(["leed", *sys.argv[1:]])
    rows, files = write_report(experiment, whole, parent, out_folder / name, command)
    if as_json:
        print_json(
            {
                "experiment": name,
                "runs": len(wanted),
                "failed": failed,
                "rows": [row_json(row) for row in rows],
                "files": [str(f) for f in files],
            }
        )
    else:
        out.print(markdown(experiment, rows), markup=False, highlight=False)
        out.print("\n".join(map(str, files)), markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)
