"""What an agent lived through, drawn at random: data for an update, without an environment."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


def drive(generator, steps, arrived=True, times=None, size=4, actions=3):
    """One agent's episode of so many decisions; every second mask forbids the last action, which is never taken."""
    masks = np.ones((steps, actions), dtype=np.int8)
    masks[::2, -1] = 0
    return SimpleNamespace(
        observations=generator.normal(size=(steps, size)).astype(np.float32),
        masks=masks,
        actions=generator.integers(0, actions - 1, steps),
        rewards=generator.normal(size=steps),
        arrived=arrived,
        last_observation=generator.normal(size=size).astype(np.float32),
        last_mask=np.array([0] + [1] * (actions - 1), dtype=np.int8),
        times=np.arange(steps) if times is None else np.array(times),
        positions=generator.normal(size=(steps + 1, 2)) * 100,
    )
