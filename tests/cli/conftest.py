"""An algorithm of a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def follower(leed) -> str:
    """The dotted path of a user's own algorithm that keeps no policy network and always takes the first action."""
    Path("follower.py").write_text(
        "class First:\n"
        "    uses_demonstrations, deterministic = False, False\n"
        "    def __init__(self, *settings): pass\n"
        "    def choose(self, agent, observation, mask): return 0\n"
        "    def update(self, experiences, experts, episode): return {}\n"
        "    def tensors(self): return {}\n"
        "    def load_tensors(self, tensors): pass\n"
        "    def random_state(self): return {}\n"
        "    def load_random_state(self, state): pass\n"
    )
    return "follower.First"
