"""The comparison that a claim of LEED's has to stand: everybody who sees the same demonstrations, networks shared and
not, and both distances of the reward, which decide how far an agent comes without demonstrations."""

from __future__ import annotations

from leed_agentic.experiments.experiment import Experiment, register
from leed_agentic.experiments.figures import steps_panels
from leed_agentic.experiments.paper import DEMONSTRATED, LEED, Collection, also, without_demonstrations
from leed_agentic.experiments.table2 import LONG_TRIPS

IPPO, MAPPO, QMIX, Q_LAMBDA = (without_demonstrations(name) for name in ("ippo", "mappo", "qmix", "q-lambda"))
ARMS = (
    LEED,
    *DEMONSTRATED,
    IPPO,
    MAPPO,
    QMIX,
    also(QMIX, "vdn", {"learning.qmix.mixer": "vdn"}),
    also(QMIX, "independent q", {"learning.qmix.mixer": "none"}),
    # Random codes of junctions blur its values more than its choices differ.
    also(Q_LAMBDA, "q-lambda", {"learning.encoding": "onehot"}),
    also(LEED, "leed, shared", {"learning.leed.share_policy": True}),
    also(IPPO, "ippo, shared", {"learning.ippo.share_policy": True}),
    also(MAPPO, "mappo, one each", {"learning.mappo.share_policy": False}),
)
DISTANCES = {"straight": "as the crow flies", "network": "along the streets"}

for name, words in DISTANCES.items():
    register(
        Experiment(
            name=f"fair-{name}",
            question=f"Everybody with the same demonstrations, or none; the reward's distance {words}",
            arms=ARMS,
            common={**LONG_TRIPS, "environment.distance": name},
            references=True,
            panels=steps_panels,
        )
    )
register(
    Collection("fair", "LEED beside all others, with both distances of the reward", ("fair-straight", "fair-network"))
)
