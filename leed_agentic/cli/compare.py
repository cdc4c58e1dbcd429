"""`leed demo compare`: models, prompts and ways of planning on the same scenarios."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.cli.options import Background, Closures, Demand, Fleet, Trust, demand_assignments, demand_settings
from leed_agentic.errors import StoppedError, UsageError

if TYPE_CHECKING:
    from leed_agentic.experiments.compare import Compared
    from leed_agentic.experiments.comparison import Comparison
    from leed_agentic.experiments.runner import Progress


def compare(
    models: list[str] | None = typer.Option(
        None,
        "--model",
        help="provider:name, name@address, stand-in or a settings file (.yaml); give it again for more.",
    ),
    prompts: str | None = typer.Option(None, help="default, short or folders of templates, separated by commas."),
    planning: str | None = typer.Option(None, help="Of fleet, agent, junction; separated by commas."),
    maps: str | None = typer.Option(None, help="Maps, separated by commas."),
    agents: str | None = typer.Option(None, help="Number of agents; several, separated by commas."),
    demand: list[Path] | None = Demand,
    fleet: str | None = Fleet,
    background: list[Path] | None = Background,
    closures: Path | None = Closures,
    feedback: str | None = typer.Option(None, help="Feedback strategies, separated by commas."),
    rounds: str | None = typer.Option(
        None, help="Refinements after which to measure, rising, separated by commas; unset: 0 and demonstration.rounds."
    ),
    trials: int = typer.Option(10, help="Scenarios, seeded 0, 1, 2 ... from the setting seed on; the same for all."),
    policies: list[Path] | None = typer.Option(
        None, "--policy", help="A training run, compared with in the trial of its own scenario; give it again for more."
    ),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, for models that name no address."),
    record: str = typer.Option(
        "auto", help="auto: ask only what is not recorded in --out; off: ask all, record nothing; only: never ask."
    ),
    out_folder: Path = typer.Option(Path("comparison"), "--out", help="Folder of the trials and the report."),
    jobs: int | None = typer.Option(None, help="Trials at a time, each in a process; as many as there are cores."),
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, for all, such as -s model.calls_per_minute=60."
    ),
    trust: bool = Trust,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Compare models, prompts and ways of planning; tables and a picture go to --out. Call it again to go on.

    Exit code 1: some trials failed; the tables cover the others. 2 and 3: a model was never asked, as its name is
    wrong or it cannot be reached; likewise.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be 1 or more, not {jobs}.")
    words = demand_settings(demand, fleet, background, closures, agents)
    done = "Stopped before anything was asked."
    try:
        with err.status("reading settings") as status:
            from leed_agentic.experiments.compare import compare as make_comparison
            from leed_agentic.experiments.comparison import Wanted, plan_comparison

            wanted = Wanted(
                models=tuple(models or ()),
                prompts=_words("--prompts", prompts),
                plannings=_words("--planning", planning),
                maps=_words("--maps", maps),
                agents=_numbers("--agents", agents),
                feedbacks=_words("--feedback", feedback),
                rounds=_numbers("--rounds", rounds),
                trials=trials,
                policies=tuple(policies or ()),
                base_url=base_url,
                record=record,
                assignments=(*demand_assignments(words), *(assignments or ())),
                trust=trust,
            )
            comparison = plan_comparison(wanted, status.update)
            done = "Stopped; what was done and recorded is kept: the same command goes on."

            def on_progress(progress: Progress) -> None:
                err.print(progress.line, markup=False, highlight=False)
                status.update(progress.counts)

            command = shlex.join(["leed", *sys.argv[1:]])
            at_once = jobs or os.cpu_count() or 1
            result = make_comparison(comparison, out_folder, at_once, command, on_progress, status.update)
    except KeyboardInterrupt:
        raise StoppedError(done) from None
    if as_json:
        rows = [row.as_json() for row in result.rows]
        print_json({"rows": rows, "failed": result.failed, "files": [str(file) for file in result.files]})
    else:
        _show(comparison, result)
    if result.silent:
        raise result.silent
    if result.failed:
        raise typer.Exit(1)


def _show(comparison: Comparison, result: Compared) -> None:
    """The means; intervals and what all combinations share are in table.md."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from leed_agentic.experiments.comparison_table import FIGURES, SHORT, varied

    axes = varied(comparison)
    known = [name for name in SHORT if any(row.figures[name] for row in result.rows)]
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(", ".join(axes))
    for title in ("ref.", *(SHORT[name] for name in known)):
        table.add_column(title, justify="right", no_wrap=True)
    for row in result.rows:
        means = [FIGURES[name].cell(row.figures[name], interval=False) for name in known]
        table.add_row(row.label(axes), str(row.rounds), *means)
    out.print(table)
    last = [row for row in result.rows if row.rounds == comparison.rounds[-1]]
    for row in last:
        if row.errors:
            kinds = ", ".join(f"{kind} {count:.1f}" for kind, count in row.errors.items())
            out.print(f"Errors per trial, {row.label(axes)}: {kinds}", markup=False, highlight=False)
    if not any(row.figures["cost"] for row in last):
        out.print("Cost unknown: no prices are set, or the server reports no tokens.")
    for where, why in result.failed.items():
        out.print(f"Failed: {where}: {why}", markup=False, highlight=False)
    out.print("\n".join(map(str, result.files)), markup=False, highlight=False)


def _words(option: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise UsageError(f"{option} is empty; name at least one, or leave it out.")
    return words


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(option, text))
    except ValueError:
        raise UsageError(f"{option} takes a number, or several separated by commas, not {text!r}.") from None
