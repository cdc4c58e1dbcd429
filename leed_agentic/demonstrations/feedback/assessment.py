"""What is known about the last plan, and the strategies that put it into words: d <- d with {tau^a, tau^e}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leed_agentic.demonstrations.critique import Critique
from leed_agentic.demonstrations.feedback.stationarity import Stationarity
from leed_agentic.demonstrations.validate import Validation
from leed_agentic.errors import UsageError
from leed_agentic.registry import Registry


@dataclass(frozen=True)
class Assessment:
    """All that is known about the last plan."""

    validation: Validation | None
    """None when the round begins with trajectories that were driven before."""
    critique: Critique | None
    """None while a route is still invalid."""
    stationarity: Stationarity | None = None
    """How steadily the agents learned since the last question; None where no trainer asks."""

    @property
    def again(self) -> list[int]:
        """Agents to plan for again: those with findings, or those whose drive was slow."""
        if self.critique is not None:
            return list(self.critique.slow)
        return list(self.validation.remarks()) if self.validation else []


Feedback = Callable[[Assessment], Mapping[int, str]]
"""From an assessment to one remark, one line of text, per agent; an agent may go without."""

feedbacks: Registry[Feedback] = Registry("feedback strategy")


def remarks_of(name: str, assessment: Assessment) -> Mapping[int, str]:
    """The remarks of the strategy of this name or dotted path. Raises UsageError when it gives anything else."""
    remarks = feedbacks.get(name)(assessment)
    if isinstance(remarks, Mapping) and all(isinstance(text, str) for text in remarks.values()):
        return remarks
    raise UsageError(f"The feedback strategy {name!r} must return a dictionary of agent number to text.")
