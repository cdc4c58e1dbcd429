"""Options that several commands share."""

from __future__ import annotations

import typer

Trust = typer.Option(
    False, "--trust", help="Let the files and folders given here name code to run, and a server that gets the key."
)
