"""Where agents start and where they go, as numbered discs and squares on a map picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from leed_agentic.roads.network import RoadNetwork

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8f6b00", "#7b3294", "#e69f00", "#4d4d4d", "#a50026")
"""Okabe and Ito's palette, its yellow and black replaced by darker tones; agent 10 begins again, dashed."""


@dataclass(frozen=True)
class Marker:
    agent: int
    goal: bool
    place: tuple[float, float]


def markers_of(
    network: RoadNetwork, routes: Mapping[int, Sequence[str]], trips: Mapping[int, tuple[str, str]]
) -> list[Marker]:
    ends = {agent: (edges[0], network.edge(edges[-1]).to_junction) for agent, edges in routes.items() if edges}
    markers = []
    for agent, (start_edge, destination) in sorted({**trips, **ends}.items()):
        shape, goal = network.edge(start_edge).shape, network.junction(destination)
        markers.append(Marker(agent, False, _middle(shape)))
        markers.append(Marker(agent, True, (goal.x, goal.y)))
    return markers


def _middle(shape: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The point half way along a line."""
    left = sum(math.dist(a, b) for a, b in itertools.pairwise(shape)) / 2
    for a, b in itertools.pairwise(shape):
        length = math.dist(a, b)
        if length >= left > 0:
            share = left / length
            return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
        left -= length
    return shape[0]


def draw_markers(axes: Axes, markers: Sequence[Marker], metres_per_point: float) -> None:
    """Numbered discs and squares, pushed apart where they would cover each other; a thin line leads to the place."""
    size = 13.5 if len(markers) <= 24 else 11.0
    true_places = np.array([m.place for m in markers]).reshape(-1, 2)
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T / metres_per_point
    room = (low + size, high - size)
    places = _pushed_apart(true_places / metres_per_point, size + 1.5, room) * metres_per_point
    for marker, place, true in zip(markers, places, true_places, strict=True):
        colour = COLOURS[marker.agent % len(COLOURS)]
        if math.dist(place, true) > size / 2 * metres_per_point:
            axes.plot(*np.array([true, place]).T, color=colour, linewidth=1.0, zorder=4)
            axes.plot(*true, marker="o", markersize=3.5, color=colour, zorder=4)
        axes.plot(
            *place,
            marker="s" if marker.goal else "o",
            markersize=size - 1.5 if marker.goal else size,
            markerfacecolor="white" if marker.goal else colour,
            markeredgecolor=colour if marker.goal else "white",
            markeredgewidth=1.8 if marker.goal else 1.1,
            zorder=5,
        )
        axes.annotate(
            str(marker.agent),
            tuple(place),
            ha="center",
            va="center_baseline",
            fontsize=7.5 if size > 12 else 6.5,
            fontweight="bold",
            color=colour if marker.goal else "white",
            zorder=6,
        )


def _pushed_apart(places: np.ndarray, gap: float, room: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Places pushed until they are `gap` apart, inside the room from low to high; the same input, the same output."""
    places = places.copy()
    angles = 2.399963 * np.arange(len(places))  # the golden angle: equal places start off in different directions
    places += 0.01 * np.column_stack([np.cos(angles), np.sin(angles)])
    for _ in range(200):
        between = places[:, None] - places[None, :]
        distance = np.hypot(between[..., 0], between[..., 1])
        np.fill_diagonal(distance, np.inf)
        overlap = np.clip(gap - distance, 0.0, None)
        if not overlap.any():
            break
        places += (between / distance[..., None] * overlap[..., None]).sum(axis=1) * 0.5
        places = places.clip(*room)
    return places
