"""Comparisons of several people or days in one table; what was not measured alike is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.comparing.comparison_table import FIGURES
from leed_agentic.errors import UsageError
from leed_agentic.experiments.table import csv_text, markdown_table, read_estimate
from leed_agentic.runs.files import read_json, write_text
from leed_agentic.runs.folder import check_links
from leed_agentic.runs.log import read_csv

SHOWN = ("validity_before", "validity", "travel_time_ratio", "input_tokens", "output_tokens", "cost")
ALIKE = ("rounds", "seeds", "samples")
_LABELS = ("model", "prompts", "planning", "feedback")
_WORLD = ("map", "scenario", "environment")


@dataclass(frozen=True)
class Leaderboard:
    """Best first: by valid, then by time against shortest path."""

    header: list[str]
    rows: list[list[str]]
    files: list[Path]


def leaderboard(folder: Path) -> Leaderboard:
    """Read every comparison in the folder and write table.md and table.csv beside them.

    Raises:
        UsageError: there is none, one is damaged or was changed by hand, or two were not measured alike: by another
            version, in other scenarios, after other refinements. Nothing is written then.
    """
    if (folder / "trials.csv").is_file():
        raise UsageError(f"{folder} is a comparison itself; name the folder that holds several.")
    members = sorted(file.parent for file in folder.glob("*/manifest.json") if (file.parent / "trials.csv").is_file())
    if not members:
        raise UsageError(f"{folder} holds no comparison; put folders of `leed demo compare` into it.")
    first: dict[str, Any] | None = None
    found = []
    for member in members:
        check_links(member)
        manifest = read_json(member / "manifest.json", "a comparison")
        measured = _measured(member, manifest)
        first = measured if first is None else first
        if differs := next((name for name in first if first[name] != measured[name]), None):
            raise UsageError(
                f"{members[0]} and {member} cannot be compared: they differ in {differs}; leave one of them out."
            )
        found += [(member, row) for row in _rows(member, manifest["rounds"][-1])]
    found.sort(key=lambda place: (place[1]["map"], int(place[1]["agents"]), *_rank(place[1])))
    header = ["map", "agents", "from", *_LABELS, *(FIGURES[n].title for n in SHOWN)]
    rows = [
        [*(row[a] for a in ("map", "agents")), member.name, *(row[a] for a in _LABELS), *_cells(row)]
        for member, row in found
    ]
    note = f"{len(members)} comparisons on the same scenarios, best first in each map; mean [95 % interval]."
    write_text(folder / "table.md", "\n".join([note, "", *markdown_table(header, rows)]) + "\n")
    write_text(folder / "table.csv", csv_text([header, *rows]))
    return Leaderboard(header, rows, [folder / "table.md", folder / "table.csv"])


def _measured(member: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What two comparisons must share, by its name for people."""
    try:
        for label, prompts in manifest["prompts"].items():
            for name, text in prompts["texts"].items():
                if hashlib.sha256(text.encode()).hexdigest() != prompts["sha256"][name]:
                    raise UsageError(f"{member}: the prompt {name} of {label} is not the one that its hash names.")
        worlds = {
            json.dumps({group: _of_world(c["settings"][group]) for group in _WORLD}, sort_keys=True)
            for c in manifest["combinations"]
        }
        alike = {name: manifest[name] for name in ALIKE}
        return {"the version": manifest["versions"]["leed-agentic"], **alike, "the scenarios": sorted(worlds)}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{member / 'manifest.json'} is damaged ({error}); compare once more.") from error


def _of_world(group: Mapping[str, Any]) -> dict[str, Any]:
    """Without where things lie on somebody's machine."""
    return {name: value for name, value in group.items() if name not in ("cache", "overpass_url", "download_timeout")}


def _rows(member: Path, rounds: int) -> list[dict[str, str]]:
    try:
        rows = [row for row in read_csv(member / "table.csv") if int(row["rounds"]) == rounds]
        for row in rows:
            _rank(row), _cells(row), int(row["agents"]), [row[name] for name in _LABELS]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise UsageError(f"{member / 'table.csv'} is damaged ({error}); compare once more.") from error
    return rows


def _rank(row: Mapping[str, str]) -> tuple[float, float]:
    return -float(row["validity"] or "0"), float(row["travel_time_ratio"] or "inf")


def _cells(row: Mapping[str, str]) -> list[str]:
    return [FIGURES[name].cell(read_estimate(row, name)) for name in SHOWN]
