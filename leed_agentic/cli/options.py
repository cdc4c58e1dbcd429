"""Options that several commands share: whose trips are driven, on which streets, and what files may do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import typer

from leed_agentic.errors import UsageError


def plannings() -> str:
    """Names of the ways of planning, for help texts; read off their files, because importing them takes seconds."""
    folder = Path(__file__).parents[1] / "demonstrations" / "planning"
    registered = re.compile(r'^@planners\.register\("([\w-]+)"\)', re.MULTILINE)
    texts = (file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py")))
    return ", ".join(name for text in texts for name in registered.findall(text))


Demand = typer.Option(
    None,
    "--demand",
    help="Your own trips: SUMO trips, routes or flows (.xml, .xml.gz), CSV, scenario.json, or an OD matrix and, given "
    "again, its TAZ.",
)
Fleet = typer.Option(
    None, "--fleet", help="The agents among them: a number, 20%, a file of ids, or a vType; unset: all."
)
Background = typer.Option(None, "--background", help="A file of further vehicles, none an agent; may be given again.")
Closures = typer.Option(None, "--closures", help="CSV of closed or slowed streets: street,begin,end,speed,known.")
Trust = typer.Option(
    False, "--trust", help="Let the files and folders given here name code to run, and a server that gets the key."
)


def demand_settings(
    demand: list[Path] | None,
    fleet: str | None,
    background: list[Path] | None,
    closures: Path | None,
    agents: int | str | None = None,
) -> dict[str, Any]:
    """Dotted name to value of the settings these options stand for.

    Raises:
        UsageError: they contradict each other.
    """
    if demand and agents is not None:
        raise UsageError(
            "--agents draws trips, and --demand brings them; say how many of them are agents with --fleet."
        )
    return {
        "scenario.demand": [str(file) for file in demand] if demand else None,
        "scenario.fleet": fleet,
        "scenario.background_demand": [str(file) for file in background] if background else None,
        "scenario.closures": str(closures) if closures else None,
    }


def demand_assignments(given: dict[str, Any]) -> tuple[str, ...]:
    """The same as words of -s."""
    return tuple(f"{name}={json.dumps(value)}" for name, value in given.items() if value is not None)


def comma_words(option: str, text: str | None) -> tuple[str, ...]:
    """The words of an option that takes several; () where it was left out. Raises UsageError when it holds none."""
    if text is None:
        return ()
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise UsageError(f"{option} is empty; name at least one, or leave it out.")
    return words


def comma_numbers(option: str, text: str | None) -> tuple[int, ...]:
    """As `comma_words`, of whole numbers."""
    try:
        return tuple(int(word) for word in comma_words(option, text))
    except ValueError:
        raise UsageError(f"{option} takes a number, or several separated by commas, not {text!r}.") from None
