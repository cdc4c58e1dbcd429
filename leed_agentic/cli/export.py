"""`leed export`: a run in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

import typer

from leed_agentic.cli.console import err, out


def export(
    run: Path = typer.Argument(
        help="A run folder with a run.sumocfg, such as those of `leed drive --out`, or one of `leed demo compare`."
    ),
    form: str = typer.Option(
        "geojson",
        "--to",
        help="geojson (routes and street loads), csv (per vehicle), positions (for the animation of leed report), or "
        "SUMO's tripinfo, edgedata, fcd, emissions; of a "
        "comparison jsonl (a line per trial, with every prompt and reply), csv, or inspect (logs of inspect-ai).",
    ),
    file: Path | None = typer.Option(None, "--out", help="The file; unset: beside the run under the format's name."),
) -> None:
    """Drive a run again by SUMO and write what it did as GeoJSON, CSV or an output of SUMO's own.

    The trials of a comparison are written one a row.
    """
    from leed_agentic.comparing.trial_export import export_trials, is_comparison
    from leed_agentic.traffic.export import export_run

    if is_comparison(run):
        out.print(str(export_trials(run, form, file)), markup=False, highlight=False)
        return
    with err.status("driving the run again"):
        written = export_run(run, form, file)
    out.print(str(written), markup=False, highlight=False)
