"""A map as a picture: streets, routes in colours that colour-blind readers can tell apart, scale and credit."""

from __future__ import annotations

import base64
import html
import io
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from leed_agentic.roads.markers import COLOURS, draw_markers, markers_of
from leed_agentic.runs.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from leed_agentic.roads.network import RoadNetwork

TOLD_APART = 100
"""Of more routes than this nobody could follow one; their streets are drawn, wider the more agents drive them."""

NO_CREDIT = "Source of the streets not stated in the map file"
_GROUND, _CASING, _STREET, _INK, _QUIET = "#f4f2ee", "#c3c7cd", "#ffffff", "#22262b", "#6b7178"
_LONG_SIDE = 8.4  # inches of the map's longer side
_MARGIN, _HEAD, _FOOT = 0.25, 0.62, 0.5  # inches
_POINTS = 72.0


def draw_map(
    network: RoadNetwork,
    file: str | Path,
    *,
    routes: Mapping[int, Sequence[str]] | None = None,
    trips: Mapping[int, tuple[str, str]] | None = None,
    lost: Mapping[str, float] | None = None,
    most_lost: float | None = None,
    title: str | None = None,
    dpi: int = 150,
) -> None:
    """Draw the streets, and on them routes and trips, to a PNG or, by its ending, a PDF. The credit is always printed.

    Args:
        routes: agent number to its edge ids; a disc marks where it starts, a square where it ends. More than
            `TOLD_APART` are drawn as the streets' volumes.
        trips: agent number to start edge and destination junction, for agents that have no route to show.
        lost: edge ids to seconds lost there, drawn in place of routes.
        most_lost: what the widest line stands for, so that two pictures compare; the most in `lost` when None.
        title: the place the map shows when None.

    Raises:
        UsageError: a route or trip is not on this map.
        UnwritableError: the file cannot be written.
    """
    routes, trips = dict(routes or {}), dict(trips or {})
    counts = _counts(network, routes) if lost is None else f"{sum(lost.values()):.0f} s lost: the wider, the more"
    figure, axes, metres_per_point = _street_figure(network, title or network.title, counts, dpi)
    if lost is not None:
        _draw_losses(axes, network, lost, most_lost)
    elif len(routes) > TOLD_APART:
        _draw_volumes(axes, network, routes)
    else:
        _draw_routes(axes, network, routes, metres_per_point)
        draw_markers(axes, markers_of(network, routes, trips), metres_per_point)
    credit = network.attribution or NO_CREDIT
    picture = io.BytesIO()
    if Path(file).suffix == ".pdf":
        figure.savefig(picture, format="pdf", metadata={"CreationDate": None, "Subject": credit})
    else:
        figure.savefig(picture, format="png", metadata={"Software": None, "Copyright": credit})
    with whole_file(Path(file)) as partial:
        partial.write_bytes(picture.getvalue())


def _street_figure(network: RoadNetwork, title: str, counts: str, dpi: int) -> tuple[Figure, Axes, float]:
    """The map without anybody on it: its figure, its axes, and how many metres a point is."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = np.array([p for edge in network.edges for p in edge.shape])
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.045 * max(*(high - low), 1.0)
    low, high = low - pad, high + pad
    # A long, thin map still leaves room for its title and its credit.
    width, height = np.maximum((high - low) * (_LONG_SIDE / max(high - low)), (5.2, 2.0))
    whole_width, whole_height = width + 2 * _MARGIN, height + _HEAD + _FOOT
    figure = Figure(figsize=(whole_width, whole_height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (_MARGIN / whole_width, _FOOT / whole_height, width / whole_width, height / whole_height), facecolor=_GROUND
    )
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set_visible(False)
    metres_per_point = max((high[0] - low[0]) / width, (high[1] - low[1]) / height) / _POINTS

    _draw_streets(axes, network, metres_per_point)
    _draw_scale(figure, whole_width, whole_height, metres_per_point)

    left, right = _MARGIN / whole_width, 1 - _MARGIN / whole_width
    top = 1 - 0.36 / whole_height
    text: dict[str, Any] = {"parse_math": False, "va": "center"}
    figure.text(left, top, title, fontsize=14, fontweight="bold", color=_INK, **text)
    figure.text(right, top, counts, fontsize=9, color=_QUIET, ha="right", **text)
    credit = network.attribution or NO_CREDIT
    figure.text(right, 0.25 / whole_height, credit, fontsize=8, color=_QUIET, ha="right", **text)
    return figure, axes, metres_per_point


class Canvas:
    """A map that is drawn once, and cars on it as often as asked."""

    def __init__(self, network: RoadNetwork, dpi: int = 80) -> None:
        streets = f"{len(network.junctions)} junctions, {len(network.edges)} street edges"
        self._figure, self._axes, _ = _street_figure(network, network.title, streets, dpi)
        self._canvas = cast(Any, self._figure.canvas)
        self._canvas.draw()
        self._empty = self._canvas.copy_from_bbox(self._figure.bbox)

    def with_cars(self, places: Mapping[int, tuple[float, float]]) -> np.ndarray:
        """The map and on it a disc in its agent's colour for every car, uint8, shape (height, width, 3).

        Args:
            places: metres in the network's coordinates, by agent number.
        """
        self._canvas.restore_region(self._empty)
        for agent, place in sorted(places.items()):
            (car,) = self._axes.plot(
                *place,
                marker="o",
                markersize=9,
                markerfacecolor=COLOURS[agent % len(COLOURS)],
                markeredgecolor="white",
                animated=True,
                zorder=5,
            )
            self._axes.draw_artist(car)
            car.remove()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()


def map_html(network: RoadNetwork, routes: Mapping[int, Sequence[str]] | None = None) -> str:
    """The map as an HTML image that needs no file, for notebooks."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "map.png"
        draw_map(network, file, routes=routes, dpi=90)
        return image_html(file, network.title)


def image_html(file: Path, title: str) -> str:
    """A PNG as an HTML image that needs no file."""
    content = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{content}">'


def _counts(network: RoadNetwork, routes: Mapping[int, Sequence[str]]) -> str:
    streets = f"{len(network.junctions)} junctions, {len(network.edges)} street edges"
    if not routes:
        return streets
    if len(routes) > TOLD_APART:
        return f"{len(routes)} routes: the wider a street, the more agents drive it"
    return f"{len(routes)} {'route' if len(routes) == 1 else 'routes'}: from disc to square, numbered by agent"


def _draw_streets(axes: Axes, network: RoadNetwork, metres_per_point: float) -> None:
    """White streets with a grey rim, faster ones wider; legal turns fill the crossings between them."""
    from matplotlib.collections import LineCollection

    lines, widths = [], []
    thin = float(np.clip(6.0 / metres_per_point, 1.1, 3.2))  # about 6 m, as long as that can be seen and is not coarse
    for edge in network.edges:
        lines.append(np.array(edge.shape))
        widths.append(thin * (1.5 if edge.speed > 15 else 1.0))
        for successor in edge.successors:
            after = network.edge(successor)
            if after.to_junction != edge.from_junction:
                lines.append(np.array([edge.shape[-1], after.shape[0]]))
                widths.append(thin)
    rounded: dict[str, Any] = {"capstyle": "round", "joinstyle": "round"}
    axes.add_collection(LineCollection(lines, linewidths=np.array(widths) + 1.3, colors=_CASING, zorder=1, **rounded))
    axes.add_collection(LineCollection(lines, linewidths=widths, colors=_STREET, zorder=2, **rounded))


def _draw_volumes(axes: Axes, network: RoadNetwork, routes: Mapping[int, Sequence[str]]) -> None:
    from matplotlib.collections import LineCollection

    users = Counter(edge for route in routes.values() for edge in dict.fromkeys(route))
    lines = [np.array(network.edge(edge).shape) for edge in users]
    widths = [0.6 + 4.4 * count / max(users.values()) for count in users.values()]
    axes.add_collection(LineCollection(lines, linewidths=widths, colors=COLOURS[0], zorder=3, capstyle="round"))


def _draw_losses(axes: Axes, network: RoadNetwork, lost: Mapping[str, float], most: float | None) -> None:
    from matplotlib.collections import LineCollection

    most = most or max(lost.values(), default=1.0) or 1.0
    shares = [min(seconds / most, 1.0) for seconds in lost.values()]
    lines = [np.array(network.edge(edge).shape) for edge in lost]
    widths = [0.4 + 6.6 * share for share in shares]
    axes.add_collection(LineCollection(lines, linewidths=widths, colors=COLOURS[1], zorder=3, capstyle="round"))


def _draw_routes(
    axes: Axes, network: RoadNetwork, routes: Mapping[int, Sequence[str]], metres_per_point: float
) -> None:
    """Routes that share a street run side by side, in the order of their agents, on the side they drive."""
    users: dict[str, list[int]] = defaultdict(list)
    for agent in sorted(routes):
        for edge_id in dict.fromkeys(routes[agent]):
            users[edge_id].append(agent)
    driven = {(network.edge(e).from_junction, network.edge(e).to_junction) for e in users}
    busiest = max((len(agents) for agents in users.values()), default=1)
    width = float(np.clip(20.0 / busiest, 1.4, 2.8))
    step = (width + 0.4) * metres_per_point * (1.0 if network.lefthand else -1.0)
    for agent, edges in sorted(routes.items()):
        places: list[tuple[float, float]] = []
        offsets: list[float] = []
        for edge in map(network.edge, edges):
            sharing = users[edge.id]
            # In the middle of the street, or of its own half where others drive it the other way.
            half = len(sharing) / 2 if (edge.to_junction, edge.from_junction) in driven else 0.0
            slot = sharing.index(agent) - (len(sharing) - 1) / 2 + half
            places += edge.shape
            offsets += [slot * step] * len(edge.shape)
        if not places:
            continue
        axes.plot(
            *_beside(np.array(places), np.array(offsets)).T,
            color=COLOURS[agent % len(COLOURS)],
            linewidth=width,
            linestyle="solid" if agent % (2 * len(COLOURS)) < len(COLOURS) else (0, (2.2, 1.2)),
            solid_capstyle="round",
            solid_joinstyle="round",
            dash_joinstyle="round",
            zorder=3,
        )


def _beside(places: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A line moved to its left by an offset at each point; where a tight bend would fold it back, it is cut short."""
    shifted = places + _normals(places) * offsets[:, None]
    for _ in range(10):
        folded = np.flatnonzero((np.diff(shifted, axis=0) * np.diff(places, axis=0)).sum(axis=1) < 0)
        if not len(folded):
            break
        for k in folded:
            shifted[k : k + 2] = _crossing(*shifted[max(k - 1, 0) : k + 3]) if 0 < k < len(places) - 2 else shifted[k]
    return shifted


def _crossing(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Where the line on from a to b meets the line back from d to c, else the middle of b and c."""
    middle = (b + c) / 2
    along = np.column_stack([b - a, c - d])
    if abs(np.linalg.det(along)) > 1e-6:
        ahead, back = np.linalg.solve(along, c - a)
        place = a + ahead * (b - a)
        if ahead >= 0 and back <= 1 and math.dist(place, middle) < 4 * math.dist(b, c):
            return place
    return middle


def _normals(places: np.ndarray) -> np.ndarray:
    """Vectors to the left of a line at each of its points, shape (points, 2): 1 long, longer where it bends."""
    steps = np.diff(places, axis=0)
    lengths = np.hypot(*steps.T)
    directions = steps / np.where(lengths > 0, lengths, 1.0)[:, None]
    around = np.vstack([directions[:1], directions[:-1] + directions[1:], directions[-1:]])
    # At a bend the point moves further than the lines do, so that those stay parallel; 1.6 times at most.
    size = np.hypot(*around.T)[1:-1, None].clip(1e-6)
    around[1:-1] *= 2.0 / (size * size.clip(1.25))
    return np.column_stack([-around[:, 1], around[:, 0]])


def _draw_scale(figure: Any, width: float, height: float, metres_per_point: float) -> None:
    """A bar of a round number of metres, up to a fifth of the map wide."""
    from matplotlib.lines import Line2D

    most = (width - 2 * _MARGIN) / 5 * _POINTS * metres_per_point
    power = 10.0 ** math.floor(math.log10(most))
    metres = max(step * power for step in (1, 2, 5) if step * power <= most)
    left, y = _MARGIN / width, 0.25 / height
    length, tick = metres / metres_per_point / _POINTS / width, 0.045 / height
    xs, ys = [left, left, left + length, left + length], [y + tick, y - tick, y - tick, y + tick]
    figure.add_artist(Line2D(xs, ys, color=_INK, linewidth=1.2, solid_joinstyle="miter"))
    label = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    figure.text(left + length + 0.08 / width, y, label, fontsize=8, color=_INK, va="center")
