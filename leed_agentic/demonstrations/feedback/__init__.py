"""Feedback strategies, one per file, registered by name: what the model is told before it plans again.

A new one is a file of this folder, and nothing else.
"""

import importlib
import pkgutil

from leed_agentic.demonstrations.feedback.assessment import Assessment, Feedback, feedbacks, remarks_of
from leed_agentic.demonstrations.feedback.stationarity import Stationarity

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Assessment", "Feedback", "Stationarity", "feedbacks", "remarks_of"]
