"""The fair comparison and the search of settings."""

from __future__ import annotations

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.experiments import experiments
from leed_agentic.experiments.paper import DEMONSTRATED, LEED
from leed_agentic.experiments.run import Request
from leed_agentic.experiments.tuning import drawn
from leed_agentic.settings import load_settings
from tests.experiments.conftest import FEW


def test_both_distances_have_the_same_arms():
    members = experiments.get("fair").members(Request(("braunschweig",), 1))
    assert [member.name for member, _ in members] == ["fair-straight", "fair-network"]
    labels = [[run.arm for run in member.runs(request)] for member, request in members]
    assert labels[0] == labels[1]
    assert {"leed", "bc", "bc-then-ppo", "dapg", "sil", "vdn", "ippo, shared", "mappo, one each"} <= set(labels[0])


def test_every_arm_is_searched_by_the_same_draws_on_other_seeds():
    members = experiments.get("tuning").members(Request(("braunschweig",), 1, trials=4))
    for member, request in members:
        runs = member.runs(request)
        assert {run.seed for run in runs} == {1000}
        assert len({run.key for run in runs}) == len(runs) == 4
    rates = [[drawn(arm, k)["learning.learning_rate"] for k in (1, 2, 3)] for arm in (LEED, DEMONSTRATED[1])]
    assert rates[0] == rates[1]
    assert not drawn(LEED, 0)


def test_a_search_of_nothing_is_refused(experiment):
    with pytest.raises(UsageError, match="--trials must be 1 or more, not 0"):
        experiments.get("tuning").members(Request(trials=0))


@pytest.mark.slow
def test_the_best_trial_is_left_as_a_file_of_arms(experiment, tmp_path):
    found = experiment("tuning", "--trials", "2", "--arm", "ippo", "--maps", "braunschweig", "--seeds", "1", *FEW)
    assert found.code == 0
    told = found.told["members"]["tuning-ippo"]
    assert told["trials"] == 2
    assert told["best"] in ("trial 0", "trial 1")
    file = next(name for name in told["files"] if name.endswith("tuned.yaml"))
    again = experiment("demonstrations", "--arm", file, "--maps", "braunschweig", "--seeds", "1", *FEW)
    assert again.code == 0
    assert [row["arm"] for row in again.told["rows"]] == ["ippo, tuned"]
    load_settings(overrides=told["settings"], environment={})
