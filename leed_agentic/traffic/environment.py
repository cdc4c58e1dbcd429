"""Route choice on a street network as a PettingZoo parallel environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import Edge, RoadNetwork
from leed_agentic.settings import EnvironmentSettings
from leed_agentic.traffic.fleet import Counters, Fleet
from leed_agentic.traffic.observation import observations, scores
from leed_agentic.traffic.reward import Change, distances, rewards
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.simulation import Simulation


def agent_name(agent: int) -> str:
    """PettingZoo's name of agent 3: "agent_3"."""
    return f"agent_{agent}"


class RouteEnv(ParallelEnv):
    """n vehicles choose their way, junction by junction (the paper's Table I).

    Action: Discrete(m), the i-th legal successor of the agent's last chosen edge, counter-clockwise from the right; m
    is the map's largest number of successors. An agent whose info says `decides: False` is in mid-edge: its action is
    ignored and its observation is that of its last decision. An action outside the mask is replaced by the next edge of
    the fastest path, and the agent's next info says `illegal_action: True`.

    Step: a step in which somebody decides again at once (a short edge was chosen) takes no simulated time; every other
    step takes `step_seconds`. An arrival terminates the agent; `max_steps * step_seconds` simulated seconds truncate.

    Args:
        network: the streets.
        scenario: the trips, or a function from a seed to them (a new scenario at every `reset(seed=...)`).
        settings: see `EnvironmentSettings`.

    Raises:
        UsageError: unknown reward, score, distance or observation; a scenario of another map.
        UnavailableError: SUMO does not start.
    """

    metadata = {"name": "leed_route_v0", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012
    render_mode = None

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
        self.score = scores.get(self.settings.score)
        self._observe = observations.get(self.settings.observation)
        self._reward = rewards.get(self.settings.reward)
        self._distance = distances.get(self.settings.distance)
        self.simulation = Simulation(network, self.settings)
        self.fleet = Fleet(network, self.simulation, self.settings)
        self.possible_agents = [agent_name(trip.agent) for trip in self.scenario.agents]
        self._index = {name: i for i, name in enumerate(self.possible_agents)}
        self.agents: list[str] = []
        self.now = 0.0
        size = 2 + 2 * network.max_successors
        if self.settings.observation != "table1":
            self._begin(self.scenario, range(len(self.possible_agents)))
            size = len(self._observe(self, 0))
        box = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        mask = spaces.Box(0, 1, (network.max_successors,), np.int8)
        masked = self.settings.mask_in_observation
        self._observation_space = spaces.Dict({"observation": box, "action_mask": mask}) if masked else box
        self._action_spaces = {name: spaces.Discrete(network.max_successors) for name in self.possible_agents}
        self.state_space = spaces.Box(-np.inf, np.inf, (size * len(self.possible_agents),), np.float32)
        self._no_observation = np.zeros(size, dtype=np.float32)

    # -- PettingZoo ----------------------------------------------------------------------------------------------------
    def observation_space(self, agent: str) -> spaces.Space:
        return self._observation_space

    def action_space(self, agent: str) -> spaces.Space:
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Clear the streets and place the agents.

        Args:
            seed: of the scenario, where the environment was given a function, and of driver noise.
            options: `scenario` replaces the scenario; `agents`, a list of agent numbers, leaves the others at home.
        """
        options = options or {}
        scenario = options.get("scenario") or (self._draw(seed) if self._draw and seed is not None else self.scenario)
        if len(scenario.agents) != len(self.possible_agents):
            raise UsageError(
                f"This environment was made for {len(self.possible_agents)} agents, the scenario has "
                f"{len(scenario.agents)}; make a new RouteEnv."
            )
        self.simulation.reset(seed)
        self._begin(scenario, options.get("agents", range(len(scenario.agents))))
        self._deciding = set(self.fleet.must_choose(self.now))
        self._observations = dict.fromkeys(self.possible_agents, self._no_observation)
        infos = {name: self._info(self._index[name]) for name in self.agents}
        return self._observe_all(self.agents), infos

    def _begin(self, scenario: Scenario, agents: Any) -> None:
        self.scenario = scenario
        self.now = 0.0
        self.fleet.start(scenario, list(agents))
        self.agents = [agent_name(agent) for agent in agents]
        self._masks: dict[str, np.ndarray] = {}
        self._idle: dict[str, dict[str, Any]] = {}
        self._left = {agent: self._distance_left(agent) for agent in agents}

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Apply the deciding agents' actions; others may be left out. The class says what a step is."""
        alive = self.agents
        before = {agent: self._left[agent] for agent in self._deciding}
        illegal = {agent for agent in self._deciding if not self._apply(agent, actions)}
        self._deciding = set(self.fleet.must_choose(self.now))
        arrived: set[int] = set()
        since = self.now
        if not self._deciding:
            self.now += self.settings.step_seconds
            arrived = set(self.fleet.drive(since, self.now))
            self._deciding = set(self.fleet.must_choose(self.now))
        over = self.now >= self.settings.max_steps * self.settings.step_seconds
        if over:
            self._deciding = set()
        rewards, terminations, truncations, infos = {}, {}, {}, {}
        for name in alive:
            agent = self._index[name]
            home = agent in arrived
            chose = agent in before
            rewards[name] = self._paid(agent, since, before.get(agent), home) if chose or self.now > since else 0.0
            terminations[name] = home
            truncations[name] = over and not home
            infos[name] = self._info(agent, agent in illegal)
        if over or arrived:
            self.agents = [] if over else [name for name in alive if not terminations[name]]
        return self._observe_all(alive), rewards, terminations, truncations, infos

    def state(self) -> np.ndarray:
        """All agents' latest observations, one after the other, float32; zeros for agents left at home."""
        return np.concatenate([self._observations[name] for name in self.possible_agents])

    def render(self) -> None:
        """Nothing: `leed map show` and the route pictures draw what happened."""

    def close(self) -> None:
        self.simulation.close()

    # -- what others ask -----------------------------------------------------------------------------------------------
    def current_edge(self, agent: int) -> Edge:
        """The last edge the agent chose; its end is the agent's current junction."""
        return self.fleet.vehicles[agent].last

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
        """What the agent sees now, at the end of its last chosen edge, whether it decides or not."""
        return self._observe(self, agent)

    def travel_seconds(self, agent: int) -> float | None:
        """Seconds from the agent's planned departure to its arrival; None while under way."""
        vehicle = self.fleet.vehicles[agent]
        return None if vehicle.arrived_at is None else vehicle.arrived_at - vehicle.trip.departure

    @property
    def counters(self) -> Counters:
        """Teleports, collisions, missed choices and illegal actions of this episode."""
        return self.fleet.counters

    # -- inside --------------------------------------------------------------------------------------------------------
    def _apply(self, agent: int, actions: Mapping[str, int]) -> bool:
        """Choose the agent's next edge; returns whether its action was legal."""
        name = agent_name(agent)
        if name not in actions:
            raise UsageError(f"{name} must decide in this step but no action was given.")
        action, successors = int(actions[name]), self.current_edge(agent).successors
        legal = 0 <= action < len(successors)
        if not legal:
            self.counters.illegal_actions += 1
        self.fleet.choose(agent, successors[action] if legal else self.fleet.fallback(agent))
        self._left[agent] = self._distance_left(agent)
        return legal

    def _distance_left(self, agent: int) -> float:
        vehicle = self.fleet.vehicles[agent]
        return self._distance(self.network, vehicle.last, vehicle.trip.destination)

    def _paid(self, agent: int, since: float, left_before: float | None, arrived: bool) -> float:
        vehicle = self.fleet.vehicles[agent]
        end = vehicle.arrived_at if arrived and vehicle.arrived_at is not None else self.now
        left = self._left[agent]
        change = Change(
            seconds=max(0.0, end - max(since, vehicle.trip.departure)),
            distance_before=left if left_before is None else left_before,
            distance_after=left,
            arrived=arrived,
        )
        return self._reward(change, self.settings)

    def _observe_all(self, names: list[str]) -> dict[str, Any]:
        for name in names:
            agent = self._index[name]
            if agent in self._deciding or name not in self._masks:
                self._observations[name] = self._observe(self, agent)
                self._masks[name] = _mask(len(self.current_edge(agent).successors), self.network.max_successors)
        if not self.settings.mask_in_observation:
            return {name: self._observations[name] for name in names}
        return {name: {"observation": self._observations[name], "action_mask": self._masks[name]} for name in names}

    def _info(self, agent: int, illegal: bool = False) -> dict[str, Any]:
        decides = agent in self._deciding
        name = self.possible_agents[agent]
        if not decides and not illegal and name in self._idle:
            return self._idle[name]
        edge = self.current_edge(agent)
        info = {
            "action_mask": _mask(len(edge.successors), self.network.max_successors),
            "decides": decides,
            "edge": edge.id,
            "illegal_action": illegal,
        }
        if decides or illegal:
            self._idle.pop(name, None)
        else:
            self._idle[name] = info
        return info


@cache
def _mask(legal: int, size: int) -> np.ndarray:
    mask = (np.arange(size) < legal).astype(np.int8)
    mask.setflags(write=False)
    return mask
