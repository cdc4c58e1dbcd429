"""`leed experiment`: repeat training over seeds, maps and choices, and compare."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.cli.interrupt import same_command_goes_on
from leed_agentic.cli.options import comma_numbers, comma_words

if TYPE_CHECKING:
    from leed_agentic.experiments.runner import Progress

app = typer.Typer(no_args_is_help=True, help="Experiments: repeat training over seeds, maps and choices, and compare.")


@app.command("list")
def list_experiments(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Every experiment, what it asks and what it compares."""
    from leed_agentic.experiments import experiments

    known = [experiments.get(name) for name in experiments.names()]
    if as_json:
        print_json({e.name: {"question": e.question, "arms": e.compared, "maps": e.maps} for e in known})
        return
    for e in known:
        out.print(f"{e.name}: {e.question}; {', '.join(e.compared)}", markup=False, highlight=False)


@app.command()
def run(
    name: str = typer.Argument(help="One of `leed experiment list`."),
    maps: str | None = typer.Option(None, help="Maps, separated by commas; unset: the experiment's own."),
    arms: list[str] | None = typer.Option(
        None,
        "--arm",
        help="Only this arm; give it again for more. Also yours: a dotted path, or a YAML file of labels and settings.",
    ),
    seeds: int | None = typer.Option(
        None,
        help="Independent runs of each arm, seeded 0, 1, 2 ...; unset: as in the paper, 5 (table2: 10, held-out: 1).",
    ),
    episodes: int | None = typer.Option(None, help="Episodes of each training run."),
    agents: str | None = typer.Option(None, help="Number of agents; several, separated by commas, are compared."),
    source: str | None = typer.Option(None, help="Of demonstrations, for the arms that do not set it."),
    model: str | None = typer.Option(None, help="Of source graph; unset: stand-in, which calls no LLM."),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1."),
    policy_episodes: int = typer.Option(
        0, help="table2: episodes that the agents learn before demonstrations are compared with them."
    ),
    trials: int = typer.Option(8, help="tuning: random settings tried of each arm, the first being the defaults."),
    scenarios: int = typer.Option(50, help="held-out: scenarios that training never drew, one drive each."),
    jobs: int | None = typer.Option(None, help="Runs at a time, each in a process; as many as there are cores."),
    backend: str = typer.Option(
        "processes", help="processes, or ray: the cluster of RAY_ADDRESS, else workers of this machine."
    ),
    out_folder: Path = typer.Option(
        Path("experiments"), "--out", help="Folder of runs/ (shared, never made twice) and a report per experiment."
    ),
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, for every arm."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Make the runs that are missing, then write tables, curves and pictures. Call it again to go on after a stop.

    Exit code 1: some runs failed; the report covers the others' arms as far as they are complete. 2 and 3: a wrong
    name, or a model that cannot be reached, ends the experiment without a report.
    """
    from leed_agentic.credentials import without_anything_like_a_key
    from leed_agentic.errors import check_count
    from leed_agentic.experiments import experiments
    from leed_agentic.experiments.run import Request
    from leed_agentic.experiments.runner import run_experiment

    check_count("--seeds", seeds)
    check_count("--jobs", jobs, most=1000)
    check_count("--policy-episodes", policy_episodes, least=0)
    fleets = comma_numbers("--agents", agents)
    changes = {
        "learning.episodes": episodes,
        "scenario.agents": fleets[0] if len(fleets) == 1 else None,
        "learning.source": source,
        "model.name": model,
        "model.base_url": base_url,
    }
    experiment = experiments.get(name)
    request = Request(
        comma_words("--maps", maps),
        seeds,
        fleets,
        tuple(arms or ()),
        {key: value for key, value in changes.items() if value is not None},
        tuple(assignments or ()),
        policy_episodes,
        trials,
        scenarios,
    )
    command = without_anything_like_a_key(shlex.join(["leed", *sys.argv[1:]]))
    with err.status("looking at what there is") as status:

        def on_progress(progress: Progress) -> None:
            err.print(progress.line, markup=False, highlight=False)
            status.update(progress.counts)

        at_once = jobs or os.cpu_count() or 1
        with same_command_goes_on():
            result = run_experiment(
                experiment, request, out_folder, at_once, backend, command, on_progress, status.update
            )
    if as_json:
        failed = {"runs": sum(task.trains for task in result.tasks), "failed": result.failed}
        members = {
            member: {**outcome.data, "files": [str(file) for file in outcome.files]}
            for member, outcome in result.outcomes.items()
        }
        print_json({"experiment": experiment.name, **failed, **(members.get(experiment.name) or {"members": members})})
    else:
        for outcome in result.outcomes.values():
            out.print(outcome.text, markup=False, highlight=False)
            out.print("\n".join(map(str, outcome.files)), markup=False, highlight=False)
    if result.failed:
        raise typer.Exit(1)


@app.command()
def report(
    folder: Path = typer.Argument(help="The folder of an experiment's report, with its table.csv."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Write an experiment's tables again from the CSV beside them, with today's intervals; it needs no run.

    Means stay as they are. Of training runs the intervals of shares are made anew, of table2 all.
    """
    from leed_agentic.experiments.report import rewrite
    from leed_agentic.experiments.table2 import Table2
    from leed_agentic.runs.folder import check_links

    check_links(folder)
    files = Table2().rewrite(folder) if (folder / "prompts.csv").is_file() else rewrite(folder)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        out.print("\n".join(map(str, files)), markup=False, highlight=False)
