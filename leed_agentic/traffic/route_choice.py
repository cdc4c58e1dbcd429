"""Route choice by agent number: what RouteEnv offers the world and `drive` runs directly, without a dict per step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import Edge
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import PAPER_STEPS, EnvironmentSettings
from leed_agentic.traffic.fleet import Counters, Fleet, Vehicle
from leed_agentic.traffic.observation import junction_columns, observations, scores
from leed_agentic.traffic.reward import Change, distances, rewards
from leed_agentic.traffic.scenario import AgentTrip, Scenario
from leed_agentic.traffic.simulation import Simulation
from leed_agentic.traffic.view import strategy

_CHANCE = 0xACE
"""Parts the environment's own chance from everything else that is drawn from a seed."""
log = logging.getLogger(__name__)


def steps_needed(network: RoadNetwork, scenario: Scenario, step_seconds: int) -> int:
    """Steps in which every trip has time to end: at least the paper's 200.

    Twice the free-flow time of the slowest, from its departure, with 300 s in reserve and 1 s for every vehicle.
    """
    slowest = max((t.departure + 2 * _free_flow(network, t) for t in scenario.agents), default=scenario.begin)
    vehicles = len(scenario.agents) + len(scenario.background)
    return max(PAPER_STEPS, math.ceil((slowest - scenario.begin + 300 + vehicles) / step_seconds))


def _free_flow(network: RoadNetwork, trip: AgentTrip) -> float:
    """Seconds of the fastest path with no other car on the streets."""
    edge = network.edge(trip.start_edge)
    return edge.travel_time + float(network.times_to(trip.goal)[edge.index])


def full_masks(network: RoadNetwork) -> list[np.ndarray]:
    """For every edge, ones for its successors, shape (m,), int8."""
    slots = np.arange(network.max_successors)
    masks = [(slots < len(edge.successors)).astype(np.int8) for edge in network.edges]
    for mask in masks:
        # Handed to everyone.
        mask.setflags(write=False)
    return masks


def agent_name(agent: int) -> str:
    """PettingZoo's name of agent 3: "agent_3"."""
    return f"agent_{agent}"


class RouteChoice:
    """n vehicles in SUMO that choose their way, junction by junction; `RouteEnv` says what a step is.

    Scores, observations, distances and rewards are called here and nowhere else: `begin` observes for every agent,
    `advance` for those that decide next, and it rewards every agent under way.
    """

    def __init__(
        self,
        network: RoadNetwork,
        scenario: Scenario | Callable[[int], Scenario],
        settings: EnvironmentSettings | None = None,
        redraw_every: int = 1,
        seed: int = 0,
    ) -> None:
        self.network = network
        self.settings = settings or EnvironmentSettings()
        self._draw = scenario if callable(scenario) else None
        self._redraw_every = redraw_every
        self._begun = 0
        self._reset = False
        """Whether an episode has begun."""
        self._judged: Scenario | None = None
        self._chance = np.random.default_rng([seed, _CHANCE])
        self.scenario = scenario(seed) if callable(scenario) else scenario
        self.scenario.check(network)
        self.agent_count = len(self.scenario.agents)
        self.find_strategies()
        self.simulation = Simulation(network, self.settings, self.scenario)
        self.fleet = Fleet(network, self.simulation, self.settings)
        self.now = self.scenario.begin
        self.seconds: dict[int, float] = {}
        """How long each agent was on its way in the last step."""
        self.under_way: list[int] = []
        """Agents that neither arrived nor were cut off, in order."""
        self.deciding: list[int] = []
        """Those of them that `advance` wants an action of."""
        self.arrived: list[int] = []
        self.illegal: list[int] = []
        """Agents that arrived in the last `advance`, and whose action in it was outside the mask."""
        self.observed: dict[int, np.ndarray] = {}
        """Every agent's observation at its last decision."""
        self._masks = full_masks(network)
        self._place(self.scenario, range(self.agent_count))
        self.observation_size = len(self.observe(0))
        self.junction_columns = junction_columns(self._observe, self.observation_size)
        """Columns of an observation that hold a junction's index; others hold sizes."""

    def find_strategies(self) -> None:
        """Look up the functions that the settings name. Raises UsageError when there is none, or of other arguments."""
        self.score = strategy(scores, self.settings.score, "env", "agent", "edge")
        self._observe = strategy(observations, self.settings.observation, "env", "agent")
        self._reward = strategy(rewards, self.settings.reward, "env", "agent", "change")
        self._distance = strategy(distances, self.settings.distance, "env", "agent", "edge")

    # -- an episode ----------------------------------------------------------------------------------------------------
    def begin(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Clear the streets and place the agents; the arguments are those of `RouteEnv.reset`."""
        if self.simulation.api is None:
            raise UsageError("This environment is closed; make a new RouteEnv.")
        options = options or {}
        scenario = options.get("scenario") or self._next_scenario(seed)
        if scenario is not self.scenario:
            self._check_size(scenario)
        if seed is not None:
            self._chance = np.random.default_rng([seed, _CHANCE])
        self.simulation.reset(scenario, seed, options.get("measure"))
        self._reset = True
        self._place(scenario, options.get("agents", range(self.agent_count)), options.get("routes"))
        self._too_long(scenario)
        self.deciding = self._asked(self.now)
        self.observed = {agent: self.observe(agent) for agent in self.under_way}

    def use(self, scenario: Scenario) -> None:
        """Drive these trips from the next episode on. Raises UsageError when they do not fit this environment."""
        self._check_size(scenario)
        scenario.check(self.network)
        self.scenario, self._draw = scenario, None

    def _check_size(self, scenario: Scenario) -> None:
        if len(scenario.agents) != self.agent_count:
            raise UsageError(
                f"This environment was made for {self.agent_count} agents, the scenario has {len(scenario.agents)}; "
                "give as many, or make a new RouteEnv."
            )

    def _next_scenario(self, seed: int | None) -> Scenario:
        """The same trips until others are due; without a seed the draws go on from the last one."""
        if self._draw is None:
            return self.scenario
        self._begun += 1
        if (self._begun - 1) % self._redraw_every:
            return self.scenario
        if seed is None and self._begun == 1:
            # Drawn when the environment was made.
            return self.scenario
        scenario = self._draw(int(self._chance.integers(2**31)) if seed is None else seed)
        if scenario is not self.scenario:
            scenario.check(self.network)
        return scenario

    def _place(
        self, scenario: Scenario, agents: Iterable[int], routes: Mapping[int, Sequence[str]] | None = None
    ) -> None:
        self.scenario = scenario
        self.max_steps = self.settings.max_steps or steps_needed(self.network, scenario, self.settings.step_seconds)
        """Steps until truncation."""
        self.now = scenario.begin
        self.under_way = list(agents)
        self.arrived = []
        self.illegal = []
        self.fleet.start(scenario, self.under_way, routes)
        self._left = {agent: self._distance_left(agent) for agent in self.under_way}

    def _too_long(self, scenario: Scenario) -> None:
        if self.settings.max_steps is None or scenario is self._judged:
            return
        self._judged = scenario
        end = scenario.begin + self.max_steps * self.settings.step_seconds
        cut = [trip.id for trip in scenario.agents if trip.departure + _free_flow(self.network, trip) > end]
        if cut:
            log.warning(
                "%d of %d trips cannot end by %g s even on empty streets (such as %s); raise environment.max_steps or "
                "leave it unset.",
                *(len(cut), len(scenario.agents), end, cut[0]),
            )

    def advance(self, actions: Mapping[int, int]) -> dict[int, float]:
        """Apply the deciding agents' actions and run one step.

        Returns:
            Rewards of all agents under way, or where no time passed, of those that chose.

        Raises:
            UsageError: an agent that must decide has no action; there was no reset, or it is closed.
        """
        if self.simulation.api is None:
            raise UsageError("This environment is closed; make a new RouteEnv.")
        if not self._reset:
            raise UsageError("Call reset() before the first step().")
        chose, since = self.deciding, self.now
        left_before = dict(self._left)
        self.illegal = [agent for agent in chose if not self._apply(agent, actions)]
        self.arrived = []
        self.deciding = self._asked(since)
        if self.deciding:
            gained = self._rewards(chose, since, left_before)
        else:
            self.now += self.settings.step_seconds
            self.arrived = self.fleet.drive(since, self.now)
            self.deciding = self._asked(self.now)
            gained = self._rewards(self.under_way, since, left_before)
        if self.now >= self.scenario.begin + self.max_steps * self.settings.step_seconds:
            self.counters.never_inserted = self.fleet.waiting_to_depart()
            self.under_way, self.deciding = [], []
        elif self.arrived:
            self.under_way = [agent for agent in self.under_way if agent not in self.arrived]
        for agent in self.deciding:
            self.observed[agent] = self.observe(agent)
        return gained

    def _apply(self, agent: int, actions: Mapping[int, int]) -> bool:
        """Choose the agent's next edge; returns whether its action was legal."""
        if agent not in actions:
            raise UsageError(f"{agent_name(agent)} must decide in this step but no action was given.")
        action, following = int(actions[agent]), self.network.following[self.current_edge(agent).index]
        mask = self.action_mask(agent)
        legal = 0 <= action < len(following) and bool(mask[action])
        if not legal:
            self.counters.illegal_actions += 1
            action = self._in_place_of(action, agent, mask)
        self.fleet.choose(agent, following[action])
        self._left[agent] = self._distance_left(agent)
        return legal

    def _in_place_of(self, action: int, agent: int, mask: np.ndarray) -> int:
        """What is done for an action outside the mask."""
        way = self.settings.illegal_action
        if way == "error":
            raise UsageError(
                f"Action {action} of {agent_name(agent)} is not legal at {self.current_edge(agent).id}; choose one of "
                f"{', '.join(map(str, np.flatnonzero(mask)))}, or set environment.illegal_action."
            )
        if way == "fastest":
            return self.action_of(agent, self.fleet.fallback(agent))
        return int(self._chance.choice(np.flatnonzero(mask)))

    def _asked(self, now: float) -> list[int]:
        """The agents that must decide at `now`; forced choices are taken for them where that is wanted."""
        waiting = self.fleet.must_choose(now)
        while self.settings.forced_choices:
            forced = [agent for agent in waiting if self.action_mask(agent).sum() == 1]
            if not forced:
                break
            for agent in forced:
                only = int(self.action_mask(agent).argmax())
                self.fleet.choose(agent, self.network.following[self.current_edge(agent).index][only])
                self._left[agent] = self._distance_left(agent)
            waiting = self.fleet.must_choose(now)
        return waiting

    def _distance_left(self, agent: int) -> float:
        return self._distance(self, agent, self.fleet.vehicles[agent].last)

    def _rewards(self, agents: list[int], since: float, left_before: Mapping[int, float]) -> dict[int, float]:
        """Rewards of one step. In mid-edge too: what a user's reward gives there only its author knows."""
        gained = {}
        vehicles, left, reward = self.fleet.vehicles, self._left, self._reward
        self.seconds = {agent: self._seconds_on_way(vehicles[agent], since) for agent in agents}
        for agent, seconds in self.seconds.items():
            home = vehicles[agent].arrived_at is not None
            gained[agent] = reward(self, agent, Change(seconds, left_before[agent], left[agent], home))
        if self.settings.illegal_action == "penalty":
            for agent in self.illegal:
                gained[agent] -= self.settings.illegal_penalty
        return gained

    def _seconds_on_way(self, vehicle: Vehicle, since: float) -> float:
        end = self.now if vehicle.arrived_at is None else vehicle.arrived_at
        return max(end - max(since, vehicle.trip.departure), 0.0)

    # -- what others ask -----------------------------------------------------------------------------------------------
    def current_edge(self, agent: int) -> Edge:
        """The last edge the agent chose; its end is the agent's current junction."""
        return self.fleet.vehicles[agent].last

    def action_mask(self, agent: int) -> np.ndarray:
        """Shape (m,), int8: ones for the legal actions, one per successor of the current edge that is not closed."""
        edge = self.current_edge(agent)
        mask = self._masks[edge.index]
        closed = self.fleet.streets.closed(self.now)
        if closed and not closed.isdisjoint(edge.successors):
            open_ones = np.array([s not in closed for s in edge.successors])
            if open_ones.any():
                mask = mask.copy()
                mask[: len(open_ones)] *= open_ones
                mask.setflags(write=False)
        return mask

    def route(self, agent: int) -> list[str]:
        """Edge ids the agent has chosen so far, its start edge first."""
        return [e.id for e in self.fleet.vehicles[agent].chosen]

    def action_of(self, agent: int, edge_id: str) -> int:
        """The action that takes the agent to an edge. Raises UsageError when its current edge has no such successor."""
        successors = self.current_edge(agent).successors
        if edge_id not in successors:
            raise UsageError(
                f"Agent {agent} cannot turn from {self.current_edge(agent).id} into {edge_id}; "
                f"legal: {', '.join(successors)}."
            )
        return successors.index(edge_id)

    def observe(self, agent: int) -> np.ndarray:
        """The agent's observation now, at the end of its last chosen edge, whether it decides or not."""
        return self._observe(self, agent)

    def places(self) -> dict[int, tuple[float, float]]:
        """Where the agents' cars are, in metres of the network's coordinates; without those not on a street."""
        api = self.simulation.api.vehicle
        cars = [(a, v.name) for a, v in self.fleet.vehicles.items() if v.inserted and v.arrived_at is None]
        return {agent: tuple(api.getPosition(name)) for agent, name in cars if api.getRoadID(name)}

    def travel_seconds(self, agent: int) -> float | None:
        """Seconds from the agent's planned departure to its arrival; None while under way."""
        vehicle = self.fleet.vehicles[agent]
        return None if vehicle.arrived_at is None else vehicle.arrived_at - vehicle.trip.departure

    def arrival(self, agent: int) -> float | None:
        """The second that SUMO gives as its arrival; None while under way.

        SUMO names a second by its start, we count it in: this is one less than departure plus travel time.
        """
        at = self.fleet.vehicles[agent].arrived_at
        return None if at is None else at - 1.0

    @property
    def counters(self) -> Counters:
        """Teleports, collisions, missed choices and illegal actions of this episode."""
        return self.fleet.counters
