"""An algorithm of a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def follower(leed) -> str:
    """The dotted path of a user's own algorithm that keeps no policy network and always takes the first action."""
    Path("follower.py").write_text(
        "from leed_agentic.learning.algorithms import Algorithm\n"
        "class First(Algorithm):\n"
        "    def choose(self, agent, observation, mask): return 0\n"
        "    def update(self, experiences, experts, episode): return {}\n"
        "    def tensors(self): return {}\n"
        "    def load_tensors(self, tensors): pass\n"
    )
    return "follower.First"
