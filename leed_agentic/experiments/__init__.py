"""Repeated runs over seeds, arms and maps; importing this fills the list of experiments."""

from leed_agentic.experiments import choices as choices
from leed_agentic.experiments.experiment import experiments as experiments
