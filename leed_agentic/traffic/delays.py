"""Who lost time where, and with whom: what a drive cost every vehicle, street by street."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.street_times import Visits
from leed_agentic.traffic.sumo_run import Driven


@dataclass(frozen=True)
class StreetDelay:
    """One vehicle's stay on one street; seconds."""

    street: str
    entered: float
    seconds: float
    lost: float
    """Beyond what the street takes a car that is alone."""
    others: tuple[str, ...]
    """Who was on the street at the same time."""


@dataclass(frozen=True)
class StreetLoss:
    """What a street cost all who entered it in one interval."""

    street: str
    begin: float
    lost: float
    vehicles: int


class Delays:
    """The seconds that a drive took beyond driving alone.

    Args:
        lights: alone means alone at the static lights; without it, at free flow, so that red lights count as lost.
    """

    def __init__(self, driven: Driven, visits: Visits, graph: StreetGraph, lights: bool = True) -> None:
        self.graph, self.visits, self.begin = graph, visits, driven.begin
        self.lost = visits.seconds - visits.alone(graph, lights)
        """Of each visit; a car can be a second faster than expected alone."""
        self.insertion = {drive.id: drive.insertion_delay for drive in driven.vehicles.values()}
        """Seconds each vehicle waited for room on its first street."""
        self._number = {vehicle: i for i, vehicle in enumerate(visits.vehicles)}
        self._first = np.searchsorted(visits.vehicle, np.arange(len(visits.vehicles) + 1))

    @cached_property
    def total(self) -> dict[str, float]:
        """Seconds each vehicle lost on its streets and before its insertion."""
        lost = np.bincount(self.visits.vehicle, self.lost, len(self.visits.vehicles))
        return {
            name: float(seconds) + self.insertion[name]
            for name, seconds in zip(self.visits.vehicles, lost, strict=True)
        }

    def of(self, vehicle: str, most: int = 3) -> list[StreetDelay]:
        """The streets on which the vehicle lost most, in falling order; only those where it lost a second or more."""
        number = self._number[vehicle]
        rows = np.arange(self._first[number], self._first[number + 1])
        rows = rows[np.argsort(-self.lost[rows], kind="stable")][:most]
        return [self._delay(int(row)) for row in rows if self.lost[row] >= 1.0]

    def worst_row(self, vehicle: str) -> int | None:
        """The visit in which the vehicle lost most; None for one that was never inserted."""
        number = self._number[vehicle]
        first, end = self._first[number], self._first[number + 1]
        return int(first + np.argmax(self.lost[first:end])) if end > first else None

    def by_street(self, interval: float = 30.0, most: int | None = None) -> list[StreetLoss]:
        """Streets and intervals of entry, by falling loss."""
        slot = ((self.visits.entered - self.begin) // interval).astype(np.int64)
        width = int(slot.max(initial=0)) + 1
        key, row = np.unique(self.visits.street * width + slot, return_inverse=True)
        lost = np.bincount(row, self.lost, len(key))
        count = np.bincount(row, minlength=len(key))
        order = np.argsort(-lost, kind="stable")[:most]
        return [
            StreetLoss(
                self.graph.ids[int(key[i]) // width],
                self.begin + int(key[i]) % width * interval,
                float(lost[i]),
                int(count[i]),
            )
            for i in order
        ]

    @cached_property
    def _by_entry(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.lexsort((self.visits.entered, self.visits.street))
        return order, np.searchsorted(self.visits.street[order], np.arange(len(self.graph.ids) + 1))

    def _delay(self, row: int) -> StreetDelay:
        visits = self.visits
        street = int(visits.street[row])
        order, first = self._by_entry
        there = order[first[street] : first[street + 1]]
        met = there[(visits.entered[there] < visits.left[row]) & (visits.left[there] > visits.entered[row])]
        others = tuple(visits.vehicles[i] for i in visits.vehicle[met] if i != visits.vehicle[row])
        return StreetDelay(
            self.graph.ids[street],
            float(visits.entered[row]),
            float(visits.seconds[row]),
            float(self.lost[row]),
            others,
        )
