"""Ways of planning, one per file, registered by name: how a language model is asked for routes."""

from leed_agentic.demonstrations.planning.agent import AgentPlanner
from leed_agentic.demonstrations.planning.fleet import FleetPlanner
from leed_agentic.demonstrations.planning.junction import JunctionPlanner
from leed_agentic.demonstrations.planning.planner import (
    Planned,
    Planner,
    PlanRequest,
    check_planner,
    planned_by,
    planner_of,
    planners,
)

__all__ = [
    "AgentPlanner",
    "FleetPlanner",
    "JunctionPlanner",
    "PlanRequest",
    "Planned",
    "Planner",
    "check_planner",
    "planned_by",
    "planner_of",
    "planners",
]
