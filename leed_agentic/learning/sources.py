"""Where the trainer gets demonstrations: tau^e of equation (2), asked for every q episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.registry import Registry, nearest
from leed_agentic.settings import Settings
from leed_agentic.traffic.demonstration import DemonstrationSet
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.reference_routes import lights_routes
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Trajectory, drive, follow


class DemonstrationSource(Protocol):
    """Gives demonstrations for the environment's scenario; remembers across questions what it wants to refine.

    A class of your own may inherit from this one: then `name` and `demonstrations` are all it needs.
    """

    name: str

    def demonstrations(
        self, episode: int, agents_trajectories: Mapping[int, Trajectory] | None, env: RouteEnv
    ) -> Mapping[int, Trajectory]:
        """Expert trajectories by agent; agents without one learn on their own.

        Args:
            episode: k, from 0.
            agents_trajectories: the agents' own of this episode (tau^a); None before there are any.
            env: to drive the routes in; its scenario is what demonstrations are wanted for.

        Raises:
            UsageError: it cannot work as it is set up (no such model, a refused key); training ends with it.
            UnavailableError: what it asks is out of reach; at the first question training ends with it, too.
            LeedError: there are none this time; training goes on with the last good ones.
        """

    @property
    def usage(self) -> Mapping[str, float]:
        """What it cost so far in this process: `calls`, `input_tokens`, `output_tokens`; more keys are welcome."""
        return {}

    def report(self) -> Mapping[str, Any]:
        """Of the last answer, for triggers.csv: `validity`, `rounds`, `memory`, as far as it has them."""
        return {}

    def record(self) -> Mapping[str, Any]:
        """Of the last answer, for the file of demonstrations: `rounds`, `provenance` and, where a drive was cut short,
        the whole `routes`."""
        return {}

    def learned(self, rewards: Mapping[int, float], divergences: Mapping[int, float]) -> None:
        """How an episode and the update after it went: total reward by agent, and how far its policy moved (KL)."""

    def state(self) -> dict[str, Any]:
        """Its memory across questions, for a checkpoint: anything JSON holds."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up the memory that `state` gave."""

    def close(self) -> None:
        """Training is over."""


MakeSource = Callable[[Settings, RouteEnv, Path | None], DemonstrationSource]
"""(settings, environment, run folder if any) -> source."""

sources: Registry[MakeSource] = Registry(
    "source of demonstrations",
    # By its place, because learning knows no language model.
    {"graph": "leed_agentic.demonstrations.source.GraphSource"},
)


def check_source_name(name: str) -> None:
    """Raises UsageError when there is no such source; `none` is one."""
    if name not in ("none", *sources.names()):
        if "." not in name:
            raise UsageError(f"Unknown source of demonstrations {name!r}: {nearest(name, ['none', *sources.names()])}")
        sources.get(name)


class RouteSource(DemonstrationSource):
    """A source that drives fixed routes; a subclass says which."""

    def __init__(self, *made_with: Any) -> None:
        """Of what `MakeSource` gives, fixed routes need nothing."""

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        """Edge ids by agent, from its start edge to its destination; an agent may be absent."""
        raise NotImplementedError

    def demonstrations(
        self, episode: int, agents_trajectories: Mapping[int, Trajectory] | None, env: RouteEnv
    ) -> Mapping[int, Trajectory]:
        routes = self.routes(env)
        # Through the step, reward and mask of any policy; agents without a route stay at home.
        return drive(env, follow(routes), options={"agents": sorted(routes)}).trajectories if routes else {}


@sources.register("shortest-path")
class ShortestPathSource(RouteSource):
    """Every agent's fastest path at free flow: of empty streets without red lights."""

    name = "shortest-path"

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        return {trip.agent: env.network.shortest_path(trip.start_edge, trip.goal) for trip in env.scenario.agents}


@sources.register("lights")
class LightsSource(RouteSource):
    """Every agent's fastest path as a driver would choose it who knows the red lights at the second of arrival."""

    name = "lights"
    _driven: tuple[Scenario, Mapping[int, Sequence[str]]] | None = None

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        if self._driven is None or self._driven[0] is not env.scenario:
            self._driven = (env.scenario, lights_routes(env))
        return self._driven[1]


@sources.register("logit")
class LogitSource(RouteSource):
    """Routes sampled from a logit model over path costs (the paper's Logit-PPO), anew at every question.

    From edge to edge: the next one is e with probability proportional to exp(-(c_e + V(e)) / temperature), where c_e is
    its free-flow time and V(e) the fastest time from its end (the logsum of a recursive logit model would be the same
    up to the temperature). Edges already used are left out; a walk with no edge left takes the fastest path on.
    """

    name = "logit"

    def __init__(self, settings: Settings, env: RouteEnv, folder: Path | None = None) -> None:
        self.temperature = settings.learning.logit_temperature
        """Seconds."""
        self._generator = np.random.default_rng([settings.seed, 0x10617])

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        return {trip.agent: self._walk(env, trip.start_edge, trip.destination) for trip in env.scenario.agents}

    def _walk(self, env: RouteEnv, start: str, destination: str) -> list[str]:
        network = env.network
        left = network.times_to(destination)
        route = [start]
        while network.edge(route[-1]).to_junction != destination:
            options = [network.edge(e) for e in network.edge(route[-1]).successors if e not in route]
            if not options:
                return route + network.shortest_path(route[-1], destination)[1:]
            costs = np.array([e.travel_time + left[e.index] for e in options])
            weights = np.exp(-(costs - costs.min()) / self.temperature)
            chosen = np.searchsorted(np.cumsum(weights) / weights.sum(), self._generator.random(), side="right")
            route.append(options[min(int(chosen), len(options) - 1)].id)
        return route

    def state(self) -> dict[str, Any]:
        return {"generator": self._generator.bit_generator.state}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = state["generator"]


@sources.register("file")
class FileSource(RouteSource):
    """Routes of a saved demonstrations.json; refused when they were made for another scenario or cannot be driven."""

    name = "file"

    def __init__(self, settings: Settings, env: RouteEnv, folder: Path | None = None) -> None:
        if settings.learning.demonstrations is None:
            raise UsageError("Source file needs a file: -s learning.demonstrations=FILE.")
        self._routes = load_routes(settings.learning.demonstrations, env).routes

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        return self._routes


def load_routes(file: Path, env: RouteEnv) -> DemonstrationSet:
    """A saved file of demonstrations for the environment's scenario.

    Raises:
        UsageError: it is missing or damaged, of another scenario, or holds a route that cannot be driven.
    """
    if not file.is_file():
        raise UsageError(f"There is no {file}; make demonstrations with `leed demo generate`.")
    found = DemonstrationSet.load(file)
    if found.scenario != env.scenario:
        raise UsageError(
            f"{file} was made for another scenario (map {found.scenario.map}, seed {found.scenario.seed}, "
            f"{len(found.scenario.agents)} agents); make demonstrations for this one with `leed demo generate`."
        )
    for agent, route in found.routes.items():
        check_route(env, agent, route, file)
    return found


def check_route(env: RouteEnv, agent: int, route: Sequence[str], file: Path) -> None:
    """Raises UsageError at an agent nobody has, a wrong start, a turn outside the mask, or a route that stops short."""
    if not 0 <= agent < len(env.scenario.agents):
        raise UsageError(f"{file} has a route for agent {agent}; the scenario has {len(env.scenario.agents)} agents.")
    trip = env.scenario.agents[agent]
    if not route or route[0] != trip.start_edge:
        raise UsageError(f"{file}: the route of agent {agent} must begin with its start edge {trip.start_edge}.")
    for before, after in pairwise(route):
        if after not in env.network.edge(before).successors:
            raise UsageError(
                f"{file}: the route of agent {agent} turns from {before} into {after}, which the mask forbids; "
                "check it with `leed demo check`."
            )
    if not trip.ends_at(env.network.edge(route[-1])):
        raise UsageError(f"{file}: the route of agent {agent} does not reach its destination {trip.destination}.")
