"""Route choice by agent number: what RouteEnv offers the world and `drive` runs directly, without a dict per step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.settings import EnvironmentSettings
from leed_agentic.traffic.fleet import Counters, Fleet
from leed_agentic.traffic.observation import junction_columns, observations, scores
from leed_agentic.traffic.reward import Change, distances, rewards
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.simulation import Simulation
from leed_agentic.traffic.view import strategy


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
    ) -> None:
        self.network = network
        self.settings = settings or EnvironmentSettings()
        self._draw = scenario if callable(scenario) else None
        self.scenario = scenario(0) if callable(scenario) else scenario
        self.scenario.check(network)
        self.agent_count = len(self.scenario.agents)
        self.score = strategy(scores, self.settings.score, "env", "agent", "edge")
        self._observe = strategy(observations, self.settings.observation, "env", "agent")
        self._reward = strategy(rewards, self.settings.reward, "env", "agent", "change")
        self._distance = strategy(distances, self.settings.distance, "env", "agent", "edge")
        self.simulation = Simulation(network, self.settings)
        self.fleet = Fleet(network, self.simulation, self.settings)
        self.now = 0.0
        self.under_way: list[int] = []
        """Agents that neither arrived nor were cut off, in order."""
        self.deciding: list[int] = []
        """Those of them that `advance` wants an action of."""
        self.arrived: list[int] = []
        self.illegal: list[int] = []
        """Agents that arrived in the last `advance`, and whose action in it was outside the mask."""
        self.observed: dict[int, np.ndarray] = {}
        """Every agent's observation at its last decision."""
        slots = np.arange(network.max_successors)
        self._masks = [(slots < len(edge.successors)).astype(np.int8) for edge in network.edges]
        for mask in self._masks:
            # Handed to everyone.
            mask.setflags(write=False)
        self._place(self.scenario, range(self.agent_count))
        self.observation_size = len(self.observe(0))
        self.junction_columns = junction_columns(self._observe, self.observation_size)
        """Columns of an observation that hold a junction's index; others hold sizes."""

    # -- an episode ----------------------------------------------------------------------------------------------------
    def begin(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Clear the streets and place the agents; the arguments are those of `RouteEnv.reset`."""
        options = options or {}
        scenario = options.get("scenario") or (self._draw(seed) if self._draw and seed is not None else self.scenario)
        if len(scenario.agents) != self.agent_count:
            raise UsageError(
                f"This environment was made for {self.agent_count} agents, the scenario has "
                f"{len(scenario.agents)}; make a new RouteEnv."
            )
        self.simulation.reset(seed)
        self._place(scenario, options.get("agents", range(self.agent_count)))
        self.deciding = self.fleet.must_choose(self.now)
        self.observed = {agent: self.observe(agent) for agent in self.under_way}

    def _place(self, scenario: Scenario, agents: Iterable[int]) -> None:
        self.scenario = scenario
        self.now = 0.0
        self.under_way = list(agents)
        self.arrived = []
        self.illegal = []
        self.fleet.start(scenario, self.under_way)
        self._left = {agent: self._distance_left(agent) for agent in self.under_way}

    def advance(self, actions: Mapping[int, int]) -> dict[int, float]:
        """Apply the deciding agents' actions and run one step.

        Returns:
            Rewards of all agents under way, or where no time passed, of those that chose.

        Raises:
            UsageError: an agent that must decide has no action.
        """
        chose, since = self.deciding, self.now
        left_before = dict(self._left)
        self.illegal = [agent for agent in chose if not self._apply(agent, actions)]
        self.arrived = []
        self.deciding = self.fleet.must_choose(since)
        if self.deciding:
            gained = self._rewards(chose, since, left_before)
        else:
            self.now += self.settings.step_seconds
            self.arrived = self.fleet.drive(since, self.now)
            self.deciding = self.fleet.must_choose(self.now)
            gained = self._rewards(self.under_way, since, left_before)
        if self.now >= self.settings.max_steps * self.settings.step_seconds:
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
        legal = 0 <= action < len(following)
        if not legal:
            self.counters.illegal_actions += 1
        self.fleet.choose(agent, following[action] if legal else self.network.edge(self.fleet.fallback(agent)))
        self._left[agent] = self._distance_left(agent)
        return legal

    def _distance_left(self, agent: int) -> float:
        return self._distance(self, agent, self.fleet.vehicles[agent].last)

    def _rewards(self, agents: list[int], since: float, left_before: Mapping[int, float]) -> dict[int, float]:
        """Rewards of one step. In mid-edge too: what a user's reward gives there only its author knows."""
        gained = {}
        vehicles, left, reward = self.fleet.vehicles, self._left, self._reward
        for agent in agents:
            vehicle = vehicles[agent]
            home = vehicle.arrived_at is not None
            end = self.now if vehicle.arrived_at is None else vehicle.arrived_at
            start = since if since > vehicle.trip.departure else vehicle.trip.departure
            seconds = end - start if end > start else 0.0
            gained[agent] = reward(self, agent, Change(seconds, left_before[agent], left[agent], home))
        return gained

    # -- what others ask -----------------------------------------------------------------------------------------------
    def current_edge(self, agent: int) -> Edge:
        """The last edge the agent chose; its end is the agent's current junction."""
        return self.fleet.vehicles[agent].last

    def action_mask(self, agent: int) -> np.ndarray:
        """Shape (m,), int8: as many ones, for legal actions, as the current edge has successors, then zeros."""
        return self._masks[self.current_edge(agent).index]

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

    def travel_seconds(self, agent: int) -> float | None:
        """Seconds from the agent's planned departure to its arrival; None while under way."""
        vehicle = self.fleet.vehicles[agent]
        return None if vehicle.arrived_at is None else vehicle.arrived_at - vehicle.trip.departure

    @property
    def counters(self) -> Counters:
        """Teleports, collisions, missed choices and illegal actions of this episode."""
        return self.fleet.counters
