"""What driving took on every street at every time, measured in plain SUMO runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leed_agentic.traffic.paths import PER_JUNCTION, START_UP, Costs
from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.sumo_run import Driven

INTERVAL = 30.0
LONGEST_LOSS = 300.0
"""Seconds that one car's stand on a street counts at most: SUMO moves it on after as many, and one car is no jam."""


@dataclass(frozen=True)
class Visits:
    """Every stay of a vehicle on a street, in order of vehicle and time; all arrays of shape (visits,)."""

    vehicles: tuple[str, ...]
    vehicle: np.ndarray
    """Index into `vehicles`."""
    street: np.ndarray
    entered: np.ndarray
    """Second at which it left the street before (crossing the junction counts here), or was inserted."""
    left: np.ndarray
    """Second at which it left the street; the run's end where it still stands there."""
    finished: np.ndarray
    """Whether it left."""
    red: np.ndarray
    """Seconds of red light (and starting again) that a car alone would have met at the street's end."""

    @classmethod
    def of(cls, driven: Driven, graph: StreetGraph) -> Visits:
        """Streets that are none of the graph's (bus lanes, rails) are left out."""
        rows: list[tuple[int, int, float, float, bool, float]] = []
        names = []
        index, static, ids = graph.index, graph.signals.static, graph.ids
        free = graph.free_list
        for number, drive in enumerate(driven.vehicles.values()):
            names.append(drive.id)
            entered = drive.departed
            if entered is None:
                continue
            for position, edge in enumerate(drive.route):
                left = drive.exit_times[position] if position < len(drive.exit_times) else -1.0
                finished = left >= 0
                if not finished:
                    left = driven.end
                street = index.get(edge)
                if street is not None:
                    red = 0.0
                    if position + 1 < len(drive.route):
                        waits = static.get((ids[street], drive.route[position + 1]))
                        wait = waits.at(entered + free[street] + (PER_JUNCTION if position else 0.0)) if waits else 0.0
                        red = wait + START_UP if wait else 0.0
                    rows.append((number, street, entered, left, finished, red))
                if not finished:
                    break
                entered = left
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        kinds = (np.int64, np.int64, np.float64, np.float64, np.bool_, np.float64)
        return cls(tuple(names), *(np.array(c, dtype=kind) for c, kind in zip(columns, kinds, strict=True)))

    @property
    def seconds(self) -> np.ndarray:
        return self.left - self.entered

    def alone(self, graph: StreetGraph, lights: bool) -> np.ndarray:
        """Seconds each visit takes a car that is alone: free flow, and with `lights` the junction and the red light."""
        first = np.ones(len(self.vehicle), dtype=bool)
        first[1:] = self.vehicle[1:] != self.vehicle[:-1]
        return graph.free[self.street] + lights * (self.red + PER_JUNCTION * ~first)


@dataclass(frozen=True)
class StreetTimes:
    """Streets by intervals of entry, kept only where somebody drove: rows of one key each, sorted by it."""

    graph: StreetGraph
    begin: float
    interval: float
    intervals: int
    key: np.ndarray
    """street * intervals + interval, shape (rows,)."""
    seconds: np.ndarray
    """Mean seconds on the street of those who entered in the interval; one car counts at most LONGEST_LOSS extra."""
    loss: np.ndarray
    """Mean seconds beyond a car alone at free flow."""
    jam: np.ndarray
    """Mean seconds beyond a car alone that meets the static lights as they are."""
    flow: np.ndarray
    """How many entered, a run."""
    queue: np.ndarray
    """How many cars of those who entered stood there beyond their free-flow time, on average over the interval."""

    @classmethod
    def measure(
        cls,
        runs: Sequence[tuple[Driven, Visits]],
        graph: StreetGraph,
        interval: float = INTERVAL,
    ) -> StreetTimes:
        """The means over all runs, which share their begin; who still stands on a street at the end counts to there."""
        begin = runs[0][0].begin
        end = max(driven.end for driven, _ in runs)
        intervals = max(1, int(np.ceil((end - begin) / interval)))
        keys, times, losses, jams = [], [], [], []
        for _, visits in runs:
            alone = visits.alone(graph, lights=True)
            loss = np.clip(visits.seconds - graph.free[visits.street], 0.0, LONGEST_LOSS)
            slot = np.clip((visits.entered - begin) // interval, 0, intervals - 1).astype(np.int64)
            keys.append(visits.street * intervals + slot)
            losses.append(loss)
            times.append(graph.free[visits.street] + loss)
            jams.append(np.clip(visits.seconds - alone, -LONGEST_LOSS, LONGEST_LOSS))
        key, row = np.unique(np.concatenate(keys), return_inverse=True)
        count = np.bincount(row, minlength=len(key))
        lost = np.bincount(row, np.concatenate(losses), len(key))
        return cls(
            graph,
            begin,
            interval,
            intervals,
            key,
            np.bincount(row, np.concatenate(times), len(key)) / count,
            lost / count,
            np.maximum(np.bincount(row, np.concatenate(jams), len(key)) / count, 0.0),
            count / len(runs),
            lost / len(runs) / interval,
        )

    @property
    def street(self) -> np.ndarray:
        return self.key // self.intervals

    @property
    def entered(self) -> np.ndarray:
        """The second at which each row's interval begins."""
        return self.begin + (self.key % self.intervals) * self.interval

    def costs(self, lights: bool = False, closed: frozenset[int] = frozenset()) -> Costs:
        """What a driver expects who knows these times; free flow where nobody drove.

        Where nobody could enter behind a jam, it is not over: who enters an interval later leaves no earlier.
        """
        extra: dict[int, float] = dict(
            zip(self.key.tolist(), (self.jam if lights else self.loss).tolist(), strict=True)
        )
        for key in self.key.tolist():
            left = extra[key] - self.interval
            while left > 0 and key % self.intervals + 1 < self.intervals and key + 1 not in extra:
                key += 1
                extra[key] = left
                left -= self.interval
        return Costs(self.graph, lights, extra, self.interval, self.intervals, self.begin, closed)


def mixed(parts: Sequence[tuple[float, Mapping[int, float]]]) -> dict[int, float]:
    """Weighted mean of extras; a street and interval that only some of them know counts for these alone."""
    total: dict[int, float] = {}
    weights: dict[int, float] = {}
    for weight, extra in parts:
        for key, value in extra.items():
            total[key] = total.get(key, 0.0) + weight * value
            weights[key] = weights.get(key, 0.0) + weight
    return {key: value / weights[key] for key, value in total.items()}
