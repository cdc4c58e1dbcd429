"""Feedback strategies, one per file, registered by name: what the model is told before it plans again."""

from leed_agentic.demonstrations.feedback.assessment import Assessment, Feedback, feedbacks, remarks_of
from leed_agentic.demonstrations.feedback.leed import leed_feedback
from leed_agentic.demonstrations.feedback.none import no_feedback
from leed_agentic.demonstrations.feedback.reled import reled_feedback
from leed_agentic.demonstrations.feedback.stationarity import Stationarity
from leed_agentic.demonstrations.feedback.validity import validity_feedback

__all__ = [
    "Assessment",
    "Feedback",
    "Stationarity",
    "feedbacks",
    "leed_feedback",
    "no_feedback",
    "reled_feedback",
    "remarks_of",
    "validity_feedback",
]
