"""What an experiment's finished runs say: curves, test runs and reference drivers, read once for all figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.experiments.run import Run
from leed_agentic.experiments.statistics import Estimate, improvement_and_interval, iqm_and_interval, normalised
from leed_agentic.experiments.task import PLAN, REFERENCES, SUMMARY, tests_file
from leed_agentic.runs.files import read_json
from leed_agentic.runs.log import read_csv
from leed_agentic.setting_groups import PAPER_STEPS

LAST = 50
"""Episodes behind a final figure."""
PLAN_DRIVER = "plan alone"

MARL_EVAL_ENVIRONMENT = "leed_route"
MARL_EVAL_METRICS = {"mean_episode_return": "reward_mean", "arrival_rate": "arrival_rate"}
"""Its name there, and the column of metrics.csv."""

Curves = dict[str, np.ndarray]
"""Columns of metrics.csv of one arm in one place, each of shape (runs, episodes); NaN where a run has no figure."""

OUTCOME = ("reward_mean", "arrival_rate")
INSIDE = ("alpha_mean", "expert_probability", "expert_advantage")
"""What a reader of (7) and (8) wants to see; without demonstrations there is nothing to show."""


@dataclass
class Group:
    """The runs of one arm in one place (a map, or a map with a number of agents)."""

    runs: list[Run]
    curves: Curves
    seconds: np.ndarray
    """Wall-clock time so far at the end of each episode, demonstrations included; shape (runs, episodes)."""
    whole_seconds: np.ndarray
    """Shape (runs,)."""
    expert_rewards: np.ndarray
    """Mean reward of the demonstrations at the end of each run that has some."""
    tests: np.ndarray | None = None
    """Rewards of the final policies' test runs, shape (runs, test episodes)."""
    test_arrivals: np.ndarray | None = None
    """Share of agents that arrived in them, shape (runs,)."""
    test_times: np.ndarray | None = None
    """Mean seconds of a fleet's trips in them, who does not arrive counted to the end; shape (runs,)."""
    plan_times: np.ndarray | None = None
    """The same of each run's last demonstrations, driven without learning; None unless every run has driven them."""

    @property
    def final(self) -> np.ndarray:
        """Mean reward of the last 50 episodes, shape (runs,)."""
        return self.curves["reward_mean"][:, -LAST:].mean(axis=1)

    @property
    def score(self) -> np.ndarray:
        """What a run is judged by: its test runs where there are some, else its last 50 episodes; shape (runs,)."""
        return self.final if self.tests is None else self.tests.mean(axis=1)


@dataclass
class Results:
    """All groups, by place and arm, and the drivers that learn nothing, by place."""

    question: str
    arms: Sequence[str]
    """Labels, in the order of the figures."""
    test_episodes: int = 0
    groups: dict[str, dict[str, Group]] = field(default_factory=dict)
    references: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    """Place, driver: figures of each seed, in order."""
    max_steps: dict[str, int] = field(default_factory=dict)
    """Steps of an episode that nobody ends early, by place."""

    def reference_rewards(self, place: str, driver: str) -> np.ndarray:
        """One per seed; empty where the driver is not known."""
        return np.array([row["reward_mean"] for row in self.references.get(place, {}).get(driver, ())])

    def normalised(self, place: str, arm: str) -> np.ndarray | None:
        """Scores, shape (runs,), on a scale where random driving is 0 and the shortest path 1 in the same scenario
        (a seed is a scenario), in traffic the free-flow shortest path 0 and duaIterate 1; None where these two were not
        driven, or the one is no better than the other."""
        from leed_agentic.learning.evaluation import EQUILIBRIUM, RANDOM, SHORTEST_PATH

        ends = (
            (SHORTEST_PATH, EQUILIBRIUM) if EQUILIBRIUM in self.references.get(place, {}) else (RANDOM, SHORTEST_PATH)
        )
        zero, one = (self.reference_rewards(place, driver) for driver in ends)
        score = self.groups[place][arm].score
        if not len(zero) == len(one) == len(score) or (EQUILIBRIUM in ends and not (one > zero).all()):
            return None
        return normalised(score, zero, one)


@dataclass(frozen=True)
class Score:
    """One arm over all places where everybody has the same number of runs."""

    arm: str
    runs: int
    places: int
    score: Estimate
    """Interquartile mean of the normalised scores: 0 is random driving, 1 the shortest path."""
    first_better: Estimate | None
    """Probability that a run of the first arm beats one of this arm on the same map; None for the first arm."""


def scores(results: Results) -> list[Score]:
    """Empty where no arm is complete everywhere, or the references it is normalised with are missing."""
    found: dict[str, np.ndarray] = {}
    for arm in results.arms:
        columns = [results.normalised(place, arm) for place in results.groups if arm in results.groups[place]]
        whole = [column for column in columns if column is not None and not np.isnan(column).any()]
        if len(whole) == len(results.groups) and len({len(column) for column in whole}) == 1:
            found[arm] = np.stack(whole, axis=1)
    rows: list[Score] = []
    for arm, values in found.items():
        first = None if not rows else improvement_and_interval(found[rows[0].arm], values)
        rows.append(Score(arm, len(values), values.shape[1], iqm_and_interval(values), first))
    return rows


def read_results(
    question: str, arms: Sequence[str], runs: Sequence[Run], parent: Path, test_episodes: int, references: bool
) -> Results:
    """Read the folders of finished runs."""
    results = Results(question, arms, test_episodes)
    members: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        members.setdefault((run.place, run.arm), []).append(run)
        results.max_steps[run.place] = run.settings.environment.max_steps or PAPER_STEPS
    for (place, arm), group in members.items():
        folders = [parent / run.key for run in group]
        results.groups.setdefault(place, {})[arm] = _group(group, folders, test_episodes)
        if references:
            _add_references(results, place, group, parent)
    return results


def _group(runs: list[Run], folders: Sequence[Path], test_episodes: int) -> Group:
    metrics = [read_csv(folder / "metrics.csv") for folder in folders]
    timing = [read_csv(folder / "timing.csv") for folder in folders]
    tests = [_json(folder / tests_file(test_episodes))["driver"] for folder in folders] if test_episodes else []
    experts = [rows[-1]["expert_reward_mean"] for rows in metrics]
    plans = [row for folder in folders if (folder / PLAN).is_file() and (row := _json(folder / PLAN)["driver"])]
    return Group(
        runs,
        {name: _column(metrics, name) for name in (*OUTCOME, *INSIDE)},
        np.cumsum(_column(timing, "seconds"), axis=1),
        np.array([_json(folder / SUMMARY)["seconds"] for folder in folders]),
        np.array([float(reward) for reward in experts if reward]),
        np.array([row["rewards"] for row in tests]) if tests else None,
        np.array([row["arrival_rate"] for row in tests]) if tests else None,
        np.array([row["fleet"]["mean"] for row in tests]) if tests else None,
        np.array([row["fleet"]["mean"] for row in plans]) if len(plans) == len(runs) else None,
    )


def _add_references(results: Results, place: str, runs: Sequence[Run], parent: Path) -> None:
    """Once per place, from the first arm whose references are all there; the plan from the arm that made it."""
    known = results.references.setdefault(place, {})
    files = [parent / run.reference_key / REFERENCES for run in runs]
    if not known and all(file.is_file() for file in files):
        for file in files:
            for row in _json(file)["drivers"]:
                known.setdefault(row["driver"], []).append(row)
    plans = [parent / run.key / PLAN for run in runs]
    if PLAN_DRIVER not in known and all(file.is_file() for file in plans):
        rows = [row for file in plans if (row := _json(file)["driver"])]
        if len(rows) == len(plans):
            known[PLAN_DRIVER] = rows


def _column(metrics: Sequence[list[dict[str, str]]], name: str) -> np.ndarray:
    return np.array([[float(row[name] or "nan") for row in rows] for rows in metrics])


def _json(file: Path) -> dict[str, Any]:
    return read_json(file, "a file of an experiment's run")


# -- for others -------------------------------------------------------------------------------------------------------
def marl_eval(results: Results) -> dict[str, Any]:
    """The raw figures in the JSON form that marl-eval (Gorsane et al. 2022) plots and tests.

    environment -> task -> algorithm -> run -> step_1 ... step_k, absolute_metrics; here leed_route -> map -> arm ->
    seed. A step is a stretch of equally many training episodes, `step_count` the environment steps until its end, and a
    metric the list of its episodes' figures. marl-eval wants every list equally long and ten times that in
    absolute_metrics: the test runs of the final policies, else the last training episodes.
    """
    tasks = {
        place: {
            arm: {
                f"seed_{run.seed}": _marl_eval_run(group, k, results.max_steps[place])
                for k, run in enumerate(group.runs)
            }
            for arm, group in groups.items()
        }
        for place, groups in results.groups.items()
    }
    return {MARL_EVAL_ENVIRONMENT: tasks}


def _marl_eval_run(group: Group, run: int, max_steps: int) -> dict[str, Any]:
    curves = {metric: group.curves[column][run] for metric, column in MARL_EVAL_METRICS.items()}
    episodes = len(curves["mean_episode_return"])
    tests = 0 if group.tests is None else group.tests.shape[1]
    stretch = max(1, tests // 10 if tests else min(LAST, episodes) // 10)
    found: dict[str, Any] = {}
    for step in range(episodes // stretch):
        end = (step + 1) * stretch
        found[f"step_{step + 1}"] = {
            "step_count": end * max_steps,
            **{metric: curve[end - stretch : end].tolist() for metric, curve in curves.items()},
        }
    last = {metric: curve[-10 * stretch :].tolist() for metric, curve in curves.items()}
    if group.tests is not None and group.test_arrivals is not None:
        # One element stands for a figure over all test runs.
        last = {"mean_episode_return": group.tests[run].tolist(), "arrival_rate": [float(group.test_arrivals[run])]}
    return {**found, "absolute_metrics": last}
