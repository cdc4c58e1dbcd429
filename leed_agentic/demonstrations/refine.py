"""What the model is told before it plans again: d <- d with {tau^a, tau^e}. A replaceable strategy, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from leed_agentic.demonstrations.critique import AgentCritique, Critique
from leed_agentic.demonstrations.validate import Validation
from leed_agentic.registry import Registry

MAX_EDGES_NAMED = 3


@dataclass(frozen=True)
class Review:
    """All that is known about the last plan."""

    validation: Validation | None
    """None when the round begins with trajectories that were driven before."""
    critique: Critique | None
    """None while a route is still invalid."""


Feedback = Callable[[Review], dict[int, str]]
"""From a review to one remark per agent; agents without a remark keep their route."""

feedbacks: Registry[Feedback] = Registry("feedback strategy")


@feedbacks.register("leed")
def leed_feedback(review: Review) -> dict[int, str]:
    """Findings of invalid routes; of driven ones time, reward, DTW to the agent's own drive and where the two part."""
    if review.critique is None:
        return validity_feedback(review)
    return {agent: _sentence(review.critique.agents[agent]) for agent in review.critique.slow}


@feedbacks.register("validity")
def validity_feedback(review: Review) -> dict[int, str]:
    """Findings of invalid routes only."""
    return review.validation.remarks() if review.validation else {}


@feedbacks.register("none")
def no_feedback(review: Review) -> dict[int, str]:
    """The bare request to plan again, for comparison."""
    agents = review.validation.remarks() if review.validation and review.critique is None else {}
    slow = review.critique.slow if review.critique else []
    return dict.fromkeys([*agents, *slow], "Plan this route again.")


def _sentence(entry: AgentCritique) -> str:
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
        expert, own = entry.parts_into
        parts.append(f"they part after {entry.parts_after}: yours goes on to {expert}, the agent to {own}")
    return f"Agent {entry.agent}: " + "; ".join(parts) + "."
