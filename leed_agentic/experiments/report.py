"""What an experiment leaves behind: a table (Markdown, CSV), every curve as CSV, and one picture per map."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.experiments.experiment import Experiment, Run
from leed_agentic.experiments.statistics import (
    Estimate,
    curve_with_interval,
    mean_and_interval,
    smoothed,
    worst_fall,
)
from leed_agentic.learning.run_folder import package_versions, read_csv, write_text
from leed_agentic.roads.picture import COLOURS

LAST = 50
"""Episodes behind a final figure."""
SMOOTH = 20
"""Episodes of the trailing mean that a picture draws; the CSV files hold the raw curves."""


@dataclass(frozen=True)
class Row:
    """One arm on one map."""

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
    fall: float
    """Largest, over runs, share by which the last 100 episodes lie below the best 100 in a row."""
    seconds: Estimate


Curves = dict[str, np.ndarray]
"""Columns of metrics.csv of one arm on one map, each of shape (runs, episodes); NaN where a run has no figure."""

OUTCOME = {"reward_mean": "mean reward per agent", "arrival_rate": "share of agents that arrive"}
INSIDE = {
    "alpha_mean": "alpha of (8)",
    "expert_probability": "probability of the expert's action",
    "expert_advantage": "mean |A^e|, as chosen",
}
"""What a reader of (7) and (8) wants to see; without demonstrations there is nothing to show."""
SHARES = ("arrival_rate", "alpha_mean", "expert_probability")


def write_report(
    experiment: Experiment, runs: Sequence[Run], parent: Path, folder: Path, command: str
) -> tuple[list[Row], list[Path]]:
    """Read the finished runs' metrics and write table.md, table.csv, curves_<map>.csv and .png, manifest.json.

    Raises:
        UnavailableError: the folder cannot be written.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.map, run.arm), []).append(run)
    rows, files = [], []
    curves: dict[str, dict[str, Curves]] = {}
    for (place, arm), members in groups.items():
        name = Path(place).name.split(".")[0]
        metrics = [read_csv(parent / run.key / "metrics.csv") for run in members]
        curves.setdefault(name, {})[arm] = found = {c: _column(metrics, c) for c in (*OUTCOME, *INSIDE)}
        # Arms share seeds, and a seed is a scenario: taken in pairs, what differs between scenarios drops out.
        first = next(iter(curves[name].values()))
        paired = first if first is not found and len(first["reward_mean"]) == len(members) else None
        rows.append(_row(name, arm, found, paired, metrics, [parent / run.key for run in members]))
    write_text(folder / "table.md", markdown(experiment, rows))
    write_text(folder / "table.csv", _table_csv(rows))
    for name, arms in curves.items():
        write_text(folder / f"curves_{name}.csv", _curves_csv(arms))
        for kind, panels in (("curves", OUTCOME), ("inside", INSIDE)):
            files.append(folder / f"{kind}_{name}.png")
            draw(experiment, name, arms, panels, files[-1])
    manifest = {
        "experiment": experiment.name,
        "question": experiment.question,
        "command": command,
        "versions": package_versions(),
        "runs": [{"arm": r.arm, "map": r.map, "seed": r.seed, "folder": r.key} for r in runs],
    }
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return rows, [folder / "table.md", folder / "table.csv", *files, folder / "manifest.json"]


def _column(metrics: Sequence[list[dict[str, str]]], name: str) -> np.ndarray:
    return np.array([[float(row[name] or "nan") for row in rows] for rows in metrics])


def _row(
    place: str,
    arm: str,
    curves: Curves,
    first: Curves | None,
    metrics: Sequence[list[dict[str, str]]],
    folders: Sequence[Path],
) -> Row:
    reward = curves["reward_mean"]
    seconds = [json.loads((f / "summary.json").read_text(encoding="utf-8"))["seconds"] for f in folders]
    apart = reward - first["reward_mean"] if first else None
    expert = [float(rows[-1]["expert_reward_mean"]) for rows in metrics if rows[-1]["expert_reward_mean"]]
    return Row(
        map=place,
        arm=arm,
        runs=len(metrics),
        area=mean_and_interval(reward.mean(axis=1)),
        final=mean_and_interval(reward[:, -LAST:].mean(axis=1)),
        arrival=mean_and_interval(curves["arrival_rate"][:, -LAST:].mean(axis=1)),
        expert=mean_and_interval(np.array(expert)) if expert else None,
        area_apart=None if apart is None else mean_and_interval(apart.mean(axis=1)),
        final_apart=None if apart is None else mean_and_interval(apart[:, -LAST:].mean(axis=1)),
        fall=float(worst_fall(reward).max()),
        seconds=mean_and_interval(np.array(seconds)),
    )


def markdown(experiment: Experiment, rows: Sequence[Row]) -> str:
    """The table as Markdown, intervals in brackets."""
    lines = [
        f"# {experiment.question}",
        "",
        "Mean over seeds [95 % t interval]. Area: mean reward over all episodes. Final: the last 50. Fall: by how "
        "much, in the worst run, the last 100 episodes lie below the best 100 in a row. Apart: from the map's first "
        "arm, seed by seed.",
        "",
        "| map | arm | runs | area | apart | final reward | apart | arrived | demonstrations | fall | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        arrived = f"{100 * r.arrival.mean:.0f} %"
        if r.arrival.low is not None and r.arrival.high is not None:
            arrived += f" [{100 * r.arrival.low:.0f}, {100 * min(r.arrival.high, 1.0):.0f}]"
        expert = f"{r.expert.mean:.1f}" if r.expert else "-"
        lines.append(
            f"| {r.map} | {r.arm} | {r.runs} | {r.area} | {r.area_apart or '-'} | {r.final} | {r.final_apart or '-'} "
            f"| {arrived} | {expert} | {100 * r.fall:.0f} % | {r.seconds.mean:.0f} |"
        )
    return "\n".join(lines) + "\n"


def as_json(row: Row) -> dict[str, Any]:
    """One row for `--json`."""
    return asdict(row)


def _table_csv(rows: Sequence[Row]) -> str:
    names = ["map", "arm", "runs", "fall"]
    estimates = ["area", "area_apart", "final", "final_apart", "arrival", "expert", "seconds"]
    lines = [[*names, *(f"{e}{end}" for e in estimates for end in ("", "_low", "_high"))]]
    for row in rows:
        cells = [str(getattr(row, name)) for name in names]
        for name in estimates:
            estimate: Estimate | None = getattr(row, name)
            parts = (estimate.mean, estimate.low, estimate.high) if estimate else (None, None, None)
            cells += ["" if part is None else f"{part:.4f}" for part in parts]
        lines.append(cells)
    return _csv(lines)


def _curves_csv(arms: dict[str, Curves]) -> str:
    lines: list[list[str]] = [["arm", "episode", "reward_low", "reward_high", *OUTCOME, *INSIDE]]
    for arm, curves in arms.items():
        _, low, high = curve_with_interval(curves["reward_mean"])
        means = [values.mean(axis=0) for values in curves.values()]
        for k in range(len(low)):
            cells = ["" if np.isnan(v) else f"{v:.4g}" for v in (low[k], high[k], *(m[k] for m in means))]
            lines.append([arm, str(k), *cells])
    return _csv(lines)


def _csv(lines: list[list[str]]) -> str:
    import io

    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def draw(experiment: Experiment, place: str, arms: dict[str, Curves], panels: dict[str, str], file: Path) -> None:
    """Columns of metrics.csv over episodes, one panel each, one line per arm, with pointwise 95 % bands over seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels))
    for axis, (column, label) in zip(axes, panels.items(), strict=True):
        for colour, (arm, curves) in zip(COLOURS, arms.items(), strict=False):
            if np.isnan(curves[column]).all():
                continue
            mean, low, high = curve_with_interval(smoothed(curves[column], SMOOTH))
            axis.plot(mean, color=colour, label=arm, linewidth=1.6)
            axis.fill_between(range(len(mean)), low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set_xlabel("episode")
        axis.set_ylabel(label)
        axis.grid(alpha=0.25)
        if column in SHARES:
            axis.set_ylim(0, 1.02)
    axes[0].legend(frameon=False)
    runs = len(next(iter(arms.values()))["reward_mean"])
    figure.suptitle(f"{place}: {experiment.question} ({runs} seeds, trailing mean of {SMOOTH} episodes)", fontsize=10)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
