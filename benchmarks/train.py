"""What training costs beside the simulation itself: LEED on one map, then SUMO alone on the very same drives.

    python benchmarks/train.py --episodes 500 --map braunschweig --seed 0

Processor seconds of this process, which other work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from leed_agentic.learning.session import Session, begin
from leed_agentic.settings import load_settings
from leed_agentic.traffic.environment import RouteEnv


@dataclass
class Drive:
    """One episode as SUMO saw it: what to add before the first step, and until when to step."""

    routes: Mapping[str, list[str]]
    departures: Mapping[str, float]
    seconds: float


class Clock:
    """Processor seconds per label."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[label] = self.seconds.get(label, 0.0) + time.process_time() - started

        return call


def whole_route(env: RouteEnv, agent: int, route: tuple[str, ...]) -> list[str]:
    """The driven edges and, for an agent that was still on its way, the fastest path behind them, as SUMO had it."""
    return [*route, *env.network.shortest_path(route[-1], env.scenario.agents[agent].destination)[1:]]


def watched(session: Session, clock: Clock) -> list[Drive]:
    """Time the parts of the session's episodes; its drives are put into the list that is returned."""
    world, trainer, drives = session.world, session.trainer, []

    def keep(episode: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            driven = episode(*args)
            own, agents = driven.experiences.values(), world.env.scenario.agents
            routes = {f"agent_{t.agent}": whole_route(world.env, t.agent, t.route) for t in own}
            departures = {f"agent_{t.agent}": agents[t.agent].departure for t in own}
            drives.append(Drive(routes, departures, driven.seconds))
            return driven

        return call

    world.episode = keep(clock.timed("simulation", world.episode))  # type: ignore[method-assign]
    trainer.algorithm.update = clock.timed("learning", trainer.algorithm.update)  # type: ignore[method-assign]
    trainer._ask = clock.timed("demonstrations", trainer._ask)  # type: ignore[method-assign]
    return drives


def step_only(env: RouteEnv, drives: list[Drive]) -> None:
    """The same resets, vehicles, routes and steps, and nothing else."""
    step = env.settings.step_seconds
    for drive in drives:
        env.simulation.reset()
        for vehicle, route in drive.routes.items():
            env.simulation.add(vehicle, route, drive.departures[vehicle])
        for until in range(step, round(drive.seconds) + 1, step):
            env.simulation.advance(until)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--map", default="braunschweig")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wanted = {
        "seed": options.seed,
        "map.name": options.map,
        "scenario.agents": 10,
        "environment.max_steps": 200,
        "learning.source": "shortest-path",
        "learning.episodes": options.episodes,
    }
    session = begin(load_settings(overrides=wanted, environment={}), None)
    clock = Clock()
    try:
        drives = watched(session, clock)
        rows = clock.timed("whole run", session.trainer.run)()
        clock.timed("SUMO alone", step_only)(session.world.env, drives)
    finally:
        session.close()
    seconds = clock.seconds
    decisions = sum(row["decisions"] for row in rows)
    overhead = 1e6 * (seconds["simulation"] - seconds["SUMO alone"]) / decisions
    ratio = seconds["whole run"] / seconds["SUMO alone"]
    print(f"{options.map}, seed {options.seed}: {options.episodes} episodes of 10 agents, {decisions} decisions")
    for label in ("whole run", "simulation", "learning", "demonstrations", "SUMO alone"):
        print(f"  {label:15} {seconds[label]:8.2f} s {seconds[label] / seconds['SUMO alone']:8.2f} x SUMO alone")
    print(f"  our part of the simulation: {overhead:.1f} us per decision")
    figures = {"benchmark": "train", **vars(options), "decisions": decisions, "seconds": seconds, "ratio": ratio}
    print(json.dumps({**figures, "overhead_us_per_decision": overhead}))


if __name__ == "__main__":
    main()
