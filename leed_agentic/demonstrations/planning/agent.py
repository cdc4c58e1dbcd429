"""One prompt per agent."""

from __future__ import annotations

from collections.abc import Mapping

from leed_agentic.demonstrations.planning.conversation import converse, first_question
from leed_agentic.demonstrations.planning.planner import Planned, PlanRequest, planners
from leed_agentic.models.caller import Message


@planners.register("agent")
class AgentPlanner:
    """Asks for each agent's route in a conversation of its own."""

    def plan(self, request: PlanRequest) -> Planned:
        return converse(request, "agent", {f"agent {agent}": [agent] for agent in request.agents})

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        return {f"agent_{agent}": first_question(request, "agent", [agent]) for agent in request.agents}
