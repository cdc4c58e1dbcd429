"""`leed export`: a run in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

import typer

from leed_agentic.cli.console import err, out


def export(
    run: Path = typer.Argument(help="A run folder with a run.sumocfg, such as those of `leed drive --out`."),
    form: str = typer.Option(
        "geojson",
        "--to",
        help="geojson (routes and street loads), csv (per vehicle), or SUMO's tripinfo, edgedata, fcd, emissions.",
    ),
    file: Path | None = typer.Option(None, "--out", help="The file; unset: beside the run under the format's name."),
) -> None:
    """Drive a run again by SUMO and write what it did as GeoJSON, CSV or an output of SUMO's own."""
    from leed_agentic.traffic.export import export_run

    with err.status("driving the run again"):
        written = export_run(run, form, file)
    out.print(str(written), markup=False, highlight=False)
