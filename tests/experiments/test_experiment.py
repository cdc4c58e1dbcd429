"""`leed experiment` as a user meets it: runs made once, gone on with, shared, and honest about failures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from leed_agentic.cli import main as command
from leed_agentic.experiments import experiments
from leed_agentic.experiments.experiment import runs_of

TINY = ("--maps", "braunschweig", "--seeds", "2", "--episodes", "3", "--agents", "2", "--jobs", "1")
SHORT = ("-s", "environment.max_steps=40", "-s", "learning.hidden=8")


@pytest.fixture
def leed(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["leed", *words])
        with pytest.raises(SystemExit) as stop:
            command.main()
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return stop.value.code or 0, written.out, written.err

    return run


def test_every_experiment_has_runs_that_differ_between_arms():
    for name in experiments.names():
        runs = runs_of(experiments.get(name), ("braunschweig",), 2, {}, ())
        assert len({r.key for r in runs}) == len(runs) == 2 * len(experiments.get(name).arms)


def test_equal_settings_are_one_run():
    key = {
        r.arm: r.key for name in ("demonstrations", "alpha") for r in runs_of(experiments.get(name), ("x",), 1, {}, ())
    }
    assert key["leed"] == key["aligned"] != key["fixed 0.5"]


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


@pytest.mark.slow
def test_a_failed_arm_is_named_and_left_out(leed):
    # 60 agents do not fit at this trip length; the other arm asks for no demonstrations and fails alike.
    code, _, err = leed("experiment", "run", "demonstrations", *TINY[:-4], "--agents", "500", "--jobs", "1")
    assert code == 2
    assert "holds at most" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("demonstration",), "did you mean 'demonstrations'"),
        (("demonstrations", "--maps", "braunschwieg"), "braunschweig"),
        (("demonstrations", "--jobs", "0"), "--jobs must be 1 or more"),
        (("demonstrations", "--seeds", "0"), "--seeds must be 1 or more"),
        (("demonstrations", "-s", "learning.gamma=2"), "learning.gamma"),
    ],
)
def test_bad_input(leed, words, told):
    code, _, err = leed("experiment", "run", *words)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1
