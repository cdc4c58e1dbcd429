"""Q(lambda): its targets against a loop written anew, forwards where it goes backwards."""

from __future__ import annotations

import numpy as np
import pytest

from leed_agentic.learning.algorithms.q_lambda import QLambda
from leed_agentic.learning.encoding import Encoding
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.trajectory import Trajectory

GAMMA = 0.9


def walk(actions, arrived, agent=0):
    steps = len(actions)
    observations = np.arange(steps + 1, dtype=np.float32)[:, None] / 10
    return Trajectory(
        agent=agent,
        route=(),
        arrived=arrived,
        travel_seconds=float(steps),
        arrival=float(steps) if arrived else None,
        actions=np.array(actions),
        rewards=np.arange(1.0, steps + 1),
        times=np.arange(float(steps)),
        positions=np.zeros((steps + 1, 2)),
        observations=observations[:-1],
        masks=np.ones((steps, 2), dtype=bool),
        last_observation=observations[-1],
        last_mask=np.ones(2, dtype=bool),
    )


def learner(td_lambda):
    settings = LearningSettings.model_validate(
        {"algorithm": "q-lambda", "gamma": GAMMA, "reward_scale": 1.0, "q_lambda": {"td_lambda": td_lambda}}
    )
    return QLambda(2, 2, Encoding(1), settings, seed=3)


@pytest.mark.parametrize("td_lambda", [0.0, 0.7, 1.0])
def test_targets_equal_the_loop(td_lambda):
    algorithm = learner(td_lambda)
    taus = {0: walk([0, 1, 0, 0, 1], arrived=True), 1: walk([1, 1, 0], arrived=False, agent=1)}
    data = algorithm._joint(taus)
    found, decisions = algorithm.targets(data)
    values = algorithm.values.rows(algorithm.on_device(algorithm.encoding(data.observations))[0], data.owner)
    values = values.detach().numpy().astype(np.float64)
    start = 0
    for agent, tau in taus.items():
        steps = len(tau.actions)
        for t in range(steps):
            # Forwards: sum what was earned until the first decision that was not the best one, weighing each stop.
            wanted, weight = 0.0, 1.0
            for k in range(t, steps):
                wanted += weight * tau.rewards[k]
                if k + 1 == steps:
                    wanted += 0.0 if tau.arrived else weight * GAMMA * values[start + steps].max()
                    break
                row = start + k + 1
                goes_on = td_lambda if tau.actions[k + 1] == values[row].argmax() else 0.0
                wanted += weight * GAMMA * (1 - goes_on) * values[row].max()
                weight *= GAMMA * goes_on
            assert found[start + t] == pytest.approx(wanted, rel=1e-5), (agent, t)
        start += steps + 1
    assert decisions.tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
