"""IPPO: every agent runs PPO on its own experience. LEED with alpha 1 and no demonstrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leed_agentic.learning.algorithms.algorithm import algorithms
from leed_agentic.learning.algorithms.leed import Leed


@algorithms.register("ippo")
class Ippo(Leed):
    """Demonstrations are neither asked for nor used."""

    uses_demonstrations = False

    def update(self, experiences: Mapping[int, Any], experts: Mapping[int, Any], episode: int) -> dict[str, Any]:
        return super().update(experiences, {}, episode)
