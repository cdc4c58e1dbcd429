"""The figures of fleets as a table of text, the same for every command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leed_agentic.traffic.measures import FleetFigures

_COLUMNS = (
    ("mean", "mean", ".1f"),
    ("median", "median", ".1f"),
    ("95 %", "p95", ".1f"),
    ("total", "total", ".0f"),
    ("insertion", "insertion_delay", ".1f"),
    ("lost", "time_lost", ".1f"),
    ("unfinished", "unfinished", ".4g"),
    ("teleports", "teleports", ".4g"),
    ("collisions", "collisions", ".4g"),
    ("km", "km", ".1f"),
    ("CO2 kg", "co2_kg", ".1f"),
    ("others", "others_mean", ".1f"),
)
_ASKED = ("co2_kg", "others_mean")
"""Left out where nobody has the figure."""


def fleet_lines(fleets: Mapping[str, FleetFigures]) -> list[str]:
    """A line of heads and one a fleet, by name; as wide as it has to be, since a table of Rich's cuts figures off."""
    columns = [
        column
        for column in _COLUMNS
        if column[1] not in _ASKED or any(fleet.get(column[1]) is not None for fleet in fleets.values())
    ]
    rows = [["", *(head for head, _, _ in columns)]]
    for name, fleet in fleets.items():
        rows.append([name, *(_cell(fleet.get(key), form) for _, key, form in columns)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        " ".join([f"{row[0]:<{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _cell(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "-"
