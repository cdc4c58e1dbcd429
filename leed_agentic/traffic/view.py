"""What a score, an observation, a distance or a reward may read: the environment as their authors see it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from leed_agentic.errors import UsageError
from leed_agentic.registry import Registry
from leed_agentic.roads.edges import Edge
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import EnvironmentSettings

if TYPE_CHECKING:
    from leed_agentic.traffic.fleet import Vehicle
    from leed_agentic.traffic.scenario import Scenario
    from leed_agentic.traffic.simulation import Simulation

F = TypeVar("F", bound=Callable[..., object])


class FleetView(Protocol):
    """The agents' vehicles by agent number."""

    @property
    def vehicles(self) -> Mapping[int, Vehicle]: ...


class View(Protocol):
    """A running environment; `traffic.route_choice.RouteChoice` is one."""

    network: RoadNetwork
    settings: EnvironmentSettings
    scenario: Scenario
    simulation: Simulation
    """`simulation.api` is SUMO's own interface (libsumo or traci): vehicles, streets and lights of this moment."""
    now: float
    """Seconds since the episode began."""
    under_way: list[int]
    """Agents that neither arrived nor were cut off."""
    seconds: dict[int, float]
    """How long each agent was on its way in the step whose rewards are asked for."""

    @property
    def fleet(self) -> FleetView: ...

    @property
    def score(self) -> Callable[[View, int, Edge], float]: ...

    def current_edge(self, agent: int) -> Edge:
        """The last edge the agent chose; its end is the agent's current junction."""

    def route(self, agent: int) -> list[str]:
        """Edge ids the agent has chosen so far, its start edge first."""


def strategy(registry: Registry[F], name: str, *arguments: str) -> F:
    """The function of this name or dotted path, if it takes these arguments.

    Raises:
        UsageError: unknown, not importable, not callable, or made for other arguments.
    """
    found = registry.get(name)
    call = f"({', '.join(arguments)})"
    if not callable(found):
        raise UsageError(f"The {registry.kind} {name!r} is not a function; write one that takes {call}.")
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        # Written in C: it says nothing of its arguments.
        return found
    try:
        signature.bind(*arguments)
    except TypeError:
        raise UsageError(f"The {registry.kind} {name!r} takes {signature}, and is called with {call}.") from None
    return found
