"""`leed animate`: driven runs side by side as one animated SVG."""

from __future__ import annotations

from pathlib import Path

import typer

from leed_agentic.cli.console import err, out


def animate(
    runs: list[str] = typer.Argument(
        metavar="RUN...",
        help="Folders with a run.sumocfg on one map, such as those of `leed drive --out`; LABEL=FOLDER sets the words "
        "above it.",
    ),
    file: Path = typer.Option(Path("animation.svg"), "--out", help="The file."),
    seconds: float = typer.Option(20, min=1, max=600, help="Seconds that a round of the animation takes."),
    every: float = typer.Option(3, min=1, max=60, help="Simulated seconds between two samples of a car's place."),
) -> None:
    """Drive runs again by SUMO and show them beside each other on the map, every car coloured by its speed."""
    from leed_agentic.errors import UsageError
    from leed_agentic.report.animation import animate as draw

    folders: dict[str, Path] = {}
    for run in runs:
        label, found, folder = run.partition("=")
        if not found:
            label, folder = Path(run).name, run
        if label in folders:
            raise UsageError(f"Two runs are called {label}; name them apart, LABEL=FOLDER.")
        folders[label] = Path(folder)
    with err.status("driving the runs again"):
        draw(folders, file, seconds, every)
    out.print(f"{file} ({file.stat().st_size / 1e6:.1f} MB)", markup=False, highlight=False)
