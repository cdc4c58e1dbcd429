"""`leed demo leaderboard`: comparisons of several people or days in one table."""

from __future__ import annotations

from pathlib import Path

import typer

from leed_agentic.cli.console import out, print_json


def leaderboard(
    folder: Path = typer.Argument(help="A folder that holds folders of leed demo compare."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Put comparisons of the same scenarios into one table, best first, and write it to the folder.

    What cannot be compared is refused: another version, other scenarios, seeds or refinements, prompts that are not
    those of their hashes.
    """
    from leed_agentic.comparing.leaderboard import leaderboard as make

    made = make(folder)
    if as_json:
        rows = [dict(zip(made.header, row, strict=True)) for row in made.rows]
        print_json({"rows": rows, "files": [str(file) for file in made.files]})
        return
    for place, row in enumerate(made.rows, 1):
        facts = [f"{name} {cell}" for name, cell in zip(made.header[7:], row[7:], strict=True)]
        out.print(f"{place}. {', '.join(row[:7])}: {', '.join(facts)}", markup=False, highlight=False)
    out.print("\n".join(map(str, made.files)), markup=False, highlight=False)
