"""Table II: quality of demonstrations at the initial prompt and after 5 and 10 refinements, 10 prompts x 10 agents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.experiments.choices import LONG_TRIPS
from leed_agentic.experiments.experiment import (
    REFERENCE_EPISODES,
    TWO_MAPS,
    Arm,
    Experiment,
    Outcome,
    Part,
    Request,
    Run,
    register,
)
from leed_agentic.experiments.picture import Line, Panel, csv_text, draw, panels_csv
from leed_agentic.experiments.statistics import Estimate, mean_and_interval
from leed_agentic.experiments.task import QUALITY, REFERENCES, Task

COLUMNS = {
    "prompt_tokens": "prompt tokens",
    "validity": "valid routes",
    "validity_reply": "valid in the last reply",
    "reward": "reward",
    "dtw": "DTW to the agents, m",
    "plans": "plans made",
}
SHARES = ("validity", "validity_reply")
PAPER = (
    "| paper (Orlando, GPT-3.5), 0 | 3680 | 74 % | | 478.42 | 189.91 | |",
    "| paper, 5 | 4645 | 82 % | | 495.05 | 50.53 | |",
    "| paper, 10 | 7576 | 100 % | | 503.26 | 41.25 | |",
)


@dataclass(frozen=True)
class Stage:
    """All prompts of one place after so many refinements."""

    map: str
    refinements: int
    prompts: int
    figures: Mapping[str, Estimate | None]
    """Mean over prompts [95 % t interval]; None where no prompt has the figure."""


@dataclass(frozen=True)
class Table2:
    """A prompt is a seed: its scenario is what the prompt is about."""

    name: str = "table2"
    question: str = "Quality of demonstrations after refinements"
    maps: tuple[str, ...] = TWO_MAPS[:1]
    seeds: int = 10

    @property
    def compared(self) -> list[str]:
        return ["0, 5 and 10 refinements"]

    def parts(self, request: Request) -> list[tuple[Part, Request]]:
        if request.arms:
            raise UsageError("table2 compares refinements of one source and has no arms; leave --arm out.")
        return [(self, request)]

    def prompts(self, request: Request) -> list[Run]:
        """One per place and seed."""
        arms = (Arm("demonstrations", {}),)
        return Experiment(self.name, self.question, arms, self.maps, LONG_TRIPS, self.seeds).runs(request)

    def tasks(self, request: Request) -> list[Task]:
        tasks = []
        for run in self.prompts(request):
            where = f"{run.place}, seed {run.seed}"
            extras = {"policy_episodes": request.policy_episodes}
            tasks.append(Task(f"demonstrations, {where}", _key(run, request), "quality", run.settings, extras))
            extras = {"episodes": REFERENCE_EPISODES}
            tasks.append(Task(f"references, {where}", run.reference_key, "references", run.settings, extras))
        return tasks

    def report(
        self, request: Request, failed: Mapping[str, str], parent: Path, folder: Path, command: str
    ) -> Outcome | None:
        from leed_agentic.experiments.manifest import versions
        from leed_agentic.runs.files import write_text

        found: dict[str, list[dict[str, Any]]] = {}
        rewards: dict[str, dict[str, list[float]]] = {}
        runs = [run for run in self.prompts(request) if _key(run, request) not in failed]
        for run in runs:
            found.setdefault(run.place, []).append(_json(parent / _key(run, request) / QUALITY))
            if (file := parent / run.reference_key / REFERENCES).is_file():
                for row in _json(file)["drivers"]:
                    rewards.setdefault(run.place, {}).setdefault(row["driver"], []).append(row["reward_mean"])
        if not found:
            return None
        stages = [stage for place, members in found.items() for stage in _stages(place, members)]
        texts = {
            "table.md": self._markdown(stages, found, rewards),
            "table.csv": _table_csv(stages),
            "prompts.csv": _prompts_csv(runs, found),
            "manifest.json": json.dumps(
                {
                    "experiment": self.name,
                    "question": self.question,
                    "command": command,
                    **versions(),
                    "seeds": sorted({run.seed for run in runs}),
                    "runs": [{"map": r.map, "seed": r.seed, "folder": _key(r, request)} for r in runs],
                    "failed": dict(failed),
                },
                indent=1,
            )
            + "\n",
        }
        panels = [_panel(stages, rewards, name) for name in ("validity", "reward", "dtw")]
        texts["figure.csv"] = panels_csv(panels)
        for name, content in texts.items():
            write_text(folder / name, content)
        pictures = draw(panels, self.question, folder / "figure", len(panels))
        data = {
            "rows": [_as_json(stage) for stage in stages],
            "references": {p: {d: float(np.mean(r)) for d, r in drivers.items()} for p, drivers in rewards.items()},
        }
        return Outcome(texts["table.md"], data, [*(folder / name for name in texts), *pictures])

    def _markdown(
        self,
        stages: Sequence[Stage],
        found: Mapping[str, Sequence[Mapping[str, Any]]],
        rewards: Mapping[str, Mapping[str, Sequence[float]]],
    ) -> str:
        any_ = next(iter(found.values()))[0]
        trained = any_["policy_episodes"]
        policy = f"independent PPO after {trained} episodes" if trained else "untrained policies"
        lines = [
            f"# {self.question}",
            "",
            f"Model: {any_['model']}. Mean over prompts [95 % t interval]; a prompt is a scenario of {any_['agents']} "
            f"agents. A route that could not be read or driven counts as invalid. Reward and DTW: of the routes kept "
            f"so far; DTW to {policy}. Prompt tokens: of the last plan. A prompt with nothing left to refine keeps its "
            "figures.",
            "",
            f"| refinements | {' | '.join(COLUMNS.values())} |",
            "|---" * (len(COLUMNS) + 1) + "|",
        ]
        for stage in stages:
            cells = [_cell(name, stage.figures[name]) for name in COLUMNS]
            lines.append(f"| {stage.map}, {stage.prompts} prompts, {stage.refinements} | {' | '.join(cells)} |")
        lines += [*PAPER, "", "| in the same scenarios | reward |", "|---|---|"]
        for place, drivers in rewards.items():
            lines += [f"| {place}, {name} | {mean_and_interval(np.array(r))} |" for name, r in drivers.items()]
        return "\n".join(lines) + "\n"


def _key(run: Run, request: Request) -> str:
    content: dict[str, Any] = {"model": run.settings.model.model_dump(mode="json")}
    content |= {"demonstration": run.settings.demonstration.model_dump(mode="json", exclude={"rounds"})}
    content |= {"world": run.reference_key, "policy_episodes": request.policy_episodes}
    content |= {"learning": run.settings.learning.model_dump(mode="json") if request.policy_episodes else None}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
    return f"{run.reference_key.split('_references_')[0]}_quality_s{run.seed}_{digest}"


def _stages(place: str, members: Sequence[Mapping[str, Any]]) -> list[Stage]:
    stages = []
    for number, stage in enumerate(members[0]["stages"]):
        rows = [member["stages"][number] for member in members]
        figures = {name: _estimate([row[name] for row in rows], name.startswith("validity")) for name in COLUMNS}
        stages.append(Stage(place, stage["refinements"], len(rows), figures))
    return stages


def _estimate(values: Sequence[float | None], is_share: bool) -> Estimate | None:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return None
    found = mean_and_interval(known)
    if is_share and found.low is not None and found.high is not None:
        return Estimate(found.mean, max(found.low, 0.0), min(found.high, 1.0))
    return found


def _cell(name: str, estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if name in SHARES:
        return f"{100 * estimate.mean:.0f} %"
    return str(estimate) if name != "prompt_tokens" else f"{estimate.mean:.0f}"


def _panel(stages: Sequence[Stage], rewards: Mapping[str, Mapping[str, Sequence[float]]], name: str) -> Panel:
    lines = []
    for place in dict.fromkeys(stage.map for stage in stages):
        known = [(s.refinements, e) for s in stages if s.map == place and (e := s.figures[name]) is not None]
        if not known:
            continue
        x, y = np.array([n for n, _ in known]), np.array([e.mean for _, e in known])
        low, high = ([getattr(e, end) for _, e in known] for end in ("low", "high"))
        bounds = (None, None) if None in low or None in high else (np.array(low), np.array(high))
        lines.append(Line(place, x, y, *bounds))
        if name == "reward":
            for driver, found in rewards.get(place, {}).items():
                level = np.array([np.mean(found)])
                lines.append(Line(f"{driver}, {place}", np.array([np.nan]), level, reference=True))
    ticks = sorted({stage.refinements for stage in stages})
    return Panel("", "refinements", COLUMNS[name], lines, share=name == "validity", points=True, ticks=ticks)


def _table_csv(stages: Sequence[Stage]) -> str:
    lines = [["map", "refinements", "prompts", *(f"{c}{end}" for c in COLUMNS for end in ("", "_low", "_high"))]]
    for stage in stages:
        cells = [stage.map, str(stage.refinements), str(stage.prompts)]
        for name in COLUMNS:
            e = stage.figures[name]
            cells += ["" if v is None else f"{v:.4f}" for v in ((e.mean, e.low, e.high) if e else (None,) * 3)]
        lines.append(cells)
    return csv_text(lines)


def _prompts_csv(runs: Sequence[Run], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Every prompt at every stage."""
    lines = [["map", "seed", "refinements", *COLUMNS, "problem"]]
    for place, members in found.items():
        seeds = [run.seed for run in runs if run.place == place]
        for seed, member in zip(seeds, members, strict=True):
            for stage in member["stages"]:
                cells = ["" if stage[name] is None else f"{stage[name]:.6g}" for name in COLUMNS]
                lines.append([place, str(seed), str(stage["refinements"]), *cells, member["problem"] or ""])
    return csv_text(lines)


def _as_json(stage: Stage) -> dict[str, Any]:
    figures = {name: None if e is None else vars(e) for name, e in stage.figures.items()}
    return {"map": stage.map, "refinements": stage.refinements, "prompts": stage.prompts, **figures}


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


register(Table2())
