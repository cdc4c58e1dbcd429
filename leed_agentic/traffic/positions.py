"""Where SUMO had every vehicle of a run, thinned and rounded to metres for an animation."""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.roads.markup import MarkupError, chunks, scan
from leed_agentic.runs.files import read_json, write_text

FILE = "positions.json"
FORMAT, VERSION = "leed-positions", 1
MOST_POINTS = 400_000
"""Of all vehicles together: some three megabytes."""


@dataclass(frozen=True)
class Positions:
    """Of every vehicle, one place per period while it is on a street."""

    begin: float
    """Simulated second of sample 0."""
    period: float
    """Seconds between samples."""
    vehicles: Mapping[str, list[int]]
    """Id to its first sample's number, then x and y of it, then the steps in x and y from each sample to the next; in
    whole metres of the map."""

    def save(self, file: Path) -> None:
        """Raises UnwritableError."""
        head = {"format": FORMAT, "version": VERSION, "begin": self.begin, "period": self.period}
        write_text(file, json.dumps({**head, "vehicles": dict(self.vehicles)}, separators=(",", ":")) + "\n")

    @classmethod
    def load(cls, file: Path) -> Positions:
        """Raises UsageError: it is missing, damaged or of another version."""
        data = read_json(file, "positions of vehicles")
        again = "write it again with leed export RUN --to positions"
        if (data.get("format"), data.get("version")) != (FORMAT, VERSION):
            raise UsageError(f"{file} is not of format {FORMAT} {VERSION}; {again}.")
        vehicles = data.get("vehicles")
        figures = [data.get("begin"), data.get("period")]
        if not isinstance(vehicles, dict) or not all(map(_is_track, vehicles.values())):
            raise UsageError(f"{file} holds no places of vehicles; {again}.")
        if not all(isinstance(one, (int, float)) and 0 <= one < 1e9 for one in figures) or figures[1] == 0:
            raise UsageError(f"{file} does not say when its vehicles were where; {again}.")
        return cls(float(data["begin"]), float(data["period"]), vehicles)


def read_fcd(file: Path) -> Positions:
    """Read SUMO's floating car data; with more places than `MOST_POINTS` every second, third ... sample is kept.

    Raises:
        UsageError: it is no such file, or nobody drives in it.
    """
    times: list[float] = []
    tracks: dict[str, tuple[int, array[int]]] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "timestep":
            times.append(float(attributes["time"]))
        elif name == "vehicle":
            track = tracks.setdefault(attributes["id"], (len(times) - 1, array("l")))[1]
            track.extend((round(float(attributes["x"])), round(float(attributes["y"]))))

    try:
        scan(chunks(file, "drive the run again"), start)
    except (MarkupError, KeyError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as SUMO's positions ({error}).") from error
    if len(times) < 2 or not tracks:
        raise UsageError("Nobody drives in this run: there are no positions.")
    every = max(1, -(-sum(len(track) for _, track in tracks.values()) // (2 * MOST_POINTS)))
    thinned = {name: _thinned(first, track, every) for name, (first, track) in tracks.items()}
    return Positions(times[0], (times[1] - times[0]) * every, {name: track for name, track in thinned.items() if track})


def _thinned(first: int, track: array[int], every: int) -> list[int]:
    """Every n-th sample of the run's clock, as a track is stored; empty where none falls on it."""
    skipped = -first % every
    places = [(track[k], track[k + 1]) for k in range(2 * skipped, len(track), 2 * every)]
    if not places:
        return []
    found = [(first + skipped) // every, *places[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        found += [x1 - x0, y1 - y0]
    return found


def _is_track(track: Any) -> bool:
    return (
        isinstance(track, list)
        and len(track) % 2 == 1
        and len(track) >= 3
        and all(type(number) is int and abs(number) < 1_000_000_000 for number in track)
        and track[0] >= 0
    )
