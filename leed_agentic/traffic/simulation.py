"""SUMO, in this process (libsumo) or behind a socket (traci), stepped in whole seconds and reset to an exact start."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Sequence
from typing import Any

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.programs import plain_name
from leed_agentic.settings import EnvironmentSettings

VEHICLE_TYPE = "leed"
LONGEST_CYCLE = 600
"""Seconds: with a longer common cycle of all lights, running up to its next start costs more than loading afresh."""
SUMO_SEEDS = 2**31
"""SUMO takes seeds below this; ours count up from a million times the run's."""

_libsumo_owner: weakref.ref[Simulation] | None = None


class Simulation:
    """One SUMO simulation of one network; times are seconds since the last reset.

    Actuated lights are run with their programmed phase lengths (static), so that a cleared network in the same phase of
    the lights' cycle is the same state as a freshly loaded one (the fast reset). Drivers have no noise by default.

    Raises:
        UsageError: a second libsumo simulation in one process, or a fast reset asked for where it is not exact.
        UnavailableError: SUMO does not start.
    """

    def __init__(self, network: RoadNetwork, settings: EnvironmentSettings, seed: int = 0) -> None:
        self.network = network
        self.settings = settings
        self.api: Any = None
        self._start = 0.0
        self._vehicles: set[str] = set()
        self._routes = 0
        self._launch(seed)
        self._loaded_seed = seed
        cycle = self._common_cycle()
        exact = settings.driver_noise == 0 and cycle <= LONGEST_CYCLE
        if settings.reset == "fast" and not exact:
            raise UsageError(
                "The fast reset is not exact with driver noise or with lights whose common cycle is "
                f"{cycle} s; set environment.reset=load."
            )
        self.fast_reset = exact and settings.reset != "load"
        self.cycle = max(cycle, 1)
        """Seconds after which all lights are where they were: a fast reset runs on to a multiple of it."""

    # -- life cycle ----------------------------------------------------------------------------------------------------
    def _arguments(self, seed: int) -> list[str]:
        return [
            *("--net-file", plain_name(self.network.net_file), "--seed", str(seed % SUMO_SEEDS), "--step-length", "1"),
            *("--default.speeddev", "0", "--time-to-teleport", str(self.settings.teleport_seconds)),
            *("--collision.action", "warn", "--no-step-log", "true", "--no-warnings", "true"),
        ]

    def _launch(self, seed: int) -> None:
        global _libsumo_owner
        try:
            if self.settings.backend == "libsumo":
                import libsumo

                if _held():
                    # An environment dropped by an error may only wait to be collected, held by the error's traceback.
                    gc.collect()
                if _held():
                    raise UsageError(
                        "libsumo holds one simulation per process: close() the other environment first, "
                        "or set environment.backend=traci."
                    )
                if libsumo.isLoaded():
                    # Left behind by an environment that was dropped without close().
                    libsumo.close()
                libsumo.start(["sumo", *self._arguments(seed)])
                self.api = libsumo
                _libsumo_owner = weakref.ref(self)
            else:
                import sumo
                import traci

                label = f"leed-{id(self)}"
                binary = f"{sumo.SUMO_HOME}/bin/sumo"
                traci.start([binary, *self._arguments(seed)], label=label, stdout=None)
                self.api = traci.getConnection(label)
        except (ImportError, OSError, RuntimeError) as error:
            raise UnavailableError(f"SUMO does not start ({error}); run `leed doctor`.") from error
        except Exception as error:
            # traci's and libsumo's errors share no base class of their own.
            if type(error).__name__ in {"TraCIException", "FatalTraCIError"}:
                raise UnavailableError(f"SUMO does not start: {error}; run `leed doctor`.") from error
            raise
        self._prepare()

    def _prepare(self) -> None:
        """Driver type and static lights; both are lost when SUMO loads afresh."""
        self.api.vehicletype.copy("DEFAULT_VEHTYPE", VEHICLE_TYPE)
        self.api.vehicletype.setImperfection(VEHICLE_TYPE, self.settings.driver_noise)
        lights = self.api.trafficlight
        for light in lights.getIDList():
            active = lights.getProgram(light)
            for logic in lights.getAllProgramLogics(light):
                if logic.programID == active and logic.type in _ACTUATED:
                    phases = [lights.Phase(p.duration, p.state) for p in logic.phases]
                    lights.setProgramLogic(light, lights.Logic("leed-static", 0, 0, phases))
        self._start = self.api.simulation.getTime()
        self._vehicles.clear()
        self._routes = 0

    def _common_cycle(self) -> int:
        """Least common multiple of the lights' cycles, in seconds, rounded up to whole ones."""
        cycle = 1000
        lights = self.api.trafficlight
        for light in lights.getIDList():
            active = lights.getProgram(light)
            for logic in lights.getAllProgramLogics(light):
                if logic.programID == active and logic.type not in _RAIL:
                    cycle = math.lcm(cycle, round(1000 * sum(p.duration for p in logic.phases)) or 1000)
        return cycle // 1000

    def reset(self, seed: int | None = None) -> None:
        """Back to an empty network at time 0, in the state of a fresh load."""
        if not self.fast_reset:
            self._loaded_seed = self._loaded_seed if seed is None else seed
            self.api.load(self._arguments(self._loaded_seed))
            self._prepare()
            return
        for vehicle in sorted(self._vehicles):
            self.api.vehicle.remove(vehicle)
        now = self.api.simulation.getTime()
        if now > 0:
            # One step at least: SUMO forgets a removed vehicle's id only then.
            self.api.simulationStep((math.floor(now / self.cycle) + 1) * self.cycle)
        self._start = self.api.simulation.getTime()
        self._vehicles.clear()

    def close(self) -> None:
        global _libsumo_owner
        if self.api is not None:
            self.api.close()
            self.api = None
            if self.settings.backend == "libsumo":
                _libsumo_owner = None

    # -- driving -------------------------------------------------------------------------------------------------------
    @property
    def time(self) -> float:
        """Simulated seconds since the reset."""
        return float(self.api.simulation.getTime() - self._start)

    def add(self, vehicle: str, route: Sequence[str], departure: float) -> None:
        """Let a vehicle depart on its route at `departure` seconds, or as soon after as its first edge has room."""
        self._routes += 1
        name = f"{vehicle}@{self._start}#{self._routes}"
        self.api.route.add(name, list(route))
        self.api.vehicle.add(vehicle, name, typeID=VEHICLE_TYPE, depart=str(self._start + departure))
        self._vehicles.add(vehicle)

    def advance(self, until: float) -> list[str]:
        """Step to `until` seconds since the reset; returns the vehicles that reached the end of their route."""
        self.api.simulationStep(self._start + until)
        arrived = list(self.api.simulation.getArrivedIDList())
        self._vehicles.difference_update(arrived)
        return arrived


def _held() -> bool:
    owner = _libsumo_owner() if _libsumo_owner else None
    return owner is not None and owner.api is not None


_RAIL = (1, 2)
"""SUMO's TrafficLightType: rail signal, rail crossing; without trains they never change."""
_ACTUATED = (3, 4, 5)
"""SUMO's TrafficLightType: actuated, NEMA, delay based."""
