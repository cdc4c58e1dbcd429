"""Training on ever new trips, and driving trips that training never drew."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest

from leed_agentic.errors import UsageError
from leed_agentic.learning.evaluation import evaluate_held_out
from leed_agentic.learning.session import begin, take_up
from leed_agentic.runs.log import read_csv
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demonstration import DemonstrationSet
from tests.learning.test_algorithms import STREETS, same_end

ANEW = {**STREETS, "scenario.redraw": 2, "learning.q": 10, "learning.leed.share_policy": True}


def trained(folder, episodes, stop_after=None, **changes):
    class Killed(Exception):
        pass

    def watch(row):
        if row["episode"] + 1 == stop_after:
            raise Killed

    if folder.exists():
        session = take_up(folder, watch=watch)
    else:
        folder.mkdir()
        settings = load_settings(overrides={**ANEW, "learning.episodes": episodes, **changes}, environment={})
        session = begin(settings, folder, watch=watch)
    try:
        session.trainer.run()
    except Killed:
        pass
    finally:
        session.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("redraw") / "run"
    trained(folder, 5)
    return folder


@pytest.mark.slow
def test_the_source_is_asked_for_every_scenario(run):
    files = sorted((run / "demonstrations").iterdir())
    assert [int(file.stem) for file in files] == [0, 2, 4]
    scenarios = [DemonstrationSet.load(file).scenario for file in files]
    assert len({str(scenario.agents) for scenario in scenarios}) == 3
    triggers = [int(row["triggers"]) for row in read_csv(run / "metrics.csv")]
    assert triggers == [1, 1, 2, 2, 3]


@pytest.mark.slow
def test_stopped_within_a_scenario_it_goes_on_to_the_bit(tmp_path, run):
    parts = tmp_path / "parts"
    trained(parts, 5, stop_after=3)
    trained(parts, 5)
    same_end(run, parts)


@pytest.mark.slow
def test_minibatches_of_several_episodes_go_on_to_the_bit(tmp_path):
    changes = {
        **{"learning.leed.batch_episodes": 2, "learning.leed.minibatches": 2, "scenario.redraw": "episode"},
        **{"learning.leed.gae_lambda": 0.9, "learning.leed.agent_advantage": "batch", "learning.leed.layer_norm": True},
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trained(whole, 4, **changes)
    trained(parts, 4, stop_after=2, **changes)
    trained(parts, 4)
    same_end(whole, parts)


def test_networks_that_know_places_see_neighbours_alike():
    settings = load_settings(overrides={**ANEW, "learning.encoding": "places"}, environment={})
    with closing(begin(settings, None)) as session:
        network, encoding = session.world.env.network, session.world.encoding(settings.learning)
        at = np.array([(junction.x, junction.y) for junction in network.junctions])
        apart = np.linalg.norm(at[:, None] - at, axis=2)
        rows = encoding.table[:-1]
        code = settings.learning.code_size
        seen = np.linalg.norm(rows[:, None, code:] - rows[:, code:], axis=2)
        near, far = apart < np.quantile(apart, 0.1), apart > np.quantile(apart, 0.5)
        assert seen[near].mean() < 0.6 * seen[far].mean()
        assert not encoding.table[-1].any()
        # The rest of a row is the code that tells any two apart.
        assert np.linalg.norm(rows[:, :code], axis=1) == pytest.approx(1.0)
        observation = session.world.env.reset(seed=0)[0]["agent_0"]
        mask = np.ones(session.world.actions)
        whole = session.trainer.algorithm.actor.probabilities(0, observation, mask)
        assert session.policy(0).probabilities(observation, mask) == pytest.approx(whole, abs=1e-6)


def test_demonstrations_of_one_scenario_cannot_teach_others(tmp_path):
    with pytest.raises(UsageError, match=r"one scenario, and scenario\.redraw draws others"):
        trained(tmp_path / "run", 2, **{"learning.source": "file", "learning.demonstrations": "x.json"})


@pytest.mark.slow
def test_held_out_trips_are_driven_with_intervals(run, leed):
    answer = leed("evaluate", run, "--held-out", "3", "--json")
    assert answer.code == 0
    result = json.loads(answer.out)
    assert result["held_out"]
    assert len(set(result["seeds"])) == 3
    shortest = next(row for row in result["drivers"] if row["driver"] == "shortest path")
    assert len(set(shortest["rewards"])) == 3
    low, high = shortest["reward_interval"]
    assert low < shortest["reward_mean"] < high
    assert json.loads((run / "held-out.json").read_text()) == result


@pytest.mark.slow
def test_trips_that_training_drew_are_not_held_out(run, leed):
    answer = leed("evaluate", run, "--held-out", "2", "--first-seed", "3")
    assert answer.code == 2
    assert "Training drew trips from seed 4" in answer.err
    session = take_up(run, with_source=False)
    try:
        assert evaluate_held_out(session, 1, 5)["seeds"] == [5]
        with pytest.raises(UsageError, match="must be 1 or more"):
            evaluate_held_out(session, 0)
    finally:
        session.close()
