"""What a fleet's drive comes to: every figure counts who waited to be inserted and who did not arrive."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import cast

import numpy as np
from typing_extensions import TypedDict

from leed_agentic.errors import UsageError
from leed_agentic.traffic.sumo_run import Drive, Driven


@dataclass(frozen=True)
class FleetMeasures:
    """Of a fleet in one run; times in seconds from the planned departure to the arrival, or to the end of the run."""

    vehicles: int
    mean: float
    median: float
    p95: float
    total: float
    insertion_delay: float
    """Mean seconds waited before the first street had room; part of the travel times."""
    time_lost: float
    """Mean seconds lost on the way and before it, against driving alone at the speed the driver wants."""
    unfinished: int
    """Vehicles that had not arrived at the end."""
    never_departed: int
    """Those of them that never got onto a street."""
    km: float
    """Driven by all."""
    co2_kg: float | None
    """Of all; None where emissions were not asked for."""
    others: int
    others_mean: float | None
    """Mean travel time of the vehicles outside the fleet; None where there are none."""
    teleports: int
    """Of all vehicles of the run, the others too; SUMO does not say whose."""
    collisions: int


class FleetFigures(TypedDict):
    """Of a fleet, the mean over drives; seconds from planned departure to arrival, or to the end of the drive."""

    vehicles: float
    mean: float
    median: float
    p95: float
    total: float
    insertion_delay: float
    """Mean seconds before the first street had room; part of the travel times."""
    time_lost: float
    """Mean seconds lost against driving alone, those before insertion too."""
    unfinished: float
    """Vehicles that had not arrived at the end."""
    never_departed: float
    """Of these, vehicles that never got onto a street."""
    km: float
    """Driven by all."""
    co2_kg: float | None
    """Of all; null where it was not asked for."""
    others: float
    """Vehicles outside the fleet."""
    others_mean: float | None
    """Their mean travel time; null where there are none."""
    teleports: float
    """Of all vehicles, the others too."""
    collisions: float


def measure(driven: Driven, fleet: Collection[str] | None = None) -> FleetMeasures:
    """The figures of the vehicles with these ids; of all when None.

    Raises:
        UsageError: the run has no vehicle with one of the ids.
    """
    ids = set(driven.vehicles) if fleet is None else set(fleet)
    if strangers := sorted(ids - set(driven.vehicles)):
        raise UsageError(
            f"{len(strangers)} vehicles of the fleet are not in this run, such as {strangers[0]!r}; "
            "give ids of the demand."
        )
    if not ids:
        raise UsageError("The fleet is empty; name at least one vehicle.")
    ours = [drive for name, drive in driven.vehicles.items() if name in ids]
    others = [drive for name, drive in driven.vehicles.items() if name not in ids]
    times = _times(ours, driven.end)
    co2 = [drive.co2 for drive in ours if drive.co2 is not None]
    return FleetMeasures(
        vehicles=len(ours),
        mean=float(times.mean()),
        median=float(np.median(times)),
        p95=float(np.percentile(times, 95)),
        total=float(times.sum()),
        insertion_delay=float(np.mean([drive.insertion_delay for drive in ours])),
        time_lost=float(np.mean([drive.insertion_delay + drive.time_loss for drive in ours])),
        unfinished=sum(drive.arrived is None for drive in ours),
        never_departed=sum(drive.departed is None for drive in ours),
        km=sum(drive.length for drive in ours) / 1000,
        co2_kg=sum(co2) / 1000 if co2 else None,
        others=len(others),
        others_mean=float(_times(others, driven.end).mean()) if others else None,
        teleports=driven.teleports,
        collisions=driven.collisions,
    )


def average(drives: Sequence[FleetMeasures]) -> FleetFigures:
    """Every figure's mean over drives, by name; None for one that was not measured in all of them."""
    figures = {field.name: [getattr(drive, field.name) for drive in drives] for field in fields(FleetMeasures)}
    means = {name: None if None in column else float(np.mean(column)) for name, column in figures.items()}
    return cast(FleetFigures, means)


def _times(drives: list[Drive], end: float) -> np.ndarray:
    return np.array([drive.travel_time(end) for drive in drives])
