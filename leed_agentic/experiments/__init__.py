"""Repeated runs over seeds, arms and maps; importing this fills the list of experiments."""

from leed_agentic.experiments import fair as fair
from leed_agentic.experiments import held_out as held_out
from leed_agentic.experiments import paper as paper
from leed_agentic.experiments import traffic as traffic
from leed_agentic.experiments import tuning as tuning
from leed_agentic.experiments.experiment import Experiment as Experiment
from leed_agentic.experiments.experiment import experiments as experiments
from leed_agentic.experiments.run import Arm as Arm
