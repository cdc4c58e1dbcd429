"""LEED: expert demonstrations by a language model for decentralised multi-agent reinforcement learning on streets.

The names below are the public face: stable, typed and documented. Everything else is internal and may move.

>>> from leed_agentic import generate, load_settings
>>> routes = generate(load_settings(), out="routes")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from leed_agentic.demonstrations.generate import generate as generate
    from leed_agentic.learning.check import check_algorithm as check_algorithm
    from leed_agentic.learning.check import check_source as check_source
    from leed_agentic.learning.evaluation import evaluate_run as evaluate
    from leed_agentic.learning.policy import Policy as Policy
    from leed_agentic.learning.session import load_run as load_run
    from leed_agentic.learning.session import train as train
    from leed_agentic.roads.network import RoadNetwork as RoadNetwork
    from leed_agentic.settings import Settings as Settings
    from leed_agentic.settings import load_settings as load_settings
    from leed_agentic.traffic.check import check_env as check_env
    from leed_agentic.traffic.route_v0 import parallel_env as make_env
    from leed_agentic.traffic.scenario import Scenario as Scenario
    from leed_agentic.traffic.vector import vector_env as vector_env

# Loaded on first use: importing the package takes no time, and one half of it needs no language model, the other no
# torch.
_HOMES = {
    "Policy": "learning.policy",
    "RoadNetwork": "roads.network",
    "Scenario": "traffic.scenario",
    "Settings": "settings",
    "check_algorithm": "learning.check",
    "check_env": "traffic.check",
    "check_source": "learning.check",
    "evaluate": "learning.evaluation:evaluate_run",
    "generate": "demonstrations.generate",
    "load_run": "learning.session",
    "load_settings": "settings",
    "make_env": "traffic.route_v0:parallel_env",
    "train": "learning.session",
    "vector_env": "traffic.vector",
}
__all__ = [
    "Policy",
    "RoadNetwork",
    "Scenario",
    "Settings",
    "check_algorithm",
    "check_env",
    "check_source",
    "evaluate",
    "generate",
    "load_run",
    "load_settings",
    "make_env",
    "train",
    "vector_env",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
