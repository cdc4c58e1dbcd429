"""The agents of a scenario as one fleet in traffic: what its drives cost whom and where, whom to ask, what to tell."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.demonstrations.records import AgentDelay, StreetTime, TrafficRecord
from leed_agentic.demonstrations.rules.compiled import Broken, Rules
from leed_agentic.demonstrations.rules.mend import mended
from leed_agentic.setting_groups import DemonstrationSettings
from leed_agentic.settings import Settings
from leed_agentic.traffic.alternatives import Question
from leed_agentic.traffic.coordinate import CoordinationSettings, Coordinator, DrivenPlan, Round
from leed_agentic.traffic.demand import in_traffic
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.judge import NOISY
from leed_agentic.traffic.limits import Limits
from leed_agentic.traffic.paths import Costs, Route, fastest_path
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.scenario_judge import closed_streets, stage
from leed_agentic.traffic.starts import Routes
from leed_agentic.traffic.street_times import StreetTimes

NOISE_SEEDS = 2
"""Noisy runs that judge a plan where the best start jams: chosen by a calm drive, it is lost in noise."""
COORDINATES = ("alternatives", "instructions", "tools")
"""Ways of planning that begin with a drive."""

MENDS = 3
"""Drives at most that look for a plan which meets the rules about time."""


def objective_of(settings: Settings, scenario: Scenario) -> str:
    """fleet, everybody or reward: the settings', else fleet where there is traffic."""
    return settings.demonstration.objective or ("fleet" if in_traffic(settings, scenario) else "reward")


class FleetInTraffic:
    """Coordinates the agents of a scenario; nothing is driven before it is asked for.

    Args:
        env: its streets, types, closures and lights are those that plain SUMO gets.
        rules: of a person; those about streets and detours limit the routes, those about time are seen in the drives.

    Raises:
        UsageError: a trip begins or ends where no car may drive, or an agent departs after the end.
    """

    def __init__(
        self,
        env: RouteEnv,
        scenario: Scenario,
        settings: DemonstrationSettings,
        seed: int,
        rules: Rules | None = None,
        progress: Callable[[str], Any] = lambda line: None,
    ) -> None:
        self.env, self.scenario, self.settings, self.seed = env, scenario, settings, seed
        self.progress = progress
        self.rules = rules
        self._folder = tempfile.TemporaryDirectory(prefix="leed-fleet-")
        self._questions: list[Question] | None = None
        self.runs_before = 0
        self.noise_seeds = settings.noise_seeds or 0
        self.before: dict[str, float] = {}
        """Seconds lost per street on the fastest paths of empty streets."""
        self.loop = self.new_loop(self.noise_seeds)
        self.numbers = {trip.id: trip.agent for trip in scenario.agents}

    # -- driving -------------------------------------------------------------------------------------------------------
    @property
    def begun(self) -> bool:
        return self.loop.best is not None

    def begin(self) -> None:
        """Drive the baselines, once. Where the best of them jams, plans are from then on judged in noise."""
        if self.begun:
            return
        self.loop.begin()
        self._mend()
        best = self.loop.best
        if self.settings.noise_seeds is None and best is not None and best.round.teleports:
            self.progress("the streets are near saturation: plans are judged in noise")
            self.runs_before, self.noise_seeds = self.loop.judge.runs, NOISE_SEEDS
            self.loop = self.new_loop(NOISE_SEEDS)
            self.loop.begin()
            self._mend()

    def _mend(self) -> None:
        """Try other routes for agents whose rules about time the best plan breaks."""
        for number in range(1, MENDS + 1):
            if self.rules is None or not self.best.broken:
                return
            routes = mended(self.rules, self.loop)
            if routes == self._best.routes:
                return
            self.loop.attempt(routes, f"by the rules, try {number}")

    def attempt(self, routes: Mapping[int, Sequence[str]], name: str = "", unread: int = 0) -> Round | None:
        """Drive routes of all agents among the others; None where these are the best, driven before."""
        self.begin()
        whole = {**self._best.routes, **self.ids(routes)}
        if whole == self._best.routes:
            return None
        self._questions = None
        return self.loop.attempt(whole, name, unread=unread)

    def routes(self) -> dict[int, list[str]]:
        """The best plan so far, as edge ids by agent."""
        return {agent: self.edges(self._best.routes[vehicle]) for vehicle, agent in self.numbers.items()}

    # -- criticising ---------------------------------------------------------------------------------------------------
    def questions(self) -> list[Question]:
        """To the agents with most to gain in the traffic that the drives so far showed; the same until the next one."""
        self.begin()
        if self._questions is None:
            self._questions = self.loop.questions()
        return self._questions

    def asked(self) -> list[int]:
        """The agents of these questions."""
        return sorted(self.numbers[question.vehicle] for question in self.questions())

    def remarks(self) -> dict[int, str]:
        """What each asked agent lost, where, when and behind whom, and what another way would have taken."""
        found = {}
        for question in self.questions():
            agent = self.numbers[question.vehicle]
            current = question.alternatives[question.current]
            parts = [f"your route took {current.seconds:.0f} s"]
            parts += [
                f"it lost {delay.lost:.0f} s on {delay.street} at {delay.entered:.0f} s"
                + (f" with {len(delay.others)} others there" if delay.others else "")
                for delay in question.delays
            ]
            better = min(question.alternatives, key=lambda one: one.seconds)
            if better.seconds < current.seconds:
                fewest = [edge for edge in self.edges(better.route) if edge not in self.edges(current.route)]
                by = f" by {fewest[0]}" if fewest else ""
                parts.append(f"another way{by} would have taken {better.seconds:.0f} s")
            found[agent] = f"Agent {agent}: " + "; ".join(parts) + "."
        return found

    def broken_by(self, routes: Mapping[int, Sequence[str]]) -> list[Broken]:
        """Routes that no rule about streets or detours allows."""
        if self.rules is None:
            return []
        return self.rules.findings(self.loop.settings.limits, self.loop.trips, routes)

    def verdicts(self) -> list[dict[str, Any]]:
        """Every rule, whether the best plan's first drive meets it, and what was found."""
        driven = self._best.driven[0]
        return [verdict.to_json() for verdict in self.rules.verdicts(driven)] if self.rules else []

    def alone(self) -> dict[int, float]:
        """Expected seconds of each agent's fastest way with the streets to itself, at the lights as they are."""
        trips, seconds = self.loop.trips, {}
        costs = Costs(trips.graph, lights=True)
        for vehicle, agent in self.numbers.items():
            trip = trips.vehicles[vehicle]
            path = fastest_path(costs, trip.start, trip.goal, trip.departure)
            if path is not None:
                seconds[agent] = path[1]
        return seconds

    def figures(self) -> dict[str, Any]:
        """What the drives came to, in mean seconds from planned departure to arrival; plain JSON."""
        best = self._best.round
        return {
            "objective": self.loop.settings.objective,
            "kept": best.name,
            "fleet_time": round(best.fleet, 2),
            "others_time": None if best.others is None else round(best.others, 2),
            "unfinished": best.unfinished,
            "teleports": best.teleports,
            "baselines": {name: round(one.fleet, 2) for name, one in self.loop.result().starts.items()},
            "noise_seeds": self.noise_seeds,
            "rules": self.verdicts(),
            "sumo_runs": self.runs_before + self.loop.judge.runs,
        }

    def record(self) -> TrafficRecord:
        """All rounds, and of the best plan who lost time where and what the streets took."""
        rounds = [asdict(one) for one in self.loop.rounds]
        return {"rounds": rounds, "agents": self.delays(), "streets": self.streets()}

    def lost(self) -> dict[str, float]:
        """Seconds that all cars lost on each street in the best plan, red lights included."""
        return self._lost(self._best)

    def _lost(self, plan: DrivenPlan) -> dict[str, float]:
        graph = self.loop.trips.graph
        times = StreetTimes.measure(list(zip(plan.driven, plan.visits, strict=True)), graph)
        lost = np.bincount(times.street, times.loss * times.flow, len(graph.ids))
        return {graph.ids[street]: float(lost[street]) for street in np.flatnonzero(lost)}

    def _heard(self, one: Round) -> None:
        if one.name == "shortest" and self.loop.last is not None:
            self.before = self._lost(self.loop.last)
        self.progress(f"{one.name}: {one.fleet:.1f} s an agent")

    def streets(self) -> list[StreetTime]:
        """Of the best plan, per street and interval of 30 s: mean seconds and loss, flow and queue."""
        times = self.loop.times()
        ids = self.loop.trips.graph.ids
        columns = (times.street, times.entered, times.seconds, times.loss, times.flow, times.queue)
        return [
            {
                "street": ids[street],
                "begin": round(float(begin), 1),
                "seconds": round(float(took), 1),
                "lost": round(float(lost), 1),
                "flow": round(float(flow), 2),
                "queue": round(float(queue), 2),
            }
            for street, begin, took, lost, flow, queue in zip(*columns, strict=True)
        ]

    def delays(self) -> list[AgentDelay]:
        """Of the best plan's first drive, per agent: seconds lost in all, before its insertion, and where most."""
        delays = self.loop.delays()
        return [
            {
                "agent": agent,
                "lost": round(delays.total[vehicle], 1),
                "insertion": round(delays.insertion[vehicle], 1),
                "where": [
                    {
                        "street": one.street,
                        "entered": round(one.entered, 1),
                        "lost": round(one.lost, 1),
                        "others": len(one.others),
                    }
                    for one in delays.of(vehicle)
                ],
            }
            for vehicle, agent in self.numbers.items()
        ]

    # -- between agents and vehicles -----------------------------------------------------------------------------------
    def ids(self, routes: Mapping[int, Sequence[str]]) -> Routes:
        """Routes by vehicle, as numbers of streets."""
        index, agents = self.loop.trips.graph.index, self.scenario.agents
        return {agents[agent].id: tuple(index[edge] for edge in route) for agent, route in routes.items()}

    def edges(self, route: Route) -> list[str]:
        return [self.loop.trips.graph.ids[street] for street in route]

    @property
    def plan(self) -> Routes:
        """The best plan of the whole demand, as numbers of streets."""
        return dict(self._best.routes)

    def route_of(self, vehicle: str) -> Route:
        return self._best.routes[vehicle]

    def ids_of(self, vehicle: str) -> set[int]:
        """The streets of a vehicle's route in the best plan."""
        return set(self._best.routes[vehicle])

    def close(self) -> None:
        self._folder.cleanup()

    @property
    def best(self) -> Round:
        """The best plan's round."""
        return self._best.round

    @property
    def _best(self) -> DrivenPlan:
        self.begin()
        best = self.loop.best
        assert best is not None  # noqa: S101 - begin() has driven
        return best

    def new_loop(self, noise_seeds: int = 0) -> Coordinator:
        """The loop from its beginning, nothing driven yet: what the same drives come to without a model."""
        settings = self.settings
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        noisy: dict[str, Any] = {"noise": NOISY, "seeds": tuple(range(101, 101 + noise_seeds))} if noise_seeds else {}
        placed = stage(self.env, self.scenario, folder, **noisy)
        asked = self.rules.limits(placed.trips) if self.rules else Limits()
        closed = closed_streets(self.scenario, placed.trips.graph)
        limits = replace(asked, closed=closed, max_detour=settings.max_detour)
        return Coordinator(
            placed.trips,
            placed.judge,
            CoordinationSettings(
                rounds=settings.rounds,
                share=settings.share,
                signals=settings.signals,
                objective="everybody" if settings.objective == "everybody" else "fleet",
                limits=limits,
            ),
            fleet=[trip.id for trip in self.scenario.agents],
            others=placed.others,
            seed=self.seed,
            on_round=self._heard,
            broken=self.rules.broken if self.rules else lambda driven: 0,
        )


def generator_of(seed: int, number: int) -> np.random.Generator:
    """Of a round, for what is drawn by lot beside the questions."""
    return np.random.default_rng([seed, 0xF1EE7, number])
