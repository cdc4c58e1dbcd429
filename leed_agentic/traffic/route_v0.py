"""Version 0 of the route-choice environment, registered with PettingZoo as "leed/Route-v0"."""

from __future__ import annotations

from functools import partial
from typing import Any

import pettingzoo

from leed_agentic.roads.catalogue import open_map
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv

ID = "leed/Route-v0"


def parallel_env(
    map: str = "braunschweig",
    agents: int = 10,
    seed: int = 0,
    max_cycles: int | None = None,
    render_mode: str | None = None,
    **environment: Any,
) -> RouteEnv:
    """A RouteEnv on a named map or a network file, with a scenario drawn from the seed; `reset(seed=s)` draws another.

    Args:
        max_cycles: calls of `step` after which an episode is truncated.
        render_mode: `rgb_array` for pictures by `render`.
        environment: fields of `EnvironmentSettings`, such as `max_steps=50` or `mask_in_observation=True`; also
            `scenario`, fields of `ScenarioSettings`, such as `{"demand": "mine.trips.xml"}`.

    Raises:
        UsageError: unknown map or setting, or more agents than the map can hold.
    """
    values = {f"scenario.{name}": value for name, value in environment.pop("scenario", {}).items()}
    values |= {f"environment.{name}": value for name, value in environment.items()}
    settings = load_settings(overrides={"map.name": map, "scenario.agents": agents, "seed": seed, **values})
    network = open_map(settings.map.name, settings.map)
    drawn = partial(scenario_for, network, settings)
    scenario = scenario_for(network, settings) if settings.scenario.demand else drawn
    return RouteEnv(
        *(network, scenario, settings.environment),
        seed=settings.seed,
        max_cycles=max_cycles,
        render_mode=render_mode,
    )


if ID not in pettingzoo.parallel_registry:
    pettingzoo.register("parallel", ID, entry_point=f"{__name__}:parallel_env")
