"""The bare request to plan again, for comparison."""

from __future__ import annotations

from collections.abc import Mapping

from leed_agentic.demonstrations.feedback.assessment import Assessment, feedbacks


@feedbacks.register("none")
def no_feedback(assessment: Assessment) -> Mapping[int, str]:
    """The bare request to plan again, for comparison."""
    return dict.fromkeys(assessment.again, "Plan this route again.")
