"""The experiment's raw figures in the JSON form that marl-eval (Gorsane et al. 2022) plots and tests.

environment -> task -> algorithm -> run -> step_1 ... step_k, absolute_metrics; here leed_route -> map -> arm -> seed.
A step is a stretch of equally many training episodes, `step_count` the environment steps until its end, and a metric
the list of its episodes' figures. marl-eval wants every list equally long and ten times that in absolute_metrics: the
test runs of the final policies, else the last training episodes.
"""

from __future__ import annotations

from typing import Any

from leed_agentic.experiments.results import LAST, Group, Results

ENVIRONMENT = "leed_route"
METRICS = {"mean_episode_return": "reward_mean", "arrival_rate": "arrival_rate"}
"""Its name there, and the column of metrics.csv."""


def export(results: Results) -> dict[str, Any]:
    """The whole object."""
    tasks = {
        place: {
            arm: {f"seed_{run.seed}": _run(group, k, results.max_steps[place]) for k, run in enumerate(group.runs)}
            for arm, group in groups.items()
        }
        for place, groups in results.groups.items()
    }
    return {ENVIRONMENT: tasks}


def _run(group: Group, run: int, max_steps: int) -> dict[str, Any]:
    curves = {metric: group.curves[column][run] for metric, column in METRICS.items()}
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
