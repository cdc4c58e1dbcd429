"""Learning algorithms, one per file, registered by name."""

from leed_agentic.learning.algorithms.algorithm import Algorithm, algorithms
from leed_agentic.learning.algorithms.ippo import Ippo
from leed_agentic.learning.algorithms.leed import Leed
from leed_agentic.learning.algorithms.mappo import Mappo
from leed_agentic.learning.algorithms.qmix import Qmix

__all__ = ["Algorithm", "Ippo", "Leed", "Mappo", "Qmix", "algorithms"]
