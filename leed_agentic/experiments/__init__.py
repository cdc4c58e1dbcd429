"""Repeated runs over seeds, arms and maps; importing this fills the list of experiments."""

from leed_agentic.experiments import choices as choices
from leed_agentic.experiments import fig3 as fig3
from leed_agentic.experiments import fig4a as fig4a
from leed_agentic.experiments import fig4b as fig4b
from leed_agentic.experiments import paper as paper
from leed_agentic.experiments import table2 as table2
from leed_agentic.experiments.experiment import experiments as experiments
