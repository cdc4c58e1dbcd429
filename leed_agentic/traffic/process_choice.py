"""Route choice by agent number, with SUMO in a process of its own: any number of environments in one program."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.roads.edges import Edge
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import EnvironmentSettings
from leed_agentic.traffic.child import Child, Far
from leed_agentic.traffic.fleet import Counters
from leed_agentic.traffic.observation import junction_columns, observation_bounds
from leed_agentic.traffic.route_choice import RouteChoice, full_masks
from leed_agentic.traffic.scenario import Scenario

Moment = tuple[
    float,
    list[int],
    list[int],
    list[int],
    list[int],
    list[int],
    list[int],
    dict[int, np.ndarray],
    dict[int, float],
    Any,
]
"""What is asked of an environment at every step, in one message, which costs as much as the step if it is large: `now`,
`under_way`, `deciding`, `arrived`, `illegal`; the agents that were under way before the step and their current edges'
indices; masks that closures narrow; `seconds`; the deciding agents' observations in rows, None without any."""


class Host:
    """The environment in its process."""

    def __init__(self, *arguments: Any) -> None:
        self.choice = RouteChoice(*arguments)
        self._known: Scenario | None = None

    def begin(self, seed: int | None, options: Mapping[str, Any]) -> tuple[Scenario | None, int, Moment]:
        """Begin an episode: the scenario where it is another one, the most steps, the moment."""
        self.choice.begin(seed, options)
        fresh = self.choice.scenario is not self._known
        self._known = self.choice.scenario
        moment = self._moment(self.choice.under_way, self.choice.under_way)
        return self._known if fresh else None, self.choice.max_steps, moment

    def advance(self, actions: Mapping[int, int]) -> tuple[dict[int, float], Moment]:
        """Drive to the next decision: rewards by agent, and the moment."""
        before = self.choice.under_way
        gained = self.choice.advance(actions)
        return gained, self._moment(before, self.choice.deciding)

    def counters(self) -> Counters:
        """What happened so far in this episode."""
        return self.choice.counters

    def _moment(self, agents: list[int], observing: list[int]) -> Moment:
        choice = self.choice
        masks = {}
        if choice.scenario.closures:
            masks = {agent: choice.action_mask(agent) for agent in agents}
        return (
            *(choice.now, choice.under_way, choice.deciding, choice.arrived, choice.illegal, agents),
            [choice.current_edge(agent).index for agent in agents],
            masks,
            choice.seconds,
            _packed(np.array([choice.observed[agent] for agent in observing])) if observing else None,
        )


def _packed(rows: np.ndarray) -> tuple[str, tuple[int, ...], bytearray]:
    """To a tenth of the time that numpy's own pickles take."""
    return rows.dtype.str, rows.shape, bytearray(rows.tobytes())


class Part:
    """A part of the environment that stays in its process, such as `fleet`: attributes are asked for there."""

    def __init__(self, ask: Callable[..., Any], path: tuple[str, ...]) -> None:
        self._ask, self._path = ask, path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask((*self._path, name), call=False)

    def __call__(self, *arguments: Any) -> Any:
        return self._ask(self._path, *arguments)


class ProcessChoice(RouteChoice):
    """`RouteChoice` behind the same names. What a step needs comes with it; everything else is asked for, and costs a
    message: `fleet.vehicles` are copies as of this moment.

    The process starts when it is first needed, and dies with this one.
    """

    def __init__(
        self,
        network: RoadNetwork,
        scenario: Scenario | Callable[[int], Scenario],
        settings: EnvironmentSettings,
        redraw_every: int = 1,
        seed: int = 0,
    ) -> None:
        self.network, self.settings = network, settings
        self.find_strategies()
        self._scenario_source, self._redraw_every, self._seed = scenario, redraw_every, seed
        self.scenario = scenario(seed) if callable(scenario) else scenario
        self.scenario.check(network)
        self.agent_count = len(self.scenario.agents)
        self._child: Child | None = None
        self._closed = False
        self._fetched: dict[tuple[str, ...], Any] = {}
        self._full_masks = full_masks(network)
        self._take((self.scenario.begin, [], [], [], [], [], [], {}, {}, None))
        self.observed: dict[int, np.ndarray] = {}

    # -- an episode ----------------------------------------------------------------------------------------------------
    def begin(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """As RouteChoice.begin."""
        self.send_begin(seed, options)
        self.receive_begin()

    def send_begin(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Ask for `begin`; `receive_begin` takes up the answer."""
        self._running().send(("begin",), seed, dict(options or {}))

    def receive_begin(self) -> None:
        """Be where `send_begin` led. Raises UnavailableError where the process is gone."""
        scenario, self.max_steps, moment = self._receive()
        self.scenario = scenario or self.scenario
        rows = self._take(moment)
        self.observed = dict(zip(self.under_way, rows, strict=True))

    def advance(self, actions: Mapping[int, int]) -> dict[int, float]:
        """As RouteChoice.advance: rewards by agent."""
        self.send_advance(actions)
        return self.receive_advance()

    def send_advance(self, actions: Mapping[int, int]) -> None:
        """Ask for `advance`; `receive_advance` takes up the answer."""
        if self._child is None and not self._closed:
            raise UsageError("Call reset() before the first step().")
        self._running().send(("advance",), {agent: int(action) for agent, action in actions.items()})

    def receive_advance(self) -> dict[int, float]:
        """Rewards by agent. Raises UnavailableError where the process is gone."""
        gained, moment = self._receive()
        rows = self._take(moment)
        if self.deciding:
            self.observed.update(zip(self.deciding, rows, strict=True))
        return gained

    def _take(self, moment: Moment) -> Any:
        """Be as the environment in its process is; returns the new observations."""
        self._fetched.clear()
        self.now, self.under_way, self.deciding, self.arrived, self.illegal, agents, edges = moment[:7]
        self._edges_now = dict(zip(agents, edges, strict=True))
        self._narrowed, self.seconds, packed = moment[7:]
        return () if packed is None else np.frombuffer(packed[2], packed[0]).reshape(packed[1])

    def use(self, scenario: Scenario) -> None:
        """Drive this scenario from the next episode on."""
        self._ask(("choice", "use"), scenario)
        self.scenario = self._scenario_source = scenario

    # -- what others ask -----------------------------------------------------------------------------------------------
    def current_edge(self, agent: int) -> Edge:
        """Where an agent is, or was last."""
        if agent in self._edges_now:
            return self.network.edges[self._edges_now[agent]]
        return self.network.edge(self._ask(("choice", "route"), agent)[-1])

    def action_mask(self, agent: int) -> np.ndarray:
        """Shape (m,): 1 for a legal next street."""
        if agent in self._narrowed:
            return self._narrowed[agent]
        if agent in self._edges_now:
            return self._full_masks[self._edges_now[agent]]
        return self._ask(("choice", "action_mask"), agent)

    def observe(self, agent: int) -> np.ndarray:
        """Shape (d,): what an agent observes now."""
        return self._ask(("choice", "observe"), agent)

    @property
    def counters(self) -> Counters:
        """What happened so far in this episode."""
        return self._ask(("counters",))

    def places(self) -> dict[int, tuple[float, float]]:
        """Metres (x, y) by agent, of those on the road."""
        return self._ask(("choice", "places"))

    def __getattr__(self, name: str) -> Any:
        if name == "observation_size":
            bounds = observation_bounds(self._observe, self.score, self.network)
            return len(bounds[0]) if bounds else self._ask(("choice", name), call=False)
        if name == "junction_columns":
            return junction_columns(self._observe, self.observation_size)
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._ask(("choice", name), call=False)

    # -- the process ---------------------------------------------------------------------------------------------------
    @property
    def pid(self) -> int | None:
        """Of the process; None before it starts."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        self._closed = True
        if self._child is not None:
            self._child.close()
            self._child = None

    def _running(self) -> Child:
        if self._closed:
            raise UsageError("This environment is closed; make a new RouteEnv.")
        if self._child is not None and self._child.made_in != os.getpid():
            # A fork has its parent's pipes, and must not speak on them.
            self._child = None
        if self._child is None:
            settings = self.settings.model_copy(update={"backend": "libsumo"})
            made_of = (self.network, self._scenario_source, settings, self._redraw_every, self._seed)
            self._child = Child(Host, *made_of)
        return self._child

    def _receive(self) -> Any:
        child = self._running()
        try:
            return child.receive()
        finally:
            self._forget_the_dead(child)

    def _ask(self, path: tuple[str, ...], *arguments: Any, call: bool = True) -> Any:
        if not call and path in self._fetched:
            return self._fetched[path]
        child = self._running()
        try:
            found = child.ask(path, *arguments, call=call)
        finally:
            self._forget_the_dead(child)
        if isinstance(found, Far):
            found = Part(self._ask, path)
        if not call:
            self._fetched[path] = found
        return found

    def _forget_the_dead(self, child: Child) -> None:
        if not child.alive and self._child is child:
            self._child = None
