"""The figures of fleets as a table of text, the same in every command and report."""

from __future__ import annotations

from collections.abc import Mapping

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


def fleet_table(fleets: Mapping[str, Mapping[str, object]]) -> list[list[str]]:
    """A row of heads and one a fleet, by name; the figures are `FleetFigures`, or what a file from elsewhere has."""
    columns = [
        column
        for column in _COLUMNS
        if column[1] not in _ASKED or any(fleet.get(column[1]) is not None for fleet in fleets.values())
    ]
    rows = [[name, *(_cell(fleet, key, form) for _, key, form in columns)] for name, fleet in fleets.items()]
    return [["", *(head for head, _, _ in columns)], *rows]


def fleet_lines(fleets: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The table as lines, as wide as it has to be: one of Rich's cuts figures off where the terminal is narrow."""
    rows = fleet_table(fleets)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        " ".join([f"{row[0]:<{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _cell(fleet: Mapping[str, object], key: str, form: str) -> str:
    value, never = fleet.get(key), fleet.get("never_departed")
    if not isinstance(value, int | float):
        return "-"
    waited = (
        f" ({never:.4g} never departed)" if key == "unfinished" and isinstance(never, int | float) and never else ""
    )
    return format(value, form) + waited
