"""What an experiment leaves behind: tables, every curve as CSV, pictures, marl-eval's JSON and a manifest."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
from typing_extensions import TypedDict

from leed_agentic.errors import UsageError
from leed_agentic.experiments.picture import Line, Panel, draw, panels_csv
from leed_agentic.experiments.results import INSIDE, LAST, OUTCOME, Group, Results, Score, marl_eval, scores
from leed_agentic.experiments.statistics import Estimate, curve_with_interval, mean_and_interval, smoothed, worst_fall
from leed_agentic.experiments.table import (
    INTERVALS,
    Figure,
    cells,
    csv_text,
    figures_json,
    heads,
    markdown_table,
    number,
    read_estimate,
)
from leed_agentic.learning.metrics import METRICS, Metric
from leed_agentic.runs.files import write_json, write_text
from leed_agentic.runs.log import read_csv
from leed_agentic.runs.record import Versions, record
from leed_agentic.versions import package_versions

SMOOTH = 20
"""Episodes of the trailing mean that a picture draws; the curves_*.csv files hold the raw curves."""
MEASURED = {metric.name: metric for metric in METRICS}

FIGURES = {
    "area": Figure("area"),
    "area_apart": Figure("apart"),
    "final": Figure("final reward"),
    "final_apart": Figure("apart"),
    "arrival": Figure("arrived", 0, "share"),
    "expert": Figure("demonstrations"),
    "seconds": Figure("seconds", 0),
    "final_iqm": Figure("final IQM", kind="iqm"),
    "gain": Figure("gain", 2),
    "test_iqm": Figure("test IQM", kind="iqm"),
    "test_time": Figure("fleet's seconds"),
    "plan_time": Figure("demonstrations' seconds"),
    "time_ratio": Figure("ratio", 3),
}
WITHOUT_INTERVAL = ("expert", "seconds")
"""In the table for people; the CSV has it."""
ONLY_WHERE_KNOWN = ("final_iqm", "gain", "test_iqm", "test_time", "plan_time", "time_ratio")
EXPLAINED = (
    f"Mean over seeds [{INTERVALS}]. Area: mean reward over all episodes. Final: the last {LAST}. Fall: by how much, "
    "in the worst run, the last 100 episodes lie below the best 100 in a row. Apart: from the map's first arm, seed by "
    "seed. IQM: interquartile mean of the final rewards. Gain: final reward (test runs, where there are some) where "
    "random driving is 0 and the shortest path 1. Test: IQM over the test runs of each final model. Fleet's seconds: "
    "mean travel time in them; demonstrations' seconds: of the plan that a run learned from last, driven alone; ratio: "
    "of the two, run by run."
)


@dataclass(frozen=True)
class Outcome:
    """What an experiment shows for itself."""

    text: str
    """Markdown."""
    data: dict[str, Any]
    """For `--json`."""
    files: list[Path]


@dataclass(frozen=True)
class Row:
    """One arm in one place."""

    map: str
    arm: str
    runs: int
    fall: float
    """Largest, over runs, share by which the last 100 episodes lie below the best 100 in a row."""
    figures: Mapping[str, Estimate | None]
    """By the names of FIGURES. `*_apart` are differences from the first arm on the same map, seed by seed."""

    def as_json(self) -> dict[str, Any]:
        head = {"map": self.map, "arm": self.arm, "runs": self.runs, "fall": self.fall}
        return {**head, **figures_json(self.figures)}


# -- everything that is written ----------------------------------------------------------------------------------------
def write_report(results: Results, panels: Sequence[Panel] | None, folder: Path, about: Manifest) -> Outcome:
    """Write every file; docs/experiments.md says what each is.

    Args:
        panels: the picture in the paper's arrangement; None: there is none.
        about: the manifest.

    Raises:
        UnwritableError: the folder cannot be written.
    """
    rows, over_maps = rows_of(results), scores(results)
    texts = {
        "table.md": markdown(results.question, rows) + _references_markdown(results) + scores_markdown(over_maps),
        "table.csv": table_csv(rows),
        "marl_eval.json": json.dumps(marl_eval(results)) + "\n",
    }
    if results.references:
        texts["references.csv"] = _references_csv(results)
    if over_maps:
        texts["scores.csv"] = _scores_csv(over_maps)
    if panels is not None:
        texts["figure.csv"] = panels_csv(panels)
    texts |= {f"curves_{place}.csv": _curves_csv(arms) for place, arms in results.groups.items()}
    for name, content in texts.items():
        write_text(folder / name, content)
    write_json(folder / "manifest.json", about)
    files = [*(folder / name for name in texts), folder / "manifest.json", *_pictures(results, panels, folder)]
    data = {
        "rows": [row.as_json() for row in rows],
        "scores": [asdict(row) for row in over_maps],
        "references": results.references,
    }
    return Outcome(texts["table.md"], data, files)


class ExperimentRun(TypedDict):
    """One run of the experiment."""

    map: str
    seed: int
    folder: str
    """Below runs/."""
    arm: NotRequired[str]
    """What it stands for; table2 has no arms."""
    agents: NotRequired[int]
    """table2 leaves it out."""


@record
class Manifest(TypedDict):
    """The command and all that the report was made of; table2 leaves out what is about training."""

    experiment: str
    question: str
    command: str
    versions: Versions
    python: str
    seeds: list[int]
    runs: list[ExperimentRun]
    arms: NotRequired[dict[str, dict[str, Any]]]
    """Label to the settings that make it, by dotted name."""
    versions_of_runs: NotRequired[list[Versions]]
    """Of runs made at other times."""
    references: NotRequired[list[str]]
    """Folders of the drivers that learn nothing."""
    failed: dict[str, str]
    """Run to the sentence of its failure."""


def manifest(
    experiment: str,
    question: str,
    command: str,
    seeds: Iterable[int],
    runs: list[ExperimentRun],
    failed: Mapping[str, str],
) -> Manifest:
    """What a report says of its own making."""
    return {
        "experiment": experiment,
        "question": question,
        "command": command,
        "versions": package_versions(),
        "python": platform.python_version(),
        "seeds": sorted(set(seeds)),
        "runs": runs,
        "failed": dict(failed),
    }


# -- rows --------------------------------------------------------------------------------------------------------------
def rows_of(results: Results) -> list[Row]:
    """Every arm in every place."""
    rows = []
    for place, arms in results.groups.items():
        first = next(iter(arms.values()))
        for arm, group in arms.items():
            # Arms share seeds, and a seed is a scenario: taken in pairs, what differs between scenarios drops out.
            paired = group is not first and len(first.runs) == len(group.runs)
            rows.append(_row(place, arm, group, first if paired else None, results.normalised(place, arm)))
    return rows


def _row(place: str, arm: str, group: Group, first: Group | None, normalised: np.ndarray | None) -> Row:
    reward = group.curves["reward_mean"]
    apart = reward - first.curves["reward_mean"] if first else np.empty((0, 1))
    none = np.empty(0)
    values = {
        "area": reward.mean(axis=1),
        "area_apart": apart.mean(axis=1),
        "final": group.final,
        "final_apart": apart[:, -LAST:].mean(axis=1),
        "arrival": group.curves["arrival_rate"][:, -LAST:].mean(axis=1),
        "expert": group.expert_rewards,
        "seconds": group.whole_seconds,
        "final_iqm": group.final,
        "gain": none if normalised is None else normalised,
        "test_iqm": none if group.tests is None else group.score,
        "test_time": _given(group.test_times),
        # Only beside those of a fleet that learned from it.
        "plan_time": none if group.test_times is None else _given(group.plan_times),
        "time_ratio": _given(_ratio(group.test_times, group.plan_times)),
    }
    figures = {name: figure.estimate(values[name]) for name, figure in FIGURES.items()}
    return Row(place, arm, len(group.runs), float(worst_fall(reward).max()), figures)


def _given(values: np.ndarray | None) -> np.ndarray:
    return np.empty(0) if values is None else values


def _ratio(times: np.ndarray | None, of: np.ndarray | None) -> np.ndarray | None:
    return None if times is None or of is None else times / of


def markdown(question: str, rows: Sequence[Row]) -> str:
    """The table as Markdown, intervals in brackets."""
    names = [n for n in FIGURES if n not in ONLY_WHERE_KNOWN or any(row.figures.get(n) for row in rows)]
    split = names.index("seconds")
    titles = [FIGURES[name].title for name in names]
    header = ["map", "arm", "runs", *titles[:split], "fall", *titles[split:]]
    lines = []
    for row in rows:
        texts = [FIGURES[n].cell(row.figures.get(n), interval=n not in WITHOUT_INTERVAL) for n in names]
        fall = f"{100 * row.fall:.0f} %"
        lines.append([row.map, row.arm, str(row.runs), *texts[:split], fall, *texts[split:]])
    return "\n".join([f"# {question}", "", EXPLAINED, "", *markdown_table(header, lines)]) + "\n"


def table_csv(rows: Sequence[Row]) -> str:
    """Every figure of every row, with its interval; empty where there is none."""
    lines = [["map", "arm", "runs", "fall", *heads(FIGURES)]]
    for row in rows:
        estimates = (row.figures.get(name) for name in FIGURES)
        lines.append([row.map, row.arm, str(row.runs), number(row.fall), *cells(estimates)])
    return csv_text(lines)


def rewrite(folder: Path) -> list[Path]:
    """Write table.md and table.csv again from table.csv: means stay, shares get the interval of shares.

    Raises:
        UsageError: the folder holds no report of training runs.
    """
    table, text = folder / "table.csv", folder / "table.md"
    try:
        rows = [_read_row(row) for row in read_csv(table)]
        question, _, rest = text.read_text(encoding="utf-8").removeprefix("# ").partition("\n")
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"{folder} holds no report that can be read ({error}); run the experiment again.") from error
    if not rows:
        raise UsageError(f"{table} is missing or empty; give the folder of a report.")
    start = rest.find("\n## ")
    write_text(table, table_csv(rows))
    write_text(text, markdown(question, rows) + (rest[start:] if start >= 0 else ""))
    return [table, text]


def _read_row(row: Mapping[str, str]) -> Row:
    runs = int(row["runs"])
    figures = {name: read_estimate(row, name) for name in FIGURES}
    for name, figure in FIGURES.items():
        known = figures[name]
        if figure.share and known is not None:
            # Wilson's interval is that of the mean and the number of runs, which is all that is left of them.
            figures[name] = figure.estimate([known.mean] * runs)
    return Row(row["map"], row["arm"], runs, float(row["fall"]), figures)


# -- drivers and scores ------------------------------------------------------------------------------------------------
def _references_markdown(results: Results) -> str:
    """Drivers that learn nothing, as mean over seeds."""
    lines = []
    for place, drivers in results.references.items():
        for driver, rows in drivers.items():
            reward = mean_and_interval(results.reference_rewards(place, driver))
            arrived = np.mean([row["arrival_rate"] for row in rows])
            # A plan's row says who made it.
            lines.append([place, rows[0]["driver"], str(reward), f"{100 * arrived:.0f} %"])
    table = markdown_table(["map", "driver", "reward", "arrived"], lines)
    return "\n".join(["", "## Drivers that learn nothing", "", *table]) + "\n" if lines else ""


def _references_csv(results: Results) -> str:
    lines = [["map", "driver", "seed_number", "reward_mean", "arrival_rate", "travel_seconds_mean", "teleports"]]
    for place, drivers in results.references.items():
        for driver, rows in drivers.items():
            for k, row in enumerate(rows):
                figures = (row[name] for name in lines[0][3:])
                lines.append([place, driver, str(k), *(number(figure) for figure in figures)])
    return csv_text(lines)


def scores_markdown(rows: Sequence[Score]) -> str:
    """A section of the report; empty without rows."""
    if not rows:
        return ""
    first = rows[0].arm
    lines = [
        [r.arm, str(r.runs), str(r.places), r.score.to(3), r.first_better.to(2) if r.first_better else "-"]
        for r in rows
    ]
    text = [
        "",
        f"## Over {'all maps' if rows[0].places > 1 else 'the map'}, normalised",
        "",
        "Interquartile mean over runs and maps [95 % stratified bootstrap interval]; in each run's own scenario random "
        f"driving is 0 and the shortest path 1. Last column: probability that a run of {first} beats one of this arm.",
        "",
        *markdown_table(["arm", "runs", "maps", "score", f"{first} better"], lines),
    ]
    return "\n".join(text) + "\n"


def _scores_csv(rows: Sequence[Score]) -> str:
    lines = [["arm", "runs", "maps", *heads(["iqm", "first_better"])]]
    lines += [[r.arm, str(r.runs), str(r.places), *cells([r.score, r.first_better])] for r in rows]
    return csv_text(lines)


# -- curves ------------------------------------------------------------------------------------------------------------
def _curves_csv(arms: Mapping[str, Group]) -> str:
    lines: list[list[str]] = [["arm", "episode", "reward_low", "reward_high", *OUTCOME, *INSIDE]]
    for arm, group in arms.items():
        _, low, high = curve_with_interval(group.curves["reward_mean"])
        means = [values.mean(axis=0) for values in group.curves.values()]
        for k in range(len(low)):
            bounds = (low[k], high[k]) if len(group.runs) > 1 else (np.nan, np.nan)
            figures = ["" if np.isnan(v) else f"{v:.4g}" for v in (*bounds, *(m[k] for m in means))]
            lines.append([arm, str(k), *figures])
    return csv_text(lines)


def _pictures(results: Results, panels: Sequence[Panel] | None, folder: Path) -> list[Path]:
    made = []
    if panels is not None:
        counts = sorted({len(group.runs) for arms in results.groups.values() for group in arms.values()})
        title = f"{results.question} ({' or '.join(map(str, counts))} seeds)"
        made += draw(panels, title, folder / "figure", len(results.groups) if len(panels) > 1 else 1)
    for place, arms in results.groups.items():
        for kind, columns in (("curves", OUTCOME), ("inside", INSIDE)):
            lines = [_curves_panel(arms, MEASURED[column]) for column in columns]
            if any(panel.lines for panel in lines):
                count = len(next(iter(arms.values())).runs)
                title = f"{place}: {results.question} ({count} seeds, trailing mean of {SMOOTH} episodes)"
                made += draw(lines, title, folder / f"{kind}_{place}", len(lines))
    return made


def _curves_panel(arms: Mapping[str, Group], metric: Metric) -> Panel:
    """A column of metrics.csv over episodes, with pointwise 95 % bands over seeds; of agents' arrivals Wilson's."""
    lines = []
    for arm, group in arms.items():
        if not np.isnan(group.curves[metric.name]).all():
            curves = smoothed(group.curves[metric.name], SMOOTH)
            mean, low, high = curve_with_interval(curves, share=metric.name == "arrival_rate")
            band = (low, high) if len(group.runs) > 1 else (None, None)
            lines.append(Line(arm, np.arange(len(mean)), mean, *band))
    return Panel("", "episode", metric.label, lines, share=metric.share)
