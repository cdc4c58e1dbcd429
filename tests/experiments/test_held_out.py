"""Drives of trips that training never drew, of runs that go on from one length to the next."""

from __future__ import annotations

import json

import numpy as np
import pytest

from leed_agentic.errors import UsageError
from leed_agentic.experiments import experiments
from leed_agentic.experiments.run import Request
from leed_agentic.runs.log import read_csv

FEW = ("--arm", "bc", "--arm", "leed", "--maps", "braunschweig", "--agents", "2", "--scenarios", "2", "--jobs", "1")
QUICK = ("-s", "learning.hidden=8", "-s", "environment.max_steps=40")


def by_driver(found):
    return {(row["driver"], row["episodes"]): row for row in found.told["rows"]}


@pytest.mark.long
def test_a_run_is_tested_on_other_trips_and_goes_on(experiment, tmp_path):
    first = experiment("held-out", *FEW, *QUICK, "--episodes", "2")
    assert first.code == 0, first.err
    known = by_driver(first)
    others = {name for name, episodes in known if episodes is None}
    assert others == {"random", "shortest path", "rerouting", "dua-iterate"}
    assert known["shortest path", None]["scenarios"] == 2
    assert known["shortest path", None]["seconds_apart"] is None
    ours = known["bc, sampled", 2]
    apart = ours["seconds"]["mean"] - known["shortest path", None]["seconds"]["mean"]
    assert ours["seconds_apart"]["mean"] == pytest.approx(apart)
    leed = known["leed, sampled", 2]
    assert ours["seconds_from_leed"]["mean"] == pytest.approx(ours["seconds"]["mean"] - leed["seconds"]["mean"])
    assert leed["seconds_from_leed"] is None

    longer = by_driver(experiment("held-out", *FEW, *QUICK, "--episodes", "4"))
    assert longer["bc, sampled", 2] == ours
    assert ("bc, likeliest", 4) in longer
    (run,) = (tmp_path / "experiments" / "runs").glob("*_bc_*")
    assert [row["episode"] for row in read_csv(run / "metrics.csv")] == ["0", "1", "2", "3"]

    shorter = experiment("held-out", *FEW, *QUICK, "--episodes", "3")
    assert shorter.code == 2
    assert "cannot be tested after 3 episodes any more" in shorter.err


@pytest.mark.long
@pytest.mark.slow
def test_of_several_seeds_arms_are_compared_run_by_run(experiment, tmp_path):
    found = by_driver(experiment("held-out", *FEW, *QUICK, "--episodes", "1", "--seeds", "2"))
    runs = tmp_path / "experiments" / "runs"
    seconds = {
        (arm, seed): json.loads(next(runs.glob(f"*_{arm}_s{seed}_*/held-out-1.json")).read_text())["drivers"]
        for arm in ("bc", "leed")
        for seed in (0, 1)
    }
    apart = [np.subtract(*(seconds[arm, s]["sampled"]["seconds"] for arm in ("bc", "leed"))).mean() for s in (0, 1)]
    of_bc = [np.mean(seconds["bc", s]["sampled"]["seconds"]) for s in (0, 1)]
    assert found["bc, sampled", 1]["seconds"]["mean"] == pytest.approx(np.mean(of_bc))
    high = found["bc, sampled", 1]["seconds"]["high"]
    assert high - np.mean(of_bc) == pytest.approx(12.7062 * abs(of_bc[0] - of_bc[1]) / 2, rel=1e-4)
    estimate = found["bc, sampled", 1]["seconds_from_leed"]
    assert estimate["mean"] == pytest.approx(np.mean(apart))
    # Student's t of two runs: 12.706 times half of what they lie apart.
    assert estimate["high"] - estimate["mean"] == pytest.approx(12.7062 * abs(apart[0] - apart[1]) / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"assignments": ("learning.episodes=3",)}, "use --episodes"),
        ({"assignments": ("scenario.demand=[mine.trips.xml]",)}, "leave it out"),
    ],
)
def test_what_contradicts_it_is_refused(asked, said):
    with pytest.raises(UsageError, match=said):
        experiments.get("held-out").members(Request(("braunschweig",), **asked))[0][0].tasks(
            Request(("braunschweig",), **asked)
        )


def test_no_scenario_is_refused():
    with pytest.raises(UsageError, match="--scenarios"):
        experiments.get("held-out").members(Request(scenarios=0))
