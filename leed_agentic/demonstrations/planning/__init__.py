"""Ways of planning, one per file, registered by name: how a language model is asked for routes.

A new one is a file of this folder, and nothing else.
"""

import importlib
import pkgutil

from leed_agentic.demonstrations.planning.planner import (
    Planned,
    Planner,
    PlanRequest,
    check_planner,
    planned_by,
    planner_of,
    planners,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["PlanRequest", "Planned", "Planner", "check_planner", "planned_by", "planner_of", "planners"]
