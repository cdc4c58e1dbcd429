"""Route choice on a street network as a PettingZoo parallel environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from leed_agentic.roads.network import RoadNetwork
from leed_agentic.settings import EnvironmentSettings
from leed_agentic.traffic.route_choice import RouteChoice, agent_name
from leed_agentic.traffic.scenario import Scenario


class RouteEnv(RouteChoice, ParallelEnv):
    """n vehicles choose their way, junction by junction (the paper's Table I).

    Action: Discrete(m), the i-th legal successor of the agent's last chosen edge, counter-clockwise from the right; m
    is the map's largest number of successors. An agent whose info says `decides: False` is in mid-edge: its action is
    ignored and its observation is that of its last decision. An action outside the mask is replaced as
    `settings.illegal_action` says, and the agent's next info says `illegal_action: True`.

    Step: a step in which somebody decides again at once (a short edge was chosen) takes no simulated time; every other
    step takes `step_seconds`. An arrival terminates the agent; `max_steps * step_seconds` simulated seconds truncate,
    `env.max_steps` being the settings', or where they name none enough for the slowest trip.

    What happens in a step is `RouteChoice`, by agent number; here it gets names and dicts.

    Args:
        network: the streets.
        scenario: the trips, or a function from a seed to them: `reset(seed=...)` draws, `reset()` goes on drawing.
        settings: see `EnvironmentSettings`.
        redraw_every: episodes for which drawn trips stay the same.
        seed: of the first draw.

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
        redraw_every: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(network, scenario, settings, redraw_every, seed)
        self.possible_agents = [agent_name(agent) for agent in range(self.agent_count)]
        box = spaces.Box(-np.inf, np.inf, (self.observation_size,), np.float32)
        mask = spaces.Box(0, 1, (network.max_successors,), np.int8)
        masked = self.settings.mask_in_observation
        self._observation_space = spaces.Dict({"observation": box, "action_mask": mask}) if masked else box
        self._action_spaces = {name: spaces.Discrete(network.max_successors) for name in self.possible_agents}
        self.state_space = spaces.Box(-np.inf, np.inf, (self.observation_size * self.agent_count,), np.float32)
        self._no_observation = np.zeros(self.observation_size, dtype=np.float32)
        self._masks_then: dict[int, np.ndarray] = {}
        """Masks that go with `observed`: in mid-edge the one of the last decision, like the observation."""

    @property
    def agents(self) -> list[str]:
        """Names of the agents under way."""
        return [self.possible_agents[agent] for agent in self.under_way]

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
            options: `scenario` replaces the scenario; `agents`, a list of agent numbers, leaves the others at home;
                `routes`, edge ids by agent number, are what SUMO expects them to choose.
        """
        self.begin(seed, options)
        self._masks_then = {agent: self.action_mask(agent) for agent in self.under_way}
        return self._observations(self.under_way), self._infos(self.under_way)

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Apply the deciding agents' actions; others may be left out. The class says what a step is."""
        alive, names = self.under_way, self.possible_agents
        gained = self.advance({agent: actions[names[agent]] for agent in self.deciding if names[agent] in actions})
        for agent in self.deciding:
            self._masks_then[agent] = self.action_mask(agent)
        arrived, over = self.arrived, not self.under_way
        rewards = {names[agent]: gained.get(agent, 0.0) for agent in alive}
        terminations = {names[agent]: agent in arrived for agent in alive}
        truncations = {name: over and not home for name, home in terminations.items()}
        return self._observations(alive), rewards, terminations, truncations, self._infos(alive)

    def state(self) -> np.ndarray:
        """All agents' latest observations, one after the other, float32; zeros for agents left at home."""
        return np.concatenate([self.observed.get(agent, self._no_observation) for agent in range(self.agent_count)])

    def render(self) -> None:
        """Nothing: `leed map show` and the route pictures draw what happened."""

    def close(self) -> None:
        self.simulation.close()

    def _observations(self, agents: list[int]) -> dict[str, Any]:
        names, masks = self.possible_agents, self._masks_then
        if not self.settings.mask_in_observation:
            return {names[agent]: self.observed[agent] for agent in agents}
        return {names[agent]: {"observation": self.observed[agent], "action_mask": masks[agent]} for agent in agents}

    def _infos(self, agents: list[int]) -> dict[str, dict[str, Any]]:
        return {
            self.possible_agents[agent]: {
                "action_mask": self.action_mask(agent),
                "decides": agent in self.deciding,
                "edge": self.current_edge(agent).id,
                "illegal_action": agent in self.illegal,
            }
            for agent in agents
        }
