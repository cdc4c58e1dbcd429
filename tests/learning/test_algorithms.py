"""What every registered algorithm must do: train in any world, stop, and go on as if it had not stopped."""

from __future__ import annotations

import numpy as np
import pytest

from leed_agentic.errors import UsageError
from leed_agentic.learning.algorithms import algorithms
from leed_agentic.learning.checkpoint import checkpoints, load_checkpoint
from leed_agentic.learning.rollout import ParallelWorld
from leed_agentic.learning.session import begin, take_up
from leed_agentic.learning.trainer import Trainer
from leed_agentic.runs.log import read_csv
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.settings import load_settings

STREETS = {
    "scenario.agents": 3,
    "environment.max_steps": 40,
    "learning.checkpoint_every": 1,
    "learning.hidden": 16,
    "learning.source": "shortest-path",
    "learning.mappo.batch_episodes": 2,
    "learning.qmix.batch": 2,
    "learning.qmix.buffer": 3,
}


@pytest.fixture(params=algorithms.names())
def name(request):
    return request.param


def on_streets(folder, name, episodes, stop_after=None):
    """Train; `stop_after` counts the episodes until the run is left, as by a kill."""

    class Killed(Exception):
        pass

    def watch(row):
        if row["episode"] + 1 == stop_after:
            raise Killed

    if folder.exists():
        session = take_up(folder, watch=watch)
    else:
        folder.mkdir()
        changes = {**STREETS, "learning.algorithm": name, "learning.episodes": episodes}
        session = begin(load_settings(overrides=changes, environment={}), folder, watch=watch)
    try:
        session.trainer.run()
    except Killed:
        pass
    finally:
        session.close()


def same_end(one, other):
    """Metrics and last checkpoints are equal to the bit; returns the tensors."""
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    ends = [load_checkpoint(checkpoints(folder / "checkpoints")[-1]) for folder in (one, other)]
    assert ends[0][1]["random"] == ends[1][1]["random"]
    assert ends[0][0].keys() == ends[1][0].keys()
    assert all(tensor.equal(ends[1][0][key]) for key, tensor in ends[0][0].items())
    return ends[0][0]


@pytest.mark.slow
def test_three_episodes_on_streets_and_a_stop_in_the_middle(tmp_path, name):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    on_streets(whole, name, 3)
    on_streets(killed, name, 3, stop_after=1)
    first, middle = checkpoints(killed / "checkpoints")
    assert (first.name, middle.name) == ("000000", "000001")
    before = load_checkpoint(first)[0]
    on_streets(killed, name, 3)
    after = same_end(whole, killed)
    assert any(key.endswith("weight1") and not tensor.equal(after[key]) for key, tensor in before.items())
    rows = read_csv(whole / "metrics.csv")
    assert len(rows) == 3
    learnt = "td_loss" if name in ("qmix", "q-lambda") else "policy_loss_agent"
    assert rows[1][learnt] != ""
    assert all(np.isfinite(float(value)) for row in rows for value in row.values() if value != "")


@pytest.mark.long
def test_three_episodes_of_simple_spread_and_a_stop_in_the_middle(tmp_path, name):
    from mpe2 import simple_spread_v3

    def trained(folder, episodes, resume=False):
        folder.mkdir(exist_ok=True)
        small = {"mappo": {"batch_episodes": 2}, "qmix": {"batch": 2}}
        s = LearningSettings(algorithm=name, episodes=episodes, checkpoint_every=1, hidden=16, **small)
        world = ParallelWorld(simple_spread_v3.parallel_env(N=3, max_cycles=25))
        trainer = Trainer(
            world, algorithms.get(name)(world.agents, world.actions, world.encoding(s), s, 1), s, 1, folder=folder
        )
        if resume:
            trainer.resume()
        trainer.run()

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trained(whole, 3)
    trained(parts, 2)
    trained(parts, 3, resume=True)
    same_end(whole, parts)


def test_a_checkpoint_of_another_shape_is_refused(name):
    from leed_agentic.learning.encoding import Encoding

    make = algorithms.get(name)
    small, large = (make(2, 3, Encoding(4, plain=True), LearningSettings(hidden=h), 0) for h in (8, 16))
    with pytest.raises(UsageError, match="does not fit"):
        large.load_tensors(small.tensors())
    with pytest.raises(UsageError, match="does not fit"):
        large.load_tensors({})
