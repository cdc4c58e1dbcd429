"""`leed experiment` as a user meets it: runs made once, gone on with, shared, and honest about failures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, create_model

from leed_agentic import settings as tree
from leed_agentic.experiments import Experiment, experiments
from leed_agentic.experiments.run import Request, Run

TINY = ("--maps", "braunschweig", "--seeds", "2", "--episodes", "3", "--agents", "2", "--jobs", "1")
SHORT = ("-s", "environment.max_steps=40", "-s", "learning.hidden=8")

PAIR = ("--arm", "leed", "--arm", "ippo")


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


def one_more_setting(group: type[BaseModel]) -> type[BaseModel]:
    """The group, its groups too, with a switch that is off."""
    changed = {
        name: (kind := one_more_setting(field.annotation), kind())
        for name, field in group.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    return create_model(group.__name__, __base__=group, new_switch=(bool, False), **changed)


def test_a_new_setting_that_is_off_renames_no_folder():
    grown = one_more_setting(tree.Settings)
    for name in ("demonstrations", "fig3", "fig4a", "fig4b", "alpha"):
        for run in experiments.get(name).runs(
            Request(("braunschweig",), 2, assignments=("scenario.agents=3",)[: name != "fig4a"])
        ):
            later = grown.model_validate(run.settings.model_dump())
            new = Run(run.arm, run.map, run.seed, later)
            assert "new_switch" in later.learning.model_dump()
            assert (new.key, new.reference_key) == (run.key, run.reference_key)
            on = grown.model_validate({**run.settings.model_dump(), "learning": {"new_switch": True}})
            assert Run(run.arm, run.map, run.seed, on).key != run.key
    table2 = experiments.get("table2")
    assert len({task.folder for task in table2.tasks(Request(("braunschweig",), 2))}) == 4


@pytest.mark.parametrize(
    "assignment",
    ["map.cache=elsewhere", "learning.trackers=[tensorboard]", "learning.checkpoint_every=7", "model.retries=5"],
)
def test_what_changes_no_figure_renames_no_folder(assignment):
    def keys(*assignments):
        return [run.key for run in experiments.get("fig3").runs(Request(("x",), 1, assignments=assignments))]

    assert keys(assignment) == keys()


def test_what_is_not_asked_names_no_folder():
    def keys(*assignments):
        runs = experiments.get("fig4b").runs(Request(("x",), 1, assignments=assignments))
        return {run.arm: run.key for run in runs}

    before, after = keys(), keys("demonstration.rounds=3", "model.name=openai:tiny")
    assert {arm for arm in before if before[arm] != after[arm]} == {
        *("leed", "alpha 0.2", "alpha 0.5", "bc", "bc-then-ppo", "dapg"),
    }


@pytest.mark.slow
@pytest.mark.processes
def test_runs_are_made_once_and_reported(leed, few_references):
    words = ("experiment", "run", "demonstrations", *PAIR, *TINY, *SHORT, "--seeds", "1", "--json")
    code, out, err = leed(*words)
    assert code == 0
    result = json.loads(out)
    assert (result["runs"], result["failed"]) == (2, {})
    assert {row["arm"] for row in result["rows"]} == {"leed", "ippo"}
    assert all(Path(file).stat().st_size > 0 for file in result["files"])
    assert err.count("done") == 3
    times = {file: file.stat().st_mtime_ns for file in Path("experiments", "runs").rglob("metrics.csv")}
    lost = next(iter(times)).with_name("summary.json")
    lost.unlink()
    code, again, err = leed(*words)
    assert code == 0
    assert err.count("done") == 1
    assert [f.stat().st_mtime_ns != t for f, t in times.items()] == [f.parent == lost.parent for f in times]
    first, second = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in json.loads(text)["rows"]] for text in (out, again)
    )
    assert first == second


@pytest.mark.long
def test_a_killed_experiment_goes_on(tmp_path):
    words = [sys.executable, "-m", "leed_agentic.cli.main", "experiment", "run", "demonstrations", *PAIR, *TINY, *SHORT]
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


def arms_of(experiment, *words):
    return {run.arm: run.settings for run in experiments.get(experiment).only(words).runs(Request(("x",), 1))}


def test_arms_from_a_file_and_from_a_module_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("mine.yaml").write_text(
        "slow: {learning.learning_rate: 0.001}\nlong:\n  learning: {epochs: 8}\n  scenario: {agents: 3}\n"
    )
    Path("my_arms.py").write_text(
        "from leed_agentic.experiments import Arm\nquick = Arm('quick', {'learning.q': 1})\nother = 3\n"
    )
    found = arms_of("fig3", "mine.yaml", "leed", "my_arms.quick")
    assert list(found) == ["leed", "slow", "long", "quick"]
    assert found["slow"].learning.learning_rate == 0.001
    assert (found["long"].learning.epochs, found["long"].scenario.agents) == (8, 3)
    assert found["quick"].learning.q == 1
    members = experiments.get("paper").members(Request(("x",), 1, arms=("my_arms.quick",)))
    assert [member.name for member, _ in members] == ["fig3", "fig4a", "fig4b"]
    Path("my_experiments.py").write_text(
        "from leed_agentic.experiments import Arm, Experiment\n"
        "rates = Experiment('rates', 'Step sizes', (Arm('small', {'learning.learning_rate': 1e-4}),))\n"
    )
    assert experiments.get("my_experiments.rates").compared == ["small"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 3", "arm 'a' has no settings"),
        ("", "holds no arms"),
        ("- a", "must hold a mapping"),
        ("a: {learning.gama: 1}", "learning.gama"),
        ("a: {learning.algorithm: my.algorithm}", "names code to run"),
        ("leed: {learning.q: 1}", "Two arms are called 'leed'"),
    ],
)
def test_a_file_of_arms_that_cannot_be_used(leed, text, said):
    Path("arms.yaml").write_text(text)
    code, _, err = leed("experiment", "run", "fig3", "--arm", "arms.yaml")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert said in err


@pytest.mark.slow
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
        (("fig3", "--arm", "nowhere.mine"), "Cannot import the arm 'nowhere.mine'"),
        (("fig3", "--arm", "none.yaml"), "Cannot read the file of arms none.yaml"),
        (("fig3", "--arm", "leed_agentic.__version__"), "is not an arm"),
        (("fig3", "-s", "learning.algorithm=my.algorithm"), "contradicts arm 'leed'"),
        (("fig3", "-s", "learning={source: logit}"), "contradicts arm 'ippo'"),
        (("demonstrations", "-s", "seed=3"), "use --seeds"),
        (("demonstrations", "-s", "map.name=berlin"), "use --maps"),
        (("fig4a", "-s", "scenario.agents=3"), "use --agents"),
        (("demonstrations", "--model", "stand_in"), "did you mean 'stand-in'"),
        (("table2", "--model", "openai:gpt-4o-mini"), "OPENAI_API_KEY"),
        (("demonstrations", "--backend", "rey", "--seeds", "1"), "did you mean 'ray'"),
        (("demonstrations", "--agents", "many"), "--agents takes a number"),
        (("demonstrations", "--agents", "0"), "scenario.agents"),
        (("table2", "--policy-episodes", "-1"), "--policy-episodes must be 0 or more"),
    ],
)
def test_bad_input(leed, words, told):
    code, _, err = leed("experiment", "run", *words)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("experiments").exists()
