"""Route choice on a street network as a PettingZoo parallel environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import EnvironmentSettings
from leed_agentic.traffic.observation import LARGEST, observation_bounds
from leed_agentic.traffic.process_choice import ProcessChoice
from leed_agentic.traffic.route_choice import RouteChoice, agent_name
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.simulation import libsumo_is_held

Told = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]
"""Observations, rewards, terminations, truncations, infos."""


class RouteEnv(RouteChoice, ParallelEnv):
    """n vehicles choose their way, junction by junction (the paper's Table I).

    Action: Discrete(m), the i-th legal successor of the agent's last chosen edge, counter-clockwise from the right; m
    is the map's largest number of successors. An agent whose info says `decides: False` is in mid-edge: its action is
    ignored and its observation is that of its last decision. An action outside the mask is replaced as
    `settings.illegal_action` says, and the agent's next info says `illegal_action: True`.

    Step: a step in which somebody decides again at once (a short edge was chosen) takes no simulated time; every other
    step takes `step_seconds`. An arrival terminates the agent; `max_steps * step_seconds` simulated seconds truncate,
    `env.max_steps` being the settings', or where they name none enough for the slowest trip.

    Infos hold numbers and arrays: `action_mask`, `decides`, `illegal_action`, and `edge`, the index in `network.edges`
    of the last edge chosen.

    What happens in a step is `RouteChoice`, by agent number; here it gets names and dicts. A copy, deep or not, or what
    comes out of a pickle, is a new environment with a simulation of its own, before its first `reset`.

    Args:
        network: the streets.
        scenario: the trips, or a function from a seed to them: `reset(seed=...)` draws, `reset()` goes on drawing.
        settings: see `EnvironmentSettings`; with backend `process` a `ProcessEnv` is made.
        redraw_every: episodes for which drawn trips stay the same.
        seed: of the first draw.
        max_cycles: calls of `step` after which an episode is truncated, beside `max_steps`; None: no such limit.
        render_mode: `rgb_array` for pictures by `render`.

    Raises:
        UsageError: unknown reward, score, distance, observation or render mode; a scenario of another map.
        UnavailableError: SUMO does not start.
    """

    metadata = {"name": "leed_route_v0", "render_modes": ["rgb_array"], "is_parallelizable": True}  # noqa: RUF012

    def __new__(
        cls,
        network: RoadNetwork,
        scenario: Scenario | Callable[[int], Scenario],
        settings: EnvironmentSettings | None = None,
        *further: Any,
        **named: Any,
    ) -> RouteEnv:
        apart = cls is RouteEnv and settings is not None and settings.backend == "process"
        return super().__new__(ProcessEnv if apart else cls)

    def __init__(
        self,
        network: RoadNetwork,
        scenario: Scenario | Callable[[int], Scenario],
        settings: EnvironmentSettings | None = None,
        redraw_every: int = 1,
        seed: int = 0,
        max_cycles: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"There is no render mode {render_mode!r}; choose rgb_array or None.")
        if max_cycles is not None and max_cycles < 1:
            raise UsageError(f"max_cycles is {max_cycles}; give 1 or more, or None.")
        self.max_cycles, self.render_mode = max_cycles, render_mode
        self._made_of = (redraw_every, seed, max_cycles, render_mode)
        self._given = scenario
        self._cycles = 0
        self._shown: list[int] = []
        self._home: set[int] = set()
        self._pen: Any = None
        self._masks_then: dict[int, np.ndarray] = {}
        """Masks that go with `observed`: in mid-edge the one of the last decision, like the observation."""
        self._only_first = np.eye(1, network.max_successors, dtype=np.int8)[0]
        """The mask of an agent that is home and has to say something."""
        self._set_up(network, scenario, settings or EnvironmentSettings(), redraw_every, seed)
        self.possible_agents = [agent_name(agent) for agent in range(self.agent_count)]
        self._action_spaces = {name: spaces.Discrete(network.max_successors) for name in self.possible_agents}

    def _set_up(self, *arguments: Any) -> None:
        RouteChoice.__init__(self, *arguments)

    # -- spaces --------------------------------------------------------------------------------------------------------
    @cached_property
    def _box(self) -> spaces.Box:
        bounds = observation_bounds(self._observe, self.score, self.network)
        low, high = bounds or (np.full(self.observation_size, side, np.float32) for side in (-LARGEST, LARGEST))
        return spaces.Box(low, high, dtype=np.float32)

    @cached_property
    def _observation_space(self) -> spaces.Space:
        if not self.settings.mask_in_observation:
            return self._box
        mask = spaces.Box(0, 1, (self.network.max_successors,), np.int8)
        return spaces.Dict({"observation": self._box, "action_mask": mask})

    @cached_property
    def state_space(self) -> spaces.Box:
        """Of `state()`: a vector of floats."""
        zero, one = np.zeros(self.agent_count, np.float32), np.ones(self.agent_count, np.float32)
        # Agents left at home observe zeros.
        low, high = np.minimum(self._box.low, 0.0), np.maximum(self._box.high, 0.0)
        rows = [np.tile(side, self.agent_count) for side in (low, high)]
        return spaces.Box(np.concatenate([rows[0], zero]), np.concatenate([rows[1], one]), dtype=np.float32)

    def observation_space(self, agent: str) -> spaces.Space:
        """A Box of shape (d,), or a Dict with the mask where that was asked for; equal for all agents."""
        return self._observation_space

    def action_space(self, agent: str) -> spaces.Space:
        """Discrete(m): the i-th street that may follow."""
        return self._action_spaces[agent]

    # -- an episode ----------------------------------------------------------------------------------------------------
    @property
    def agents(self) -> list[str]:
        """Names of the agents under way, or with `arrived: keep` of all until the last is done."""
        if self.settings.arrived == "keep":
            return [self.possible_agents[agent] for agent in self._shown] if self.under_way else []
        return [self.possible_agents[agent] for agent in self.under_way]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Clear the streets and place the agents.

        Args:
            seed: of the scenario, where the environment was given a function, and of driver noise.
            options: `scenario` replaces the scenario; `agents`, a list of agent numbers, leaves the others at home;
                `routes`, edge ids by agent number, are what SUMO expects them to choose; `measure`, a `Measure`, has
                SUMO write what `simulation.measured()` reads at the end.
        """
        self.begin(seed, options)
        return self._begun_with()

    def _begun_with(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        self._cycles, self._home, self._shown = 0, set(), self.under_way
        self._masks_then = {agent: self.action_mask(agent) for agent in self.under_way}
        return self._observations(self.under_way), self._infos(self.under_way)

    def step(self, actions: Mapping[str, int]) -> Told:
        """Apply the deciding agents' actions; others may be left out. The class says what a step is."""
        before = self.under_way
        return self._tell(before, self.advance(self._by_number(actions)))

    def _by_number(self, actions: Mapping[str, int]) -> dict[int, int]:
        names = self.possible_agents
        return {agent: actions[names[agent]] for agent in self.deciding if names[agent] in actions}

    def _tell(self, before: list[int], gained: Mapping[int, float]) -> Told:
        keep, names = self.settings.arrived == "keep", self.possible_agents
        self._cycles += 1
        if self.max_cycles is not None and self._cycles >= self.max_cycles:
            self.under_way, self.deciding = [], []
        for agent in self.deciding:
            self._masks_then[agent] = self.action_mask(agent)
        told, over = self._shown if keep else before, not self.under_way
        self._home.update(self.arrived)
        done = {agent: agent in self._home and (over or not keep) for agent in told}
        rewards = {names[agent]: gained.get(agent, 0.0) for agent in told}
        terminations = {names[agent]: home for agent, home in done.items()}
        truncations = {names[agent]: over and not home for agent, home in done.items()}
        return self._observations(told), rewards, terminations, truncations, self._infos(told)

    def state(self) -> np.ndarray:
        """All agents' latest observations, one after the other, zeros for agents left at home, and then for every agent
        1 while it is under way and 0 before and after; float32, shape (n * d + n,)."""
        nothing = np.zeros(self._box.shape, dtype=np.float32)
        rows = [self.observed.get(agent, nothing) for agent in range(self.agent_count)]
        under_way = np.zeros(self.agent_count, dtype=np.float32)
        under_way[self.under_way] = 1.0
        return np.concatenate([*rows, under_way])

    def render(self) -> np.ndarray | None:
        """The map with the agents' cars where they are now, uint8, shape (height, width, 3); None without a mode."""
        if self.render_mode is None:
            return None
        if self._pen is None:
            from leed_agentic.roads.picture import Canvas

            self._pen = Canvas(self.network)
        return self._pen.with_cars(self.places())

    def close(self) -> None:
        self.simulation.close()

    def _observations(self, agents: list[int]) -> dict[str, Any]:
        names = self.possible_agents
        if not self.settings.mask_in_observation:
            return {names[agent]: self.observed[agent] for agent in agents}
        masks = {agent: self._only_first if agent in self._home else self._masks_then[agent] for agent in agents}
        return {names[agent]: {"observation": self.observed[agent], "action_mask": masks[agent]} for agent in agents}

    def _infos(self, agents: list[int]) -> dict[str, dict[str, Any]]:
        keep = self.settings.arrived == "keep"
        return {
            self.possible_agents[agent]: {
                "action_mask": self._only_first if keep and agent in self._home else self.action_mask(agent),
                "decides": agent in self.deciding,
                "edge": self.current_edge(agent).index,
                "illegal_action": agent in self.illegal,
            }
            for agent in agents
        }

    # -- copies --------------------------------------------------------------------------------------------------------
    def use(self, scenario: Scenario) -> None:
        """Drive this scenario from the next reset on."""
        super().use(scenario)
        self._given = scenario

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.network, self._given, self.settings, *self._made_of)

    def like(self, seed: int) -> RouteEnv:
        """Another such environment, whose first trips are drawn from `seed`."""
        redraw_every, _, *rest = self._made_of
        return _again(self.network, self._given, self.settings, redraw_every, seed, *rest)

    def __copy__(self) -> RouteEnv:
        return _again(self.network, self._given, self.settings, *self._made_of)

    def __deepcopy__(self, memo: dict[int, Any]) -> RouteEnv:
        # Streets and trips do not change: copies share them.
        return self.__copy__()


class ProcessEnv(ProcessChoice, RouteEnv):
    """A RouteEnv whose SUMO runs in a process of its own, which starts when it is first needed; see `ProcessChoice`.

    `send_reset` and `send_step` return at once, so that several environments work at the same time;
    `receive_reset` and `receive_step` give what `reset` and `step` give.
    """

    __init__ = RouteEnv.__init__

    def _set_up(self, *arguments: Any) -> None:
        ProcessChoice.__init__(self, *arguments)

    def use(self, scenario: Scenario) -> None:
        """Drive this scenario from the next reset on."""
        ProcessChoice.use(self, scenario)
        self._given = scenario

    def send_reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Ask for `reset`; `receive_reset` gives the answer, and others may be asked in between."""
        self.send_begin(seed, options)

    def receive_reset(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Observations and infos by agent, as `reset` gives them."""
        self.receive_begin()
        return self._begun_with()

    def send_step(self, actions: Mapping[str, int]) -> None:
        """Ask for `step`; `receive_step` gives the answer."""
        self.send_advance(self._by_number(actions))

    def receive_step(self) -> Told:
        """Observations, rewards, terminations, truncations and infos by agent, as `step` gives them."""
        before = self.under_way
        return self._tell(before, self.receive_advance())

    def close(self) -> None:
        ProcessChoice.close(self)


def _again(network: RoadNetwork, scenario: Any, settings: EnvironmentSettings, *made_of: Any) -> RouteEnv:
    """A copy. Where libsumo is taken in this process, its simulation gets a process of its own."""
    if settings.backend == "libsumo" and libsumo_is_held():
        settings = settings.model_copy(update={"backend": "process"})
    return RouteEnv(network, scenario, settings, *made_of)
