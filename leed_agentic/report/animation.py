"""Driven runs side by side as one animated SVG: every car where SUMO had it, coloured by its speed."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.markup import chunks, scan
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.picture import NO_CREDIT
from leed_agentic.runs.files import read_json, write_text
from leed_agentic.traffic.export import config_of, drive_again
from leed_agentic.traffic.sumo_run import Driven

POSITIONS = "positions.xml"
SPEEDS = ((0.5, "#d55e00", "standing"), (7.0, "#e69f00", "below 25 km/h"), (np.inf, "#0072b2", "faster"))
"""Metres per second up to which a colour holds, in Okabe and Ito's palette."""
LONGEST_SAMPLES = 1_500
"""Moments of a run that are drawn at most."""
_PANEL, _GAP, _HEAD, _FOOT = 420.0, 20.0, 56.0, 62.0
_EXACT = 0.7  # pixels by which a car may be drawn beside its place

Sample = tuple[int, float, float, int]
"""Moment, x and y in metres, index of the colour."""


@dataclass(frozen=True)
class Film:
    """A run as it is drawn: its cars by id, a sample for every moment that they were on the road."""

    label: str
    driven: Driven
    cars: Mapping[str, Sequence[Sample]]
    arrived: Sequence[int]
    """How many had arrived at each moment."""


def animate(runs: Mapping[str, Path], file: Path, seconds: float = 20.0, every: float = 3.0) -> Path:
    """Drive the runs again by SUMO and draw them beside each other, on one clock, over and over.

    Args:
        runs: folders with a run.sumocfg by the words above them; all of the first one's map.
        seconds: how long a round of the animation takes.
        every: simulated seconds between two samples of a car's place.

    Raises:
        UsageError: a folder is no such run, SUMO refuses it, or nobody drives in it.
        UnwritableError: the file cannot be written.
    """
    films = [_film(label, folder, every) for label, folder in runs.items()]
    write_text(file, svg(films, _network(list(runs.values())), seconds, every))
    return file


def _network(folders: Sequence[Path]) -> RoadNetwork:
    net_file = folders[0] / config_of(folders[0]).get("net-file", "map.net.xml")
    # Nets of SUMO's own say nothing of their source; a folder of `leed demo generate` does.
    credits = (_credit(folder / "demonstrations.json") for folder in folders)
    return RoadNetwork(net_file, attribution=next(filter(None, credits), None))


def _credit(file: Path) -> str | None:
    if not file.is_file():
        return None
    credit = read_json(file, "a set of demonstrations").get("attribution")
    return credit if isinstance(credit, str) else None


def _film(label: str, folder: Path, every: float) -> Film:
    config = config_of(folder)
    words = ["--fcd-output", POSITIONS, "--fcd-output.attributes", "x,y,speed", "--device.fcd.period", f"{every:g}"]
    cars: dict[str, list[Sample]] = defaultdict(list)
    begin, moment = float(config.get("begin", "0")), 0

    def element(name: str, given: dict[str, str]) -> None:
        nonlocal moment
        if name == "timestep":
            moment = round((float(given["time"]) - begin) / every)
        elif name == "vehicle" and "x" in given and moment < LONGEST_SAMPLES:
            speed = float(given["speed"])
            colour = next(k for k, (most, *_) in enumerate(SPEEDS) if speed <= most)
            cars[given["id"]].append((moment, float(given["x"]), float(given["y"]), colour))

    with tempfile.TemporaryDirectory(prefix="leed-animation-") as name:
        driven = drive_again(folder, config, Path(name), words)
        scan(chunks(Path(name) / POSITIONS, "drive the run again"), element)
    if not cars:
        raise UsageError(f"Nobody drives in {folder}; give a run with vehicles.")
    last = max(samples[-1][0] for samples in cars.values())
    ends = sorted((drive.arrived - begin) / every for drive in driven.vehicles.values() if drive.arrived is not None)
    arrived = [int(np.searchsorted(ends, moment, side="right")) for moment in range(last + 2)]
    return Film(label, driven, cars, arrived)


def svg(films: Sequence[Film], network: RoadNetwork, seconds: float, every: float) -> str:
    """The animation as text.

    Args:
        every: simulated seconds of a moment.
    """
    points = np.array([p for edge in network.edges for p in edge.shape])
    low, high = points.min(axis=0) - 20, points.max(axis=0) + 20
    scale = _PANEL / max(high[0] - low[0], (high[1] - low[1]))
    width, height = (high - low) * scale
    whole = (len(films) * (width + _GAP) + _GAP, height + _HEAD + _FOOT)
    moments = max(len(film.arrived) for film in films)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole[0]:.0f} {whole[1]:.0f}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape('; '.join(_head(film) for film in films))}</title>",
        '<rect width="100%" height="100%" rx="8" fill="#f4f2ee"/>',
        '<defs><g id="streets" fill="none" stroke-linecap="round" stroke-linejoin="round">',
    ]
    shapes = "".join(
        "M" + "L".join(f"{(x - low[0]) * scale:.0f} {(high[1] - y) * scale:.0f}" for x, y in edge.shape)
        for edge in network.edges
    )
    lines.append(f'<path d="{shapes}" stroke="#c9ccd1" stroke-width="4.2"/>')
    lines.append(f'<path d="{shapes}" stroke="#fff" stroke-width="2.6"/></g></defs>')
    for k, film in enumerate(films):
        left = _GAP + k * (width + _GAP)
        lines.append(f'<g transform="translate({left:.0f} {_HEAD:.0f})"><use href="#streets"/>')
        for samples in film.cars.values():
            places = [((x - low[0]) * scale, (high[1] - y) * scale, moment, c) for moment, x, y, c in samples]
            lines.append(_car(places, moments, seconds))
        lines += ["</g>", _words(film, left, float(height) + _HEAD, float(width), moments, seconds, every)]
    lines.append(_legend(network, *whole))
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _head(film: Film) -> str:
    return f"{film.label}: {film.driven.mean_travel_time:.0f} s on average"


def _car(places: Sequence[tuple[float, float, int, int]], moments: int, seconds: float) -> str:
    """A dot that is there from its first sample to its last; the places that a straight line tells are left out."""
    kept = _told(places)
    first, last = places[0][2] / moments, min((places[-1][2] + 1) / moments, 1.0)
    at = [f"{places[k][0]:.1f} {places[k][1]:.1f}" for k in kept]
    when = [places[k][2] / moments for k in kept]
    clock = f'dur="{seconds:g}s" repeatCount="indefinite"'
    changes = [places[0], *(b for a, b in pairwise(places) if a[3] != b[3])]
    colours = [SPEEDS[place[3]][1] for place in changes]
    times = [0.0, *(place[2] / moments for place in changes[1:])]
    return (
        f'<circle r="3.1" opacity="0"><animateTransform attributeName="transform" type="translate" '
        f'values="{";".join([at[0], *at, at[-1]])}" keyTimes="{_times([0.0, *when, 1.0])}" {clock}/>'
        f'<animate attributeName="fill" calcMode="discrete" values="{";".join(colours)}" '
        f'keyTimes="{_times(times)}" {clock}/>'
        f"{_shown(first, last, clock)}</circle>"
    )


def _shown(begin: float, end: float, clock: str) -> str:
    """What makes an element visible from begin to end, shares of a round."""
    values, times = ["0", "1", "0"], [0.0, begin, end]
    if begin == 0:
        del values[0], times[0]
    if end >= 1:
        del values[-1], times[-1]
    return (
        f'<animate attributeName="opacity" calcMode="discrete" values="{";".join(values)}" '
        f'keyTimes="{_times(times)}" {clock}/>'
    )


def _told(places: Sequence[tuple[float, float, int, int]]) -> list[int]:
    """Indices of the samples between which a steady pace takes a car near enough (Douglas and Peucker)."""
    kept, waiting = {0, len(places) - 1}, [(0, len(places) - 1)]
    line = np.array([place[:3] for place in places])
    while waiting:
        a, b = waiting.pop()
        if b - a < 2:
            continue
        share = ((line[a : b + 1, 2] - line[a, 2]) / (line[b, 2] - line[a, 2]))[:, None]
        off = np.hypot(*(line[a : b + 1, :2] - (line[a, :2] + share * (line[b, :2] - line[a, :2]))).T)
        worst = int(off.argmax())
        if off[worst] > _EXACT:
            kept.add(a + worst)
            waiting += [(a, a + worst), (a + worst, b)]
    return sorted(kept)


def _times(times: Sequence[float]) -> str:
    return ";".join(f"{time:.4f}".rstrip("0").rstrip(".") for time in times)


def _words(film: Film, left: float, bottom: float, width: float, moments: int, seconds: float, every: float) -> str:
    """Title, clock, and a bar of who arrived."""
    total = len(film.driven.vehicles)
    arrived = [film.arrived[min(moment, len(film.arrived) - 1)] for moment in range(moments)]
    clock = f'dur="{seconds:g}s" repeatCount="indefinite"'
    title, _, mean = _head(film).rpartition(": ")
    parts = [
        f'<text x="{left:.0f}" y="24" font-size="16" font-weight="600" fill="#22262b">{escape(title)}</text>',
        f'<text x="{left:.0f}" y="43" fill="#4a4f55">{escape(mean)}</text>',
        f'<rect x="{left:.0f}" y="{bottom + 8:.0f}" width="{width:.0f}" height="5" rx="2.5" fill="#dcdad5"/>',
        f'<rect x="{left:.0f}" y="{bottom + 8:.0f}" width="0" height="5" rx="2.5" fill="#009e73">'
        f'<animate attributeName="width" values="{";".join(f"{width * n / total:.0f}" for n in arrived)}" {clock}/>'
        "</rect>",
    ]
    step = max(1, moments // 60)
    for moment in range(0, moments, step):
        shown = _shown(moment / moments, min((moment + step) / moments, 1.0), clock)
        parts.append(
            f'<text x="{left:.0f}" y="{bottom + 29:.0f}" fill="#4a4f55" opacity="0">'
            f"{moment * every:.0f} s: {arrived[moment]} of {total} arrived{shown}</text>"
        )
    return "\n".join(parts)


def _legend(network: RoadNetwork, width: float, height: float) -> str:
    parts, x = [], _GAP + 4
    for _, colour, words in SPEEDS:
        parts.append(f'<circle cx="{x:.0f}" cy="{height - 14:.0f}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 8:.0f}" y="{height - 10:.0f}" font-size="11" fill="#4a4f55">{words}</text>')
        x += 26 + 6.2 * len(words)
    credit = escape(network.attribution or NO_CREDIT)
    parts.append(
        f'<text x="{width - _GAP:.0f}" y="{height - 10:.0f}" font-size="10" text-anchor="end" fill="#6b7178">{credit}'
        "</text>"
    )
    return "\n".join(parts)
