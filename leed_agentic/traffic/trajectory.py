"""What one agent did in one episode: tau^{a,i} or tau^{e,i} of equations (1) and (2), made by one code path."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import check_plain, write_text
from leed_agentic.traffic import sumo_run
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.fleet import Counters
from leed_agentic.traffic.scenario import Scenario

FORMAT = "leed-trajectories"
FORMAT_VERSION = 1

Choose = Callable[[RouteEnv, int, np.ndarray, np.ndarray], int]
"""A policy: (environment, agent, observation, action mask) -> action."""

Decision = tuple[np.ndarray, np.ndarray, int, float]
"""What was observed, its mask, what was chosen, and when."""


@dataclass(frozen=True)
class Trajectory:
    """One agent's decisions. T decisions, observations of size d, m actions."""

    agent: int
    observations: np.ndarray
    """Shape (T, d), float32."""
    masks: np.ndarray
    """Shape (T, m), int8: 1 for a legal action."""
    actions: np.ndarray
    """Shape (T,), int64."""
    rewards: np.ndarray
    """Shape (T,), float64: from a decision until the next one."""
    times: np.ndarray
    """Shape (T,): simulated seconds at each decision."""
    route: tuple[str, ...]
    """Edge ids, T + 1 of them, the start edge first."""
    positions: np.ndarray
    """Shape (T + 1, 2): metres, the end junction of each edge of the route."""
    arrived: bool
    travel_seconds: float | None
    """From planned departure to arrival; None when it did not arrive."""
    last_observation: np.ndarray
    """Shape (d,), float32: o_T, what it would decide on next; a cut-off return bootstraps from it (4)."""
    last_mask: np.ndarray | None = None
    """Shape (m,), int8: what is legal there, which a bootstrap from action values must know; None: not recorded."""
    arrival: float | None = None
    """The second of the scenario's clock that SUMO gives as its arrival."""

    @property
    def total_reward(self) -> float:
        """Sum of all rewards."""
        return float(self.rewards.sum())


@dataclass(frozen=True)
class Drive:
    """What plain SUMO needs to drive an episode again; `run_files.write_sumo_run` writes it."""

    scenario: Scenario
    routes: Mapping[int, Sequence[str]]
    """Edge ids by agent: all that it was on its way to, whether it arrived or not."""
    others: Mapping[str, Sequence[str]]
    """Edge ids by the id of the background vehicle; those that had not set off are not in it."""
    additional: str
    """Vehicle types, closures and lights, as SUMO loaded them."""
    end: float
    """Seconds of the scenario's clock."""
    seed: int


@dataclass(frozen=True)
class Episode:
    """All agents' trajectories of one episode, and what went wrong in it."""

    trajectories: dict[int, Trajectory]
    seconds: float
    counters: Counters
    driven: Drive | None = None
    measured: sumo_run.Driven | None = None
    """SUMO's own figures of every vehicle, where they were asked for."""

    @property
    def mean_reward(self) -> float:
        """Mean over agents of the total reward; NaN without agents."""
        return float(np.mean([t.total_reward for t in self.trajectories.values()])) if self.trajectories else np.nan

    @property
    def arrival_rate(self) -> float:
        """Share of the agents that arrived."""
        return float(np.mean([t.arrived for t in self.trajectories.values()])) if self.trajectories else 0.0


def drive(env: RouteEnv, choose: Choose, seed: int | None = None, options: Mapping[str, Any] | None = None) -> Episode:
    """One episode in which `choose` decides for every agent: Env(pi | s_0, P), equations (1) and (2)."""
    known = {"routes": choose.routes} if isinstance(choose, Follow) else {}
    env.begin(seed, {**known, **(options or {})})
    agents = env.under_way
    decisions: dict[int, list[Decision]] = {agent: [] for agent in agents}
    rewards: dict[int, list[float]] = {agent: [] for agent in agents}
    while env.under_way:
        actions = {}
        for agent in env.deciding:
            observation, mask = env.observed[agent], env.action_mask(agent)
            actions[agent] = action = choose(env, agent, observation, mask)
            decisions[agent].append((observation, mask, action, env.now))
            rewards[agent].append(0.0)
        for agent, reward in env.advance(actions).items():
            # A reward before the first decision belongs to none.
            if rewards[agent]:
                rewards[agent][-1] += reward
    trajectories = {agent: _trajectory(env, agent, decisions[agent], rewards[agent]) for agent in agents}
    driven, seconds, counters = _driven(env), env.now - env.scenario.begin, env.counters
    measured = _measured(env) if (options or {}).get("measure") else None
    return Episode(trajectories, seconds, counters, driven, measured)


def _measured(env: RouteEnv) -> sumo_run.Driven:
    """SUMO's own, and those agents that it was never given since their departure lies behind the end."""
    driven: sumo_run.Driven = env.simulation.measured()
    late = {
        trip.id: sumo_run.Drive.of_nobody(trip.id, trip.type, driven.end)
        for trip in env.scenario.agents
        if trip.agent in env.fleet.vehicles and trip.id not in driven.vehicles
    }
    return replace(driven, vehicles={**driven.vehicles, **late}) if late else driven


def _driven(env: RouteEnv) -> Drive:
    simulation, fleet = env.simulation, env.fleet
    routes = {agent: fleet.whole_route(agent) for agent, vehicle in fleet.vehicles.items() if vehicle.inserted}
    return Drive(env.scenario, routes, fleet.others, simulation.additional, env.now, simulation.seed)


def _trajectory(env: RouteEnv, agent: int, decisions: list[Decision], rewards: list[float]) -> Trajectory:
    observations, masks, actions, times = zip(*decisions, strict=True) if decisions else ((), (), (), ())
    route = env.route(agent)
    return Trajectory(
        agent=agent,
        observations=_rows(observations, env.observation_size, np.float32),
        masks=_rows(masks, env.network.max_successors, np.int8),
        actions=np.array(actions, dtype=np.int64),
        rewards=np.array(rewards, dtype=np.float64),
        times=np.array(times, dtype=np.float64),
        route=tuple(route),
        positions=positions_of(env, route),
        arrived=env.fleet.vehicles[agent].arrived_at is not None,
        travel_seconds=env.travel_seconds(agent),
        last_observation=env.observe(agent),
        last_mask=env.action_mask(agent),
        arrival=env.arrival(agent),
    )


def _rows(rows: Sequence[np.ndarray], size: int, dtype: type) -> np.ndarray:
    # One long vector is cut into rows several times faster than numpy stacks them.
    joined = np.concatenate(rows) if rows else np.zeros(0)
    return joined.astype(dtype, copy=False).reshape(-1, size)


def positions_of(env: RouteEnv, route: Sequence[str]) -> np.ndarray:
    """Coordinates of the end junction of each edge, metres, shape (edges, 2)."""
    return env.network.end_points[[env.network.edge(e).index for e in route]].reshape(-1, 2)


@dataclass(frozen=True)
class Follow:
    """A policy that drives fixed routes (an expert's); off its route an agent takes the fastest path.

    `drive` hands SUMO the whole routes at the start, so that the vehicles drive as in plain SUMO.
    """

    routes: Mapping[int, Sequence[str]]

    def __call__(self, env: RouteEnv, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        done, route = env.fleet.vehicles[agent].chosen, self.routes.get(agent, ())
        on_route = len(route) > len(done) and all(edge.id == e for edge, e in zip(done, route, strict=False))
        if on_route and route[len(done)] in done[-1].successors:
            action = env.action_of(agent, route[len(done)])
            if mask[action]:
                return action
        return env.action_of(agent, env.fleet.fallback(agent))


follow = Follow


def fastest_path(env: RouteEnv, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
    """A policy: the free-flow fastest path."""
    return env.action_of(agent, env.fleet.fallback(agent))


def random_policy(seed: int) -> Choose:
    """A policy that draws uniformly among the legal actions."""
    generator = np.random.default_rng(seed)

    def choose(env: RouteEnv, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        return int(generator.choice(np.flatnonzero(mask)))

    return choose


# -- files -------------------------------------------------------------------------------------------------------------
def save_trajectories(file: Path, trajectories: Mapping[int, Trajectory], scenario: Mapping[str, Any]) -> None:
    """Write trajectories as JSON, with the scenario they were driven in; read by `load_trajectories`."""
    rows = [
        {
            "agent": t.agent,
            "route": list(t.route),
            "arrived": t.arrived,
            "travel_seconds": t.travel_seconds,
            "arrival": t.arrival,
            "actions": t.actions.tolist(),
            "rewards": t.rewards.tolist(),
            "times": t.times.tolist(),
            "positions": t.positions.tolist(),
            "observations": t.observations.tolist(),
            "masks": t.masks.tolist(),
            "last_observation": t.last_observation.tolist(),
            "last_mask": None if t.last_mask is None else t.last_mask.tolist(),
        }
        for t in trajectories.values()
    ]
    data = {"format": FORMAT, "version": FORMAT_VERSION, "scenario": dict(scenario), "trajectories": rows}
    write_text(file, json.dumps(data) + "\n")


def load_trajectories(file: Path) -> tuple[dict[int, Trajectory], dict[str, Any]]:
    """Trajectories by agent and the scenario's JSON. Raises UsageError when the file is not one of ours."""
    try:
        data = json.loads(check_plain(file).read_text(encoding="utf-8"))
        if data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
            raise UsageError(f"{file} is not a trajectory file of format {FORMAT} {FORMAT_VERSION}.")
        rows = [_from_row(row) for row in data["trajectories"]]
        return {t.agent: t for t in rows}, data["scenario"]
    except (OSError, ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"Cannot read the trajectories {file} ({type(error).__name__}: {error}).") from error


def _from_row(row: Mapping[str, Any]) -> Trajectory:
    count = len(row["actions"])
    return Trajectory(
        agent=int(row["agent"]),
        observations=np.array(row["observations"], dtype=np.float32).reshape(count, -1),
        masks=np.array(row["masks"], dtype=np.int8).reshape(count, -1),
        actions=np.array(row["actions"], dtype=np.int64),
        rewards=np.array(row["rewards"], dtype=np.float64),
        times=np.array(row["times"], dtype=np.float64),
        route=tuple(str(e) for e in row["route"]),
        positions=np.array(row["positions"], dtype=np.float64).reshape(-1, 2),
        arrived=bool(row["arrived"]),
        travel_seconds=None if row["travel_seconds"] is None else float(row["travel_seconds"]),
        last_observation=np.array(row["last_observation"], dtype=np.float32),
        arrival=None if row.get("arrival") is None else float(row["arrival"]),
        # Files of before it was recorded lack it.
        last_mask=None if row.get("last_mask") is None else np.array(row["last_mask"], dtype=np.int8),
    )
