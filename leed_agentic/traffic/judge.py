"""SUMO as the judge of a fleet's routes: the same vehicles, seeds and drivers for every plan, by plain runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from leed_agentic.traffic.driver_noise import DriverNoise, with_noise
from leed_agentic.traffic.paths import Route
from leed_agentic.traffic.sumo_run import DEFAULT_SEED, REROUTING, TELEPORT_SECONDS, Driven, drive_routes
from leed_agentic.traffic.trips import Trips

CALM = DriverNoise()
NOISY = DriverNoise(0.5, 0.1)
"""SUMO's own defaults for cars."""


@dataclass
class Judge:
    """Drives routes in SUMO and counts how often.

    Args:
        end: seconds of SUMO's clock; who is on the way then counts to here.
        seeds: SUMO's seeds, one run each for every plan.
        noise: of all drivers, whatever their types say; None: as these say.
    """

    trips: Trips
    net_file: Path
    end: float
    begin: float = 0.0
    seeds: Sequence[int] = (DEFAULT_SEED,)
    noise: DriverNoise | None = CALM
    additional_files: Sequence[Path] = ()
    teleport_seconds: float = TELEPORT_SECONDS
    options: Sequence[str] = ()
    """SUMO's further options, for every drive."""
    runs: int = field(default=0, init=False)
    """SUMO runs so far."""
    seconds: float = field(default=0.0, init=False)
    """Wall-clock seconds of these runs."""

    def drive(self, routes: Mapping[str, Route], options: Sequence[str] = ()) -> list[Driven]:
        """One run a seed, with SUMO's further options.

        Raises:
            UsageError: SUMO refuses a route, in its words.
            UnavailableError: SUMO is missing.
        """
        with tempfile.TemporaryDirectory(prefix="leed-judge-") as name:
            file = Path(name) / "fleet.rou.xml"
            self.trips.write_routes(file, routes)
            files = with_noise([file], self.noise, Path(name)) if self.noise else [file]
            found = [
                drive_routes(
                    self.net_file,
                    files,
                    begin=self.begin,
                    end=self.end,
                    seed=seed,
                    additional_files=self.additional_files,
                    teleport_seconds=self.teleport_seconds,
                    options=(*self.options, *options),
                )
                for seed in self.seeds
            ]
        self.runs += len(found)
        self.seconds += sum(driven.seconds for driven in found)
        return found

    def rerouted(self, routes: Mapping[str, Route], fleet: Iterable[str]) -> dict[str, Route]:
        """The routes on which the fleet ends when SUMO's rerouting device drives it among the others; one run.

        A vehicle whose way was cut off by the end of the run keeps its route.
        """
        fleet = set(fleet)
        first = Judge(
            self.trips,
            self.net_file,
            self.end,
            self.begin,
            self.seeds[:1],
            self.noise,
            self.additional_files,
            self.teleport_seconds,
            self.options,
        )
        explicit = ",".join(sorted(fleet))
        options = REROUTING if fleet == set(routes) else ("--device.rerouting.explicit", explicit, *REROUTING[2:])
        (driven,) = first.drive(routes, options)
        self.runs += first.runs
        self.seconds += first.seconds
        new = dict(routes)
        index = self.trips.graph.index
        for vehicle in fleet & driven.vehicles.keys():
            route = tuple(index.get(edge, -1) for edge in driven.vehicles[vehicle].route)
            if route and -1 not in route and route[-1] in self.trips.vehicles[vehicle].goal:
                new[vehicle] = route
        return new


def mean_time(driven: Sequence[Driven], vehicles: Iterable[str] | None = None) -> float:
    """Mean seconds of these vehicles (None: all) from planned departure to arrival, over all runs."""
    if vehicles is None:
        return float(np.mean([run.mean_travel_time for run in driven]))
    names = list(vehicles)
    return float(np.mean([[run.vehicles[name].travel_time(run.end) for name in names] for run in driven]))
