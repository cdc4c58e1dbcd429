"""Where the trainer gets demonstrations: tau^e of equation (2), asked for every q episodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Trajectory, drive, follow


class DemonstrationSource(Protocol):
    """Gives demonstrations for the environment's scenario; remembers across questions what it wants to refine."""

    name: str

    @property
    def usage(self) -> Mapping[str, float]:
        """What it spent so far in this process: `calls`, `input_tokens`, `output_tokens`; more keys are welcome."""

    def demonstrations(
        self, episode: int, agents_trajectories: Mapping[int, Trajectory] | None, env: RouteEnv
    ) -> Mapping[int, Trajectory]:
        """Expert trajectories by agent; agents without one learn on their own.

        Args:
            episode: k, from 0.
            agents_trajectories: the agents' own of this episode (tau^a); None before there are any.
            env: to drive the routes in; its scenario is what demonstrations are wanted for.

        Raises:
            LeedError: there are none this time; the trainer goes on with the last good ones.
        """

    def state(self) -> dict[str, Any]:
        """Its memory across questions, for a checkpoint: anything JSON holds."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up the memory that `state` gave."""


def report_of(source: DemonstrationSource) -> Mapping[str, Any]:
    """What a source says about its last answer through a method `report`, if it has one, for triggers.csv."""
    report = getattr(source, "report", None)
    return report() if report else {}


def tell(source: DemonstrationSource, rewards: Mapping[int, float], kl: Any) -> None:
    """Tell a source, through a method `learned` if it has one, how an episode and the update after it went.

    Args:
        rewards: total reward by agent.
        kl: of each agent's policy from before the update to after it, as the algorithm logs it, shape (n,); anything
            else, such as one number for all agents, is not told.
    """
    learned = getattr(source, "learned", None)
    if learned:
        moved = np.atleast_1d(np.asarray(kl, dtype=np.float64)) if kl is not None else np.zeros(0)
        learned(rewards, dict(enumerate(moved.tolist())) if len(moved) == len(rewards) else {})


class _FixedSource:
    """A source without memory or costs; subclasses say which routes."""

    name = ""

    @property
    def usage(self) -> Mapping[str, float]:
        return {"calls": 0, "input_tokens": 0, "output_tokens": 0}

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        raise NotImplementedError

    def demonstrations(
        self, episode: int, agents_trajectories: Mapping[int, Trajectory] | None, env: RouteEnv
    ) -> Mapping[int, Trajectory]:
        return drive_routes(env, self.routes(env))

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Nothing to remember."""


def drive_routes(env: RouteEnv, routes: Mapping[int, Sequence[str]]) -> dict[int, Trajectory]:
    """Routes driven through the step, reward and mask of any policy; agents without a route stay at home."""
    if not routes:
        return {}
    return drive(env, follow(routes), options={"agents": sorted(routes)}).trajectories


class ShortestPathSource(_FixedSource):
    """Every agent's fastest path at free flow: the strongest simple planner there is."""

    name = "shortest-path"

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        return {
            trip.agent: env.network.shortest_path(trip.start_edge, trip.destination) for trip in env.scenario.agents
        }


class LogitSource(_FixedSource):
    """Routes sampled from a logit model over path costs (the paper's Logit-PPO), anew at every question.

    From edge to edge: the next one is e with probability proportional to exp(-(c_e + V(e)) / temperature), where c_e is
    its free-flow time and V(e) the fastest time from its end (the logsum of a recursive logit model would be the same
    up to the temperature). Edges already used are left out; a walk with no edge left takes the fastest path on.

    Args:
        temperature: seconds.
        seed: of the sampling.
    """

    name = "logit"

    def __init__(self, temperature: float, seed: int) -> None:
        self.temperature = temperature
        self._generator = np.random.default_rng([seed, 0x10617])

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


class FileSource(_FixedSource):
    """Routes of a saved demonstrations.json; refused when they were made for another scenario or cannot be driven."""

    name = "file"

    def __init__(self, file: Path, env: RouteEnv) -> None:
        self._routes, scenario = read_routes(file)
        if scenario != env.scenario:
            raise UsageError(
                f"{file} was made for another scenario (map {scenario.map}, seed {scenario.seed}, "
                f"{len(scenario.agents)} agents); make demonstrations for this one with `leed demo generate`."
            )
        for agent, route in self._routes.items():
            check_route(env, agent, route, file)

    def routes(self, env: RouteEnv) -> Mapping[int, Sequence[str]]:
        return self._routes


def read_routes(file: Path) -> tuple[dict[int, list[str]], Scenario]:
    """Routes by agent and the scenario of a saved demonstration file. Raises UsageError when it is not one of ours."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data.get("format") != "leed-demonstrations" or data.get("version") != 1:
            raise UsageError("it is not of format leed-demonstrations 1")
        routes = {int(agent): [str(edge) for edge in route] for agent, route in data["routes"].items()}
        return routes, Scenario.from_json(data["scenario"])
    except FileNotFoundError:
        raise UsageError(f"There is no {file}; make demonstrations with `leed demo generate`.") from None
    except (UsageError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        raise UsageError(
            f"Cannot read the demonstrations {file} ({reason}); make them again with `leed demo generate`."
        ) from error


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
    if env.network.edge(route[-1]).to_junction != trip.destination:
        raise UsageError(f"{file}: the route of agent {agent} does not reach its destination {trip.destination}.")
