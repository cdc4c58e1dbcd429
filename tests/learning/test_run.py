"""Training, reading a run and driving with its policies from Python; the folder belongs to one process at a time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from leed_agentic.errors import UsageError
from leed_agentic.learning.metrics import METRICS, cells
from leed_agentic.learning.session import load_run, take_up, train
from leed_agentic.runs.lock import alone
from leed_agentic.settings import load_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"
SMALL = {"scenario.agents": 2, "environment.max_steps": 40, "learning.episodes": 3, "learning.hidden": 8}
OF_ROUTES = {**SMALL, "learning.source": "shortest-path", "learning.checkpoint_every": 1}


def settings(**changes):
    return load_settings(overrides={**OF_ROUTES, **changes}, environment={})


@pytest.mark.slow
def test_the_page_s_program(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 10
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - the documentation's own lines
    assert len(capsys.readouterr().out.split()) == 2
    assert names["policy"].agent == 0


@pytest.mark.slow
def test_a_run_is_read_as_columns_of_numbers(tmp_path):
    rows = []
    run = train(settings(), tmp_path / "run", watch=rows.append)
    assert run.metrics["reward_mean"].tolist() == [row["reward_mean"] for row in rows]
    assert run.metrics["episode"].dtype == np.float64
    assert np.isnan(run.metrics["td_loss"]).all()
    again = load_run(tmp_path / "run")
    assert (again.summary["episodes"], again.scenario, again.settings) == (3, run.scenario, run.settings)
    pandas = pytest.importorskip("pandas")
    assert isinstance(again.frame(), pandas.DataFrame)


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(tmp_path):
    train(settings(), tmp_path / "run")
    with alone(tmp_path / "run"):
        with pytest.raises(UsageError, match="is being written by process"):
            take_up(tmp_path / "run")
        # Driving only reads.
        take_up(tmp_path / "run", with_source=False).close()
    take_up(tmp_path / "run").close()


def test_every_figure_becomes_a_cell():
    found = cells({"alpha": np.array([0.5, 0.1]), "dtw": np.array([np.nan, 4.0]), "mine": 2, "none": np.nan}, METRICS)
    assert found == {"alpha_mean": 0.3, "alpha_0": 0.5, "alpha_1": 0.1, "dtw_mean": 4.0, "mine": 2.0, "none": ""}
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_run_json_says_what_was_used(tmp_path):
    run = train(settings(**{"learning.leed": {"objective": "paper"}}), tmp_path / "run")
    used = run.settings.learning.model_extra["leed"]
    assert (used["alpha"], used["alpha_ceiling"], used["expert_advantage"]) == ("paper", 1.0, "raw")
