"""`leed demo compare`: models, prompts and ways of planning on the same scenarios."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.cli.interrupt import same_command_goes_on
from leed_agentic.cli.options import (
    Background,
    Closures,
    Demand,
    Fleet,
    Trust,
    comma_numbers,
    comma_words,
    demand_assignments,
    demand_settings,
    plannings,
)
from leed_agentic.errors import StoppedError, check_count

if TYPE_CHECKING:
    from rich.table import Table

    from leed_agentic.comparing.compare import Compared
    from leed_agentic.comparing.comparison import Comparison
    from leed_agentic.experiments.runner import Progress


def compare(
    models: list[str] | None = typer.Option(
        None,
        "--model",
        help="provider:name, name@address, stand-in or a settings file (.yaml); give it again for more.",
    ),
    prompts: str | None = typer.Option(None, help="default, short or folders of templates, separated by commas."),
    planning: str | None = typer.Option(None, help=f"Of {plannings()} or your own; separated by commas."),
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
    trials: int = typer.Option(30, help="Scenarios, seeded 0, 1, 2 ... from the setting seed on; the same for all."),
    samples: int = typer.Option(1, help="Replies drawn per scenario, each with a sampling seed of its own."),
    require: list[str] | None = typer.Option(
        None,
        help="A threshold for all after the last refinement, such as valid_first>=0.95 or cost<=0.5; exit code 1 where "
        "one is missed; give it again for more.",
    ),
    policies: list[Path] | None = typer.Option(
        None, "--policy", help="A training run, compared with in the trial of its own scenario; give it again for more."
    ),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, for models that name no address."),
    record: str = typer.Option(
        "auto", help="auto: ask only what is not recorded in --out; off: ask all, record nothing; only: never ask."
    ),
    out_folder: Path = typer.Option(Path("comparison"), "--out", help="Folder of the trials and the report."),
    jobs: int | None = typer.Option(None, help="Trials at a time, each in a process; as many as there are cores."),
    backend: str = typer.Option(
        "processes", help="processes, or ray: the cluster of RAY_ADDRESS, else workers of this machine."
    ),
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, for all, such as -s model.calls_per_minute=60."
    ),
    trust: bool = Trust,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Which model, prompt or way of planning is better, and by how much; tables and a picture go to --out.

    Pairs are judged on the same scenarios: by valid (share of agents with a valid route, at first and in the end) and
    by time against shortest path (driven time over that of the fastest path alone). Call it again to go on.

    Exit code 1: some trials failed (the tables cover the others), or --require is not met. 2 and 3: a model was never
    asked, as its name is wrong or it cannot be reached; likewise.
    """
    check_count("--jobs", jobs, most=1000)
    from leed_agentic.comparing.requirement import missed, read_requirement

    thresholds = [read_requirement(text) for text in require or ()]
    words = demand_settings(demand, fleet, background, closures, agents)
    done = "Stopped before anything was asked."
    try:
        with err.status("reading settings") as status:
            from leed_agentic.comparing.compare import compare as make_comparison
            from leed_agentic.comparing.comparison import Wanted, plan_comparison

            wanted = Wanted(
                models=tuple(models or ()),
                prompts=comma_words("--prompts", prompts),
                plannings=comma_words("--planning", planning),
                maps=comma_words("--maps", maps),
                agents=comma_numbers("--agents", agents),
                feedbacks=comma_words("--feedback", feedback),
                rounds=comma_numbers("--rounds", rounds),
                trials=trials,
                samples=samples,
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
            with same_command_goes_on():
                result = make_comparison(comparison, out_folder, at_once, command, on_progress, status.update, backend)
    except KeyboardInterrupt:
        raise StoppedError(done) from None
    short = missed(thresholds, [row for row in result.rows if row.rounds == comparison.rounds[-1]])
    if as_json:
        rows = [row.as_json() for row in result.rows]
        verdicts = [
            {"sentence": pair.sentence, "questions": [v.as_json() for v in pair.verdicts]} for pair in result.pairs
        ]
        told = {"verdicts": verdicts, "missed": short, "rows": rows, "failed": result.failed}
        print_json({**told, "files": [str(file) for file in result.files]})
    else:
        _show(comparison, result)
    if result.silent:
        raise result.silent
    for sentence in short:
        err.print(sentence, markup=False, highlight=False)
    if result.failed or short:
        raise typer.Exit(1)


def _show(comparison: Comparison, result: Compared) -> None:
    """The verdict, the figures of everybody in two tables of 80 columns, what failed, where the files are."""
    axes = _axes(comparison)
    for pair in result.pairs:
        out.print(pair.sentence, markup=False, highlight=False)
    for names in PARTS if comparison.samples > 1 or comparison.policies else PARTS[:2]:
        known = [name for name in names if any(row.figures[name] for row in result.rows)]
        if known:
            out.print(_table(comparison, result, known, axes))
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
    folder = shlex.quote(str(result.files[0].parent))
    out.print(f"Look at every trial: leed report {folder}", markup=False, highlight=False)


PARTS = (
    ("validity_before", "validity", "travel_time_ratio"),
    ("calls", "input_tokens", "output_tokens", "cost", "cost_per_valid", "seconds_median", "seconds_p95"),
    ("pass_at_k", "within", "between", "dtw"),
)
"""Figures of each table: quality with intervals, what it took, several samples."""
HEADS = {
    **{"validity_before": "valid at first", "validity": "valid", "travel_time_ratio": "time against\nshortest path"},
    **{"calls": "calls", "input_tokens": "tokens in", "output_tokens": "tokens out", "cost": "cost"},
    **{"cost_per_valid": "cost per valid", "seconds_median": "s of a reply", "seconds_p95": "s, p95"},
    **{"pass_at_k": "all valid in a sample", "within": "dev. within", "between": "dev. between", "dtw": "DTW, m"},
}
WIDTH = 80


def _table(comparison: Comparison, result: Compared, names: list[str], axes: list[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from leed_agentic.comparing.comparison_table import FIGURES, OF_ALL

    every = {**FIGURES, **OF_ALL}
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), width=None if out.width < WIDTH else WIDTH)
    table.add_column(", ".join(axes), overflow="fold", ratio=1)
    for title in ("ref.", *(HEADS[name] for name in names)):
        table.add_column(title, justify="right")
    quality = names[0] in PARTS[0]
    for row in result.rows:
        cells = [every[name].cell(row.figures[name], interval=quality) for name in names]
        # Nothing is asked before the first plan; what it took is told up to the end.
        if quality or row.rounds == comparison.rounds[-1]:
            table.add_row(row.label(axes), str(row.rounds), *cells)
    return table


def _axes(comparison: Comparison) -> list[str]:
    from leed_agentic.comparing.comparison_table import varied

    axes = varied(comparison)
    several = len({combination.labels["model"] for combination in comparison.combinations}) > 1
    return axes if several or len(axes) == 1 else axes[1:]
