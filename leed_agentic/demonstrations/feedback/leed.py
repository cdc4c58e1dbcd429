"""The paper's feedback: trajectories of agent and expert, their DTW distance, and where the two part."""

from __future__ import annotations

from collections.abc import Mapping

from leed_agentic.demonstrations.critique import AgentCritique
from leed_agentic.demonstrations.feedback.assessment import Assessment, feedbacks
from leed_agentic.demonstrations.feedback.validity import validity_feedback

MAX_EDGES_NAMED = 3


@feedbacks.register("leed")
def leed_feedback(assessment: Assessment) -> Mapping[int, str]:
    """Findings of invalid routes; of driven ones time, reward, DTW to the agent's own drive and where the two part."""
    if assessment.critique is None:
        return validity_feedback(assessment)
    judged = assessment.critique.agents
    return {agent: sentence(agent, phrases(judged[agent])) for agent in assessment.critique.slow}


def sentence(agent: int, parts: list[str]) -> str:
    """One line about an agent."""
    return f"Agent {agent}: " + "; ".join(parts) + "."


def phrases(entry: AgentCritique) -> list[str]:
    """What an agent's drive was like, and how it compares with the agent's own."""
    parts = []
    if not entry.arrived:
        parts.append("the vehicle did not arrive in time; plan a faster route")
    elif entry.ratio is not None:
        parts.append(f"the drive took {entry.ratio:.2f} times the fastest path's time")
    for other, edges in list(entry.conflicts.items())[:MAX_EDGES_NAMED]:
        named = ", ".join(edges[:MAX_EDGES_NAMED])
        parts.append(f"it meets agent {other} on {named}; one of you should go another way")
    if entry.agent_reward is not None:
        parts.append(f"your route earned {entry.reward:.1f}, the agent's own drive earned {entry.agent_reward:.1f}")
        if entry.agent_arrived is False:
            parts.append("the agent did not arrive on its own")
    if entry.dtw is not None:
        parts.append(f"the DTW distance between the two is {entry.dtw:.0f} m")
    if entry.parts_after and entry.parts_into:
        expert, agents = entry.parts_into
        parts.append(f"they part after {entry.parts_after}: yours goes on to {expert}, the agent to {agents}")
    return parts
