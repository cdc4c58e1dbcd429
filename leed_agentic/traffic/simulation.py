"""SUMO, in this process (libsumo) or behind a socket (traci), stepped in whole seconds and reset to an exact start."""

from __future__ import annotations

import gc
import math
import signal
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.programs import plain_name, run_program
from leed_agentic.setting_groups import EnvironmentSettings
from leed_agentic.traffic.additional import REROUTING_OPTIONS, additional_text, is_exact, vehicle_attributes
from leed_agentic.traffic.scenario import VEHICLE_TYPE, Scenario
from leed_agentic.traffic.sumo_run import Driven, outputs, read_driven

LONGEST_CYCLE = 600
"""Seconds: with a longer common cycle of all lights, running up to its next start costs more than loading afresh."""
SUMO_SEEDS = 2**31
"""SUMO takes seeds below this; ours count up from a million times the run's."""


@dataclass(frozen=True)
class Measure:
    """That SUMO is to measure a drive, and what of it beside times and metres."""

    emissions: bool = False


_libsumo_owner: weakref.ref[Simulation] | None = None


class Simulation:
    """One SUMO simulation of one network; times are the scenario's, in seconds.

    Actuated lights are run with their programmed phase lengths (static), so that a cleared network in the same phase of
    the lights' cycle is the same state as a freshly loaded one (the fast reset). Drivers have no noise by default.

    Args:
        scenario: its vehicle types and closures are loaded with the net.

    Raises:
        UsageError: a second libsumo simulation in one process, a fast reset asked for where it is not exact, or a
            vehicle type or a network that SUMO refuses.
        UnavailableError: SUMO does not start.
    """

    def __init__(self, network: RoadNetwork, settings: EnvironmentSettings, scenario: Scenario, seed: int = 0) -> None:
        self.network = network
        self.settings = settings
        self.api: Any = None
        self.additional = ""
        """What was loaded beside the net."""
        self.seed = seed
        """SUMO's own, of the last load."""
        self._scenario = scenario
        self._folder = tempfile.TemporaryDirectory(prefix="leed-sumo-")
        self._lights: dict[str, list[tuple[float, str]]] = {}
        self._shift = 0.0
        self._vehicles: set[str] = set()
        self._routes = 0
        self._outputs: list[str] = []
        self._launch()
        self.cycle = max(self._common_cycle(), 1)
        """Seconds after which all lights are where they were: a fast reset runs on to a multiple of it."""
        if settings.reset == "fast" and not self.fast_reset:
            self.close()
            raise UsageError(
                "The fast reset is not exact with driver noise, slowed streets, rerouting, random places, or lights "
                f"of a common cycle above {LONGEST_CYCLE} s (here {self.cycle} s); set environment.reset=load."
            )

    @property
    def fast_reset(self) -> bool:
        """Whether clearing the streets is as good as loading afresh, and wanted."""
        exact = is_exact(self._scenario, self.settings.driver_noise) and self.cycle <= LONGEST_CYCLE
        return exact and self.settings.reset != "load"

    # -- life cycle ----------------------------------------------------------------------------------------------------
    def _arguments(self) -> list[str]:
        file = Path(self._folder.name) / "additional.add.xml"
        file.write_text(self.additional, encoding="utf-8")
        return [
            *("--net-file", plain_name(self.network.net_file), "--additional-files", str(file)),
            *("--begin", f"{self._scenario.begin:.10g}", "--seed", str(self.seed % SUMO_SEEDS), "--step-length", "1"),
            *("--time-to-teleport", str(self.settings.teleport_seconds), "--collision.action", "warn"),
            *(*options_of(self._scenario, self.settings), "--no-step-log", "true", "--no-warnings", "true"),
            *self._outputs,
        ]

    def _launch(self) -> None:
        global _libsumo_owner
        self.additional = self._additional({})
        try:
            if self.settings.backend == "libsumo":
                import libsumo

                if libsumo_is_held():
                    # An environment dropped by an error may only wait to be collected, held by the error's traceback.
                    gc.collect()
                if libsumo_is_held():
                    raise UsageError(
                        "libsumo holds one simulation per process: close() the other environment first, "
                        "or set environment.backend=process."
                    )
                if libsumo.isLoaded():
                    # Left behind by an environment that was dropped without close().
                    libsumo.close()
                libsumo.start(["sumo", *self._arguments()])
                self.api = libsumo
                _libsumo_owner = weakref.ref(self)
            else:
                import sumo
                import traci

                label = f"leed-{id(self)}"
                binary = f"{sumo.SUMO_HOME}/bin/sumo"
                with _without_ctrl_c():
                    traci.start([binary, *self._arguments()], label=label, stdout=None)
                self.api = traci.getConnection(label)
        except (ImportError, OSError, RuntimeError) as error:
            raise UnavailableError(f"SUMO does not start ({error}); run `leed doctor`.") from error
        except Exception as error:
            # traci's and libsumo's errors share no base class of their own.
            if type(error).__name__ in _TRACI_ERRORS:
                # Of its reasons neither API says more than that there was one.
                words = [*self._arguments(), "--end", f"{self._scenario.begin:.10g}"]
                run_program("sumo", words, Path.cwd(), f"SUMO cannot use {self.network.net_file.name}")
                raise UnavailableError(f"SUMO does not start: {error}; run `leed doctor`.") from error
            raise
        self._prepare()

    def _prepare(self) -> None:
        """What only a running SUMO knows of the net, which then loads once more: lanes, and actuated lights' phases."""
        lights = self.api.trafficlight
        for light in lights.getIDList():
            active = lights.getProgram(light)
            for logic in lights.getAllProgramLogics(light):
                if logic.programID == active and logic.type in _ACTUATED:
                    self._lights[light] = [(p.duration, p.state) for p in logic.phases]
        if self._lights or self._scenario.closures:
            self._load()

    def _load(self) -> None:
        edges = {edge for closure in self._scenario.closures for edge in closure.edges}
        self.additional = self._additional({edge: self.api.edge.getLaneNumber(edge) for edge in edges})
        try:
            self.api.load(self._arguments())
        except Exception as error:
            if type(error).__name__ in _TRACI_ERRORS:
                raise UsageError(f"SUMO refuses the vehicle types or closures: {error}.") from error
            raise
        self._shift = 0.0
        self._vehicles.clear()
        self._routes = 0

    def _additional(self, lanes: Mapping[str, int]) -> str:
        scenario = self._scenario if lanes else replace(self._scenario, closures=())
        return additional_text(scenario, self.settings.driver_noise, lanes, self._lights)

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

    def reset(self, scenario: Scenario, seed: int | None = None, measure: Measure | None = None) -> None:
        """Back to an empty network at the scenario's begin, in the state of a fresh load.

        Args:
            measure: SUMO writes what `measured` reads; it costs a load before the drive and one after it.
        """
        before, self._scenario = self._scenario, scenario
        same = (scenario.types, scenario.closures, scenario.rerouting) == (
            before.types,
            before.closures,
            before.rerouting,
        )
        self._outputs = outputs(measure.emissions, Path(self._folder.name)) if measure else []
        if self._outputs or not self.fast_reset or not same:
            self.seed = self.seed if seed is None else seed
            self._load()
            return
        for vehicle in sorted(self._vehicles):
            self.api.vehicle.remove(vehicle)
        self._vehicles.clear()
        now = self.api.simulation.getTime()
        if now == scenario.begin and not self._routes:
            return
        # One step at least: SUMO forgets a removed vehicle's id only then.
        cycles = math.floor((now - scenario.begin) / self.cycle) + 1
        self._shift = float(cycles * self.cycle)
        self.api.simulationStep(scenario.begin + self._shift)

    def measured(self) -> Driven:
        """What SUMO says of every vehicle since a `reset` that asked for it; the streets are empty after it.

        Raises:
            UsageError: the last `reset` did not ask for it, or no vehicle wanted to depart.
        """
        if not self._outputs:
            raise UsageError("This episode was not measured; begin it with the option measure.")
        end, self._outputs = self.time, []
        # SUMO writes its files as it forgets the run.
        self._load()
        return read_driven(Path(self._folder.name), begin=self._scenario.begin, end=end, seed=self.seed)

    def close(self) -> None:
        global _libsumo_owner
        api, self.api = self.api, None
        if api is not None and self.settings.backend == "libsumo":
            api.close()
            _libsumo_owner = None
        elif api is not None:
            _end(api)
        self._folder.cleanup()

    # -- driving -------------------------------------------------------------------------------------------------------
    @property
    def time(self) -> float:
        """The scenario's seconds."""
        return float(self.api.simulation.getTime() - self._shift)

    def add(
        self,
        vehicle: str,
        route: Sequence[str],
        departure: float,
        kind: str = VEHICLE_TYPE,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Let a vehicle depart on its route at `departure` seconds, or as soon after as its first edge has room.

        Args:
            kind: its vType.
            attributes: SUMO's, such as {"departLane": "best"}.

        Raises:
            UsageError: SUMO refuses the vehicle, with SUMO's own message.
        """
        self._routes += 1
        name = f"{vehicle}@{self._shift}#{self._routes}"
        words = vehicle_attributes(attributes or {})
        try:
            self.api.route.add(name, list(route))
            self.api.vehicle.add(vehicle, name, typeID=kind, depart=str(self._shift + departure), **words)
        except Exception as error:
            if type(error).__name__ in _TRACI_ERRORS:
                raise UsageError(f"SUMO refuses vehicle {vehicle!r}: {str(error).rstrip('.')}.") from error
            raise
        self._vehicles.add(vehicle)

    def set_route(self, vehicle: str, route: Sequence[str]) -> bool:
        """Send a vehicle on another way; it begins with the edge it is on, or inside a junction with the next.

        Returns:
            False where SUMO refuses it because of a closure: it also looks at the streets behind the vehicle.

        Raises:
            UsageError: SUMO refuses the route otherwise, with SUMO's own message.
        """
        try:
            self.api.vehicle.setRoute(vehicle, list(route))
            return True
        except Exception as error:
            if type(error).__name__ in {"TraCIException", "FatalTraCIError"}:
                if self._scenario.closures and self._scenario.rerouting:
                    return False
                raise UsageError(f"SUMO refuses a route of vehicle {vehicle!r}: {str(error).rstrip('.')}.") from error
            raise

    def advance(self, until: float) -> list[str]:
        """Step to `until` seconds; returns the vehicles that reached the end of their route."""
        self.api.simulationStep(self._shift + until)
        arrived = list(self.api.simulation.getArrivedIDList())
        self._vehicles.difference_update(arrived)
        return arrived

    @property
    def under_way(self) -> list[str]:
        """Vehicles that were added and have not arrived, in order of their names."""
        return sorted(self._vehicles)


def options_of(scenario: Scenario, settings: EnvironmentSettings) -> list[str]:
    """What sumo_run.drive_routes needs beside its own options to drive as here: option and value by turns."""
    return [
        *(() if settings.driver_noise is None else ("--default.speeddev", "0")),
        *(REROUTING_OPTIONS if scenario.rerouting else ()),
    ]


def libsumo_is_held() -> bool:
    """Whether this process has an open simulation in libsumo, which can hold no second one."""
    owner = _libsumo_owner() if _libsumo_owner else None
    return owner is not None and owner.api is not None


def _end(connection: Any) -> None:
    """Close a SUMO behind a socket. One that Ctrl-C cut off in mid-sentence does not understand the farewell."""
    process = connection._process
    try:
        connection.close(wait=False)
        process.wait(timeout=_FAREWELL)
    except Exception:  # noqa: BLE001 - whatever its client makes of half an answer
        process.kill()
        process.wait()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A program that is started in here does not hear Ctrl-C: whoever started it ends it. It is not lost here."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_TRACI_ERRORS = {"TraCIException", "FatalTraCIError"}
_FAREWELL = 10.0
"""Seconds that a SUMO has to end when it is told to."""
_RAIL = (1, 2)
"""SUMO's TrafficLightType: rail signal, rail crossing; without trains they never change."""
_ACTUATED = (3, 4, 5)
"""SUMO's TrafficLightType: actuated, NEMA, delay based."""
