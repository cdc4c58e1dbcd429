"""An interpretation of RELED (arXiv 2511.19368): how steadily the agents learn, beside what `leed` says.

What is public of RELED: it refines the prompt with a bound on non-stationarity that links the volatility of rewards and
the divergence of policies within a subset of agents. We do not restate its formula or its prompt: the measures (see
`Stationarity`), the subset (the agents that a route meets) and the words are our choices, not the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping

from leed_agentic.demonstrations.critique import AgentCritique
from leed_agentic.demonstrations.feedback.assessment import Assessment, feedbacks
from leed_agentic.demonstrations.feedback.leed import leed_feedback, phrases, sentence
from leed_agentic.demonstrations.feedback.stationarity import Stationarity


@feedbacks.register("reled")
def reled_feedback(assessment: Assessment) -> Mapping[int, str]:
    """As `leed`, and of driven routes how much the agent's reward varied and how far policies moved while training.

    Without a trainer (`leed demo generate`) there is neither, and the remarks are those of `leed`.
    """
    judged, steady = assessment.critique, assessment.stationarity
    if judged is None or steady is None:
        return leed_feedback(assessment)
    return {a: sentence(a, phrases(judged.agents[a]) + _unsteady(judged.agents[a], steady)) for a in judged.slow}


def _unsteady(entry: AgentCritique, steady: Stationarity) -> list[str]:
    parts = []
    volatility, divergence = steady.volatility(entry.agent), steady.divergence(entry.agent)
    if volatility is not None:
        parts.append(
            f"over its last {steady.episodes} episodes the agent's own reward had a standard deviation of "
            f"{volatility:.1f}"
        )
    # An estimate of 0 or below tells nothing.
    if divergence:
        parts.append(f"its policy moved by a KL divergence of {divergence:.2g} per update")
    met = {other: moved for other in entry.conflicts if (moved := steady.divergence(other))}
    if met:
        most = max(met, key=met.__getitem__)
        parts.append(
            f"of the agents it meets, agent {most}'s policy moves most, by {met[most]:.2g}; a route apart from it is "
            "steadier"
        )
    return parts
