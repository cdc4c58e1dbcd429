"""What an experiment leaves behind: tables, every curve as CSV, pictures, marl-eval's JSON and a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from leed_agentic.experiments import marl_eval, scores
from leed_agentic.experiments.evidence import INSIDE, LAST, OUTCOME, Evidence, Group, read_evidence
from leed_agentic.experiments.experiment import Experiment, Outcome, Run
from leed_agentic.experiments.manifest import manifest
from leed_agentic.experiments.picture import Line, Panel, csv_text, draw, panels_csv
from leed_agentic.experiments.statistics import (
    Estimate,
    curve_with_interval,
    iqm_and_interval,
    mean_and_interval,
    smoothed,
    worst_fall,
)
from leed_agentic.runs.files import write_text

SMOOTH = 20
"""Episodes of the trailing mean that a picture draws; the curves_*.csv files hold the raw curves."""
SHARES = ("arrival_rate", "alpha_mean", "expert_probability")


@dataclass(frozen=True)
class Row:
    """One arm in one place."""

    map: str
    arm: str
    runs: int
    area: Estimate
    """Mean reward over all episodes: the area under the curve, divided by their number."""
    final: Estimate
    """Mean reward of the last 50 episodes."""
    arrival: Estimate
    """Share of agents that arrived in the last 50 episodes."""
    expert: Estimate | None
    """Mean reward of the demonstrations at the end."""
    area_apart: Estimate | None
    """Area minus the first arm's on the same map, seed by seed; None for the first arm."""
    final_apart: Estimate | None
    gain: Estimate | None
    """Final reward on a scale where, in each run's own scenario, random driving is 0 and the shortest path 1; of the
    test runs where there are some; None without these two drivers."""
    fall: float
    """Largest, over runs, share by which the last 100 episodes lie below the best 100 in a row."""
    seconds: Estimate
    final_iqm: Estimate
    """Interquartile mean over runs of the mean reward of the last 50 episodes, with its bootstrap interval."""
    test_iqm: Estimate | None
    """The same of the final policies' test runs, where there are some."""


def write_report(
    experiment: Experiment,
    runs: Sequence[Run],
    parent: Path,
    folder: Path,
    command: str,
    failed: Mapping[str, str] | None = None,
) -> Outcome:
    """Read the finished runs and write every file; docs/experiments.md says what each is.

    Raises:
        UnavailableError: the folder cannot be written.
    """
    evidence = read_evidence(experiment, runs, parent)
    rows = rows_of(evidence)
    over_maps = scores.scores(evidence)
    text = markdown(experiment, rows) + _references_markdown(evidence) + scores.markdown(over_maps)
    texts = {
        "table.md": text,
        "table.csv": _table_csv(rows),
        "marl_eval.json": json.dumps(marl_eval.export(evidence)) + "\n",
        "manifest.json": json.dumps(manifest(experiment, runs, parent, command, failed or {}), indent=1) + "\n",
    }
    if evidence.references:
        texts["references.csv"] = _references_csv(evidence)
    if over_maps:
        texts["scores.csv"] = _scores_csv(over_maps)
    files, pictures = [folder / name for name in texts], []
    for name, content in texts.items():
        write_text(folder / name, content)
    if experiment.panels:
        panels = experiment.panels(evidence)
        write_text(folder / "figure.csv", panels_csv(panels))
        counts = sorted({len(group.runs) for arms in evidence.groups.values() for group in arms.values()})
        title = f"{experiment.question} ({' or '.join(map(str, counts))} seeds)"
        pictures += draw(panels, title, folder / "figure", len(evidence.groups) if len(panels) > 1 else 1)
        files.append(folder / "figure.csv")
    for place, arms in evidence.groups.items():
        write_text(folder / f"curves_{place}.csv", _curves_csv(arms))
        files.append(folder / f"curves_{place}.csv")
        for kind, columns in (("curves", OUTCOME), ("inside", INSIDE)):
            panels = [_curves_panel(arms, column, label) for column, label in columns.items()]
            if any(panel.lines for panel in panels):
                count = len(next(iter(arms.values())).runs)
                title = f"{place}: {experiment.question} ({count} seeds, trailing mean of {SMOOTH} episodes)"
                pictures += draw(panels, title, folder / f"{kind}_{place}", len(panels))
    data = {
        "rows": [asdict(row) for row in rows],
        "scores": [asdict(row) for row in over_maps],
        "references": evidence.references,
    }
    return Outcome(text, data, [*files, *pictures])


def rows_of(evidence: Evidence) -> list[Row]:
    """Every arm in every place."""
    return [row for place in evidence.groups for row in _rows(evidence, place)]


def _rows(evidence: Evidence, place: str) -> list[Row]:
    arms = evidence.groups[place]
    first = next(iter(arms.values()))
    # Arms share seeds, and a seed is a scenario: taken in pairs, what differs between scenarios drops out.
    return [
        _row(
            place,
            arm,
            group,
            first if group is not first and len(first.runs) == len(group.runs) else None,
            evidence.normalised(place, arm),
        )
        for arm, group in arms.items()
    ]


def _row(place: str, arm: str, group: Group, first: Group | None, normalised: np.ndarray | None) -> Row:
    reward = group.curves["reward_mean"]
    apart = reward - first.curves["reward_mean"] if first else None
    return Row(
        map=place,
        arm=arm,
        runs=len(group.runs),
        area=mean_and_interval(reward.mean(axis=1)),
        final=mean_and_interval(group.final),
        arrival=mean_and_interval(group.curves["arrival_rate"][:, -LAST:].mean(axis=1)),
        expert=mean_and_interval(group.expert_rewards) if len(group.expert_rewards) else None,
        area_apart=None if apart is None else mean_and_interval(apart.mean(axis=1)),
        final_apart=None if apart is None else mean_and_interval(apart[:, -LAST:].mean(axis=1)),
        gain=None if normalised is None else mean_and_interval(normalised),
        fall=float(worst_fall(reward).max()),
        seconds=mean_and_interval(group.whole_seconds),
        final_iqm=iqm_and_interval(group.final),
        test_iqm=None if group.tests is None else iqm_and_interval(group.score),
    )


def markdown(experiment: Experiment, rows: Sequence[Row]) -> str:
    """The table as Markdown, intervals in brackets."""
    tested, scaled = any(r.test_iqm for r in rows), any(r.gain for r in rows)
    lines = [
        f"# {experiment.question}",
        "",
        "Mean over seeds [95 % t interval]. Area: mean reward over all episodes. Final: the last 50. Fall: by how "
        "much, in the worst run, the last 100 episodes lie below the best 100 in a row. Apart: from the map's first "
        "arm, seed by seed. IQM: interquartile mean of the final rewards [95 % bootstrap interval]."
        + (
            " Gain: final reward (test runs, where there are some) where random driving is 0 and the shortest path 1."
            * scaled
        )
        + (f" Test: the same over {experiment.test_episodes} test runs of each final model." if tested else ""),
        "",
        "| map | arm | runs | area | apart | final reward | apart | arrived | demonstrations | fall | seconds "
        "| final IQM |" + " gain |" * scaled + " test IQM |" * tested,
        "|---|---|---|---|---|---|---|---|---|---|---|---|" + "---|" * (scaled + tested),
    ]
    for r in rows:
        arrived = f"{100 * r.arrival.mean:.0f} %"
        if r.arrival.low is not None and r.arrival.high is not None:
            arrived += f" [{100 * max(r.arrival.low, 0.0):.0f}, {100 * min(r.arrival.high, 1.0):.0f}]"
        expert = f"{r.expert.mean:.1f}" if r.expert else "-"
        lines.append(
            f"| {r.map} | {r.arm} | {r.runs} | {r.area} | {r.area_apart or '-'} | {r.final} | {r.final_apart or '-'} "
            f"| {arrived} | {expert} | {100 * r.fall:.0f} % | {r.seconds.mean:.0f} | {r.final_iqm} |"
            + (f" {r.gain.to(2) if r.gain else '-'} |" if scaled else "")
            + (f" {r.test_iqm or '-'} |" if tested else "")
        )
    return "\n".join(lines) + "\n"


def _references_markdown(evidence: Evidence) -> str:
    """Drivers that learn nothing, as mean over seeds."""
    lines = ["", "## Drivers that learn nothing", "", "| map | driver | reward | arrived |", "|---|---|---|---|"]
    count = len(lines)
    for place, drivers in evidence.references.items():
        for driver, rows in drivers.items():
            reward = mean_and_interval(evidence.reference_rewards(place, driver))
            arrived = np.mean([row["arrival_rate"] for row in rows])
            # A plan's row says who made it.
            lines.append(f"| {place} | {rows[0]['driver']} | {reward} | {100 * arrived:.0f} % |")
    return "\n".join(lines) + "\n" if len(lines) > count else ""


def _references_csv(evidence: Evidence) -> str:
    lines = [["map", "driver", "seed_number", "reward_mean", "arrival_rate", "travel_seconds_mean", "teleports"]]
    for place, drivers in evidence.references.items():
        for driver, rows in drivers.items():
            for number, row in enumerate(rows):
                seconds = row["travel_seconds_mean"]
                figures = [f"{row['reward_mean']:.4f}", f"{row['arrival_rate']:.4f}"]
                figures += ["" if seconds is None else f"{seconds:.2f}", str(row["teleports"])]
                lines.append([place, driver, str(number), *figures])
    return csv_text(lines)


def _scores_csv(rows: Sequence[scores.Score]) -> str:
    lines = [
        ["arm", "runs", "maps", "iqm", "iqm_low", "iqm_high", "first_better", "first_better_low", "first_better_high"]
    ]
    for row in rows:
        cells = [*_cells(row.score), *_cells(row.first_better)]
        lines.append([row.arm, str(row.runs), str(row.places), *cells])
    return csv_text(lines)


def _table_csv(rows: Sequence[Row]) -> str:
    names = ["map", "arm", "runs", "fall"]
    estimates = [
        "area",
        "area_apart",
        "final",
        "final_apart",
        "arrival",
        "expert",
        "seconds",
        "final_iqm",
        "gain",
        "test_iqm",
    ]
    lines = [[*names, *(f"{e}{end}" for e in estimates for end in ("", "_low", "_high"))]]
    for row in rows:
        cells = [str(getattr(row, name)) for name in names]
        for name in estimates:
            cells += _cells(getattr(row, name))
        lines.append(cells)
    return csv_text(lines)


def _cells(estimate: Estimate | None) -> list[str]:
    parts = (estimate.mean, estimate.low, estimate.high) if estimate else (None, None, None)
    return ["" if part is None else f"{part:.4f}" for part in parts]


def _curves_csv(arms: Mapping[str, Group]) -> str:
    lines: list[list[str]] = [["arm", "episode", "reward_low", "reward_high", *OUTCOME, *INSIDE]]
    for arm, group in arms.items():
        _, low, high = curve_with_interval(group.curves["reward_mean"])
        means = [values.mean(axis=0) for values in group.curves.values()]
        for k in range(len(low)):
            bounds = (low[k], high[k]) if len(group.runs) > 1 else (np.nan, np.nan)
            cells = ["" if np.isnan(v) else f"{v:.4g}" for v in (*bounds, *(m[k] for m in means))]
            lines.append([arm, str(k), *cells])
    return csv_text(lines)


def _curves_panel(arms: Mapping[str, Group], column: str, label: str) -> Panel:
    """A column of metrics.csv over episodes, with pointwise 95 % bands over seeds."""
    lines = []
    for arm, group in arms.items():
        if not np.isnan(group.curves[column]).all():
            mean, low, high = curve_with_interval(smoothed(group.curves[column], SMOOTH))
            band = (low, high) if len(group.runs) > 1 else (None, None)
            lines.append(Line(arm, np.arange(len(mean)), mean, *band))
    return Panel("", "episode", label, lines, share=column in SHARES)
