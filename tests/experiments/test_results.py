"""Results of an experiment made up for the purpose: figures, scores, files and folders."""

import csv
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest

from leed_agentic.experiments import backends, experiments
from leed_agentic.experiments.figures import steps_panels, time_panels
from leed_agentic.experiments.picture import panels_csv, read_panels
from leed_agentic.experiments.report import markdown, rewrite, rows_of, scores_markdown, table_csv
from leed_agentic.experiments.results import INSIDE, OUTCOME, Group, Results, marl_eval, scores
from leed_agentic.experiments.run import Request
from leed_agentic.experiments.runner import _failure
from leed_agentic.experiments.task import Task, merged


def group(rewards, arm="leed", place="braunschweig", seconds=None) -> Group:
    rewards = np.array(rewards, dtype=np.float64)
    runs = experiments.get("fig3").only([arm]).runs(Request((place,), len(rewards)))
    curves = {name: rewards if name == "reward_mean" else rewards * np.nan for name in (*OUTCOME, *INSIDE)}
    seconds = np.cumsum(np.ones_like(rewards), axis=1) if seconds is None else np.array(seconds, dtype=np.float64)
    return Group(runs, curves, seconds, seconds[:, -1], np.array([]))


def results(**arms) -> Results:
    """On two maps; on the second everything is ten times as much. Random drives 0, the shortest path 10."""
    fig3 = experiments.get("fig3")
    found = Results(fig3.question, fig3.compared)
    for place, factor in (("braunschweig", 1), ("berlin", 10)):
        found.groups[place] = {arm: group(np.array(r) * factor, arm, place) for arm, r in arms.items()}
        levels = {"random": 0.0, "shortest path": 10.0 * factor}
        found.references[place] = {d: [{"driver": d, "reward_mean": v}] * 2 for d, v in levels.items()}
        found.max_steps[place] = 200
    return found


def test_scores_pool_maps_on_one_scale():
    rows = scores(results(leed=[[8.0, 8.0], [9.0, 9.0]], ippo=[[1.0, 1.0], [2.0, 2.0]]))
    assert [(row.arm, row.runs, row.places) for row in rows] == [("leed", 2, 2), ("ippo", 2, 2)]
    assert rows[0].score.mean == pytest.approx(0.85)
    assert (rows[0].score.low, rows[0].score.high) == (pytest.approx(0.8), pytest.approx(0.9))
    assert rows[0].first_better is None
    assert rows[1].first_better is not None
    assert rows[1].first_better.mean == 1.0


def test_a_gain_is_the_same_scale_on_one_map():
    found = results(leed=[[8.0, 8.0], [9.0, 9.0]], ippo=[[1.0, 1.0], [2.0, 2.0]])
    gains = found.normalised("berlin", "ippo")
    assert gains == pytest.approx([0.1, 0.2])
    row = next(row for row in rows_of(found) if (row.map, row.arm) == ("berlin", "ippo"))
    assert row.figures["gain"] is not None
    assert row.figures["gain"].mean == pytest.approx(0.15)
    assert "| 0.15 [" in markdown("?", [row])
    found.references.clear()
    assert all(row.figures["gain"] is None for row in rows_of(found))
    assert "| gain |" not in markdown("?", rows_of(found))


def test_a_share_has_wilsons_interval_and_a_report_is_written_again_from_its_csv(tmp_path):
    found = results(leed=[[8.0, 8.0], [9.0, 9.0]], ippo=[[1.0, 1.0], [2.0, 2.0]])
    for arms in found.groups.values():
        for one in arms.values():
            one.curves["arrival_rate"] = np.ones((2, 2))
    rows = rows_of(found)
    assert "| 100 % [34, 100] |" in markdown("What?", rows)
    # As reports were written that took a t interval for a share.
    text = table_csv(rows).replace("1,0.34238023,1", "1,1,1")
    assert text != table_csv(rows)
    (tmp_path / "table.csv").write_text(text)
    (tmp_path / "table.md").write_text("# What?\n\nOld words.\n\n| old |\n\n## Drivers that learn nothing\n\n| x |\n")
    rewrite(tmp_path)
    assert (tmp_path / "table.csv").read_text() == table_csv(rows)
    written = (tmp_path / "table.md").read_text()
    assert written == markdown("What?", rows) + "\n## Drivers that learn nothing\n\n| x |\n"


def test_panels_come_back_from_their_csv(tmp_path):
    panels = steps_panels(results(leed=[[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]]))
    (tmp_path / "figure.csv").write_text(panels_csv(panels))
    found = read_panels(tmp_path / "figure.csv")
    assert panels_csv(found) == panels_csv(panels)
    assert [line.reference for line in found[0].lines] == [line.reference for line in panels[0].lines]


def test_an_arm_that_is_missing_on_a_map_is_in_no_score():
    found = results(leed=[[8.0], [9.0]], ippo=[[1.0], [2.0]])
    del found.groups["berlin"]["ippo"]
    assert [row.arm for row in scores(found)] == ["leed"]
    found.references.clear()
    assert scores(found) == []
    assert scores_markdown([]) == ""


def test_steps_are_full_episodes_and_time_is_where_all_runs_are():
    found = results(leed=[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    found.groups["braunschweig"]["leed"] = group([[0, 0, 6], [0, 0, 6]], seconds=[[1, 2, 3], [2, 4, 6]])
    steps, time = steps_panels(found)[0].lines[0], time_panels(found)[0].lines[0]
    assert steps.x.tolist() == [200, 400, 600]
    assert steps.y.tolist() == [0, 0, 2]
    assert (time.x[0], time.x[-1]) == (2.0, 3.0)
    # At second 3 the first run has ended its third episode, the second only its first.
    assert time.y[-1] == 1.0
    rows = list(csv.DictReader(io.StringIO(panels_csv(steps_panels(found)))))
    assert {row["line"] for row in rows} == {"leed", "random", "shortest path"}
    assert [row["y_value"] for row in rows if row["panel"] == "berlin, steps" and row["line"] == "random"] == ["0"]


def test_marl_eval_lists_are_equally_long_and_the_last_ten_times_that():
    exported = marl_eval(results(leed=np.arange(200.0).reshape(2, 100)))
    run = exported["leed_route"]["braunschweig"]["leed"]["seed_1"]
    assert list(run) == [*(f"step_{k}" for k in range(1, 21)), "absolute_metrics"]
    assert run["step_1"]["step_count"] == 5 * 200
    assert run["step_20"]["step_count"] == 100 * 200
    assert run["step_1"]["mean_episode_return"] == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert run["absolute_metrics"]["mean_episode_return"] == [float(r) for r in range(150, 200)]
    tested = results(leed=[[1.0] * 40])
    tested.groups["berlin"]["leed"].tests = np.ones((1, 20))
    tested.groups["berlin"]["leed"].test_arrivals = np.ones(1)
    run = marl_eval(tested)["leed_route"]["berlin"]["leed"]["seed_0"]
    assert (len(run["step_1"]["arrival_rate"]), len(run["absolute_metrics"]["mean_episode_return"])) == (2, 20)


def test_one_folder_is_one_task_with_all_that_is_wanted_of_it():
    run = experiments.get("fig3").runs(Request(("braunschweig",), 1))[0]
    tasks = [
        Task("a", run.key, "train", run.settings, {"plan": 1}),
        Task("b", run.reference_key, "references", run.settings),
        Task("c", run.key, "train", run.settings, {"test_episodes": 20}),
    ]
    found = merged(tasks)
    assert [task.label for task in found] == ["a", "b"]
    assert found[0].files == ["summary.json", "test_20.json", "plan.json"]


def test_a_reference_is_shared_by_arms_but_not_by_worlds():
    def keys(*arms: str, **request) -> set[str]:
        runs = experiments.get("fig3").only(arms).runs(Request(("braunschweig",), 2, **request))
        return {run.reference_key for run in runs}

    assert len(keys("leed", "ippo")) == 2
    assert keys("leed", changes={"learning.episodes": 7}) == keys("leed")
    assert not keys("leed", changes={"environment.time_penalty": 1.0}) & keys("leed")


@pytest.mark.slow
def test_a_process_that_dies_does_not_take_the_others_along(monkeypatch):
    with backends.processes(1) as submit:
        monkeypatch.setattr(backends, "make", os._exit)
        died = _failure(submit(1))
        assert died is not None
        assert "died" in died.problem
        monkeypatch.setattr(backends, "make", abs)
        assert submit(-1).result() == 1


def test_the_example_of_the_page_is_an_experiment():
    page = Path(__file__).parents[2] / "docs" / "experiments.md"
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1], names)  # noqa: S102 - our own page
    runs = names["discount"].runs(Request(("braunschweig",), 1))
    assert [run.settings.learning.gamma for run in runs] == [0.9, 0.99, 1.0]


def test_the_page_names_every_experiment_of_the_paper():
    page = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*experiments.get("paper").compared, "paper"))
