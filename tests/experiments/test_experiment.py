"""`leed experiment` as a user meets it: runs made once, gone on with, shared, and honest about failures."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from leed_agentic import __version__
from leed_agentic.experiments import experiments
from leed_agentic.experiments.experiment import Experiment, Request

TINY = ("--maps", "braunschweig", "--seeds", "2", "--episodes", "3", "--agents", "2", "--jobs", "1")
SHORT = ("-s", "environment.max_steps=40", "-s", "learning.hidden=8")


def trained_arms():
    return [e for name in experiments.names() if isinstance(e := experiments.get(name), Experiment)]


def test_every_experiment_has_runs_that_differ_between_arms():
    for experiment in trained_arms():
        runs = experiment.runs(Request(("braunschweig",), 2))
        fleets = len(experiment.fleets) or 1
        assert len({r.key for r in runs}) == len(runs) == 2 * len(experiment.arms) * fleets


def test_equal_settings_are_one_run():
    names = ("demonstrations", "alpha", "fig3", "fig4b")
    keys = {(n, r.arm): r.key for n in names for r in experiments.get(n).runs(Request(("x",), 1))}
    assert len({keys[n, "leed"] for n in names if n != "alpha"} | {keys["alpha", "aligned"]}) == 1
    assert len({keys[n, "ippo"] for n in names if n != "alpha"}) == 1
    assert keys["alpha", "fixed 0.2"] == keys["fig4b", "alpha 0.2"] != keys["fig4b", "leed"]


def test_the_key_of_a_run_is_its_settings_and_version():
    # Runs of earlier reports are found again only as long as this is how a folder is named.
    run = experiments.get("demonstrations").runs(Request(("braunschweig",), 1))[0]
    content = {"version": __version__, **run.settings.model_dump(mode="json")}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
    assert run.key == f"braunschweig_leed_s0_{digest}"


@pytest.mark.slow
def test_runs_are_made_once_and_reported(leed):
    code, out, err = leed("experiment", "run", "demonstrations", *TINY, *SHORT, "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["runs"], result["failed"]) == (4, {})
    assert {row["arm"] for row in result["rows"]} == {"leed", "ippo"}
    assert all(Path(file).stat().st_size > 0 for file in result["files"])
    assert err.count("done") == 4
    times = {file: file.stat().st_mtime_ns for file in Path("experiments", "runs").rglob("metrics.csv")}
    lost = next(iter(times)).with_name("summary.json")
    lost.unlink()
    code, again, err = leed("experiment", "run", "demonstrations", *TINY, *SHORT, "--json")
    assert code == 0
    assert err.count("done") == 1
    assert [f.stat().st_mtime_ns != t for f, t in times.items()] == [f.parent == lost.parent for f in times]
    first, second = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in json.loads(text)["rows"]] for text in (out, again)
    )
    assert first == second


@pytest.mark.slow
def test_a_killed_experiment_goes_on(tmp_path):
    words = [sys.executable, "-m", "leed_agentic.cli.main", "experiment", "run", "demonstrations", *TINY, *SHORT]
    process = subprocess.Popen([*words, "--json"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    assert b"done" in process.stderr.readline()
    process.kill()
    process.wait()
    process.stderr.close()
    done = {f: f.stat().st_mtime_ns for f in (tmp_path / "experiments" / "runs").rglob("summary.json")}
    assert done
    subprocess.run(words, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert all(f.stat().st_mtime_ns == t for f, t in done.items())
    assert len(list((tmp_path / "experiments" / "runs").rglob("summary.json"))) == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("demonstration",), "did you mean 'demonstrations'"),
        (("demonstrations", "--maps", "braunschwieg"), "braunschweig"),
        (("demonstrations", "--jobs", "0"), "--jobs must be 1 or more"),
        (("demonstrations", "--seeds", "0"), "--seeds must be 1 or more"),
        (("demonstrations", "-s", "learning.gamma=2"), "learning.gamma"),
        (("fig5",), "did you mean 'fig3'"),
        (("fig3", "--arm", "lead"), "did you mean 'leed'"),
        (("paper", "--arm", "logit"), "did you mean 'logit-ppo'"),
        (("table2", "--arm", "leed"), "leave --arm out"),
        (("demonstrations", "--backend", "rey", "--seeds", "1"), "did you mean 'ray'"),
        (("demonstrations", "--agents", "many"), "--agents takes a number"),
        (("demonstrations", "--agents", "0"), "scenario.agents"),
        (("table2", "--policy-episodes", "-1"), "--policy-episodes must be 0 or more"),
        # Found for every world before anything runs.
        (("demonstrations", "--agents", "500"), "holds at most"),
        (("fig4a", "--arm", "leed", "--agents", "2,500"), "holds at most"),
    ],
)
def test_bad_input(leed, words, told):
    code, _, err = leed("experiment", "run", *words)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("experiments").exists()
