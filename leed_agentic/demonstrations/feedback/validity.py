"""Findings of invalid routes only; a slow drive is asked for again without a word about it."""

from __future__ import annotations

from collections.abc import Mapping

from leed_agentic.demonstrations.feedback.assessment import Assessment, feedbacks


@feedbacks.register("validity")
def validity_feedback(assessment: Assessment) -> Mapping[int, str]:
    """Findings of invalid routes only."""
    return assessment.validation.remarks() if assessment.validation else {}
