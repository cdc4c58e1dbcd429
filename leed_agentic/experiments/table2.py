"""Table II: quality of demonstrations at the initial prompt and after 5 and 10 refinements, 10 prompts x 10 agents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.experiments.experiment import TWO_MAPS, Experiment, Member, references_task
from leed_agentic.experiments.picture import Line, Panel, draw, panels_csv, read_panels
from leed_agentic.experiments.report import ExperimentRun, Outcome, manifest
from leed_agentic.experiments.run import Arm, Request, Run, demonstration_content, model_content, world_content
from leed_agentic.experiments.statistics import Estimate, mean_and_interval
from leed_agentic.experiments.table import (
    INTERVALS,
    Figure,
    cells,
    csv_text,
    figures_json,
    heads,
    markdown_table,
    number,
)
from leed_agentic.experiments.task import REFERENCES, REFINEMENT, Task, read_stages, stages_file
from leed_agentic.runs.files import read_json, write_json, write_text
from leed_agentic.runs.log import read_csv

LONG_TRIPS = {"scenario.min_trip_share": 0.6}
REFINEMENTS = (0, 5, 10)
"""After which the paper measures."""
FIGURES = {
    "prompt_tokens": Figure("prompt tokens", 0, signed=False),
    "validity": Figure("valid routes", 0, "share"),
    "validity_reply": Figure("valid in the last reply", 0, "share"),
    "reward": Figure("reward"),
    "dtw": Figure("DTW to the agents, m", signed=False),
    "plans": Figure("plans made", signed=False),
}
DRAWN = ("validity", "reward", "dtw")
PAPER = (
    ("paper (Orlando, GPT-3.5), 0", "3680", "74 %", "", "478.42", "189.91", ""),
    ("paper, 5", "4645", "82 %", "", "495.05", "50.53", ""),
    ("paper, 10", "7576", "100 %", "", "503.26", "41.25", ""),
)

Rewards = Mapping[str, Mapping[str, Sequence[float]]]
"""Place, driver that learns nothing: its reward in each scenario."""


@dataclass(frozen=True)
class Stage:
    """All prompts of one place after so many refinements."""

    map: str
    refinements: int
    prompts: int
    figures: Mapping[str, Estimate | None]
    """Over prompts; None where no prompt has the figure."""

    def as_json(self) -> dict[str, Any]:
        head = {"map": self.map, "refinements": self.refinements, "prompts": self.prompts}
        return {**head, **figures_json(self.figures)}


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

    def members(self, request: Request) -> list[tuple[Member, Request]]:
        if request.arms:
            raise UsageError("table2 compares refinements of one source and has no arms; leave --arm out.")
        return [(self, request)]

    def prompts(self, request: Request) -> list[Run]:
        """One per place and seed."""
        arms = (Arm("demonstrations", {}),)
        return Experiment(self.name, self.question, arms, self.maps, LONG_TRIPS, self.seeds).runs(request)

    def tasks(self, request: Request) -> list[Task]:
        extras = {"rounds": list(REFINEMENTS), "record": "auto", "policy_episodes": request.policy_episodes}
        tasks = []
        for run in self.prompts(request):
            label = f"demonstrations, {run.place}, seed {run.seed}"
            tasks.append(Task(label, _key(run, request), REFINEMENT, run.settings, extras))
            tasks.append(references_task(run))
        return tasks

    def report(
        self, request: Request, failed: Mapping[str, str], parent: Path, folder: Path, command: str
    ) -> Outcome | None:
        left: dict[str, dict[int, dict[str, Any]]] = {}
        rewards: dict[str, dict[str, list[float]]] = {}
        runs = [run for run in self.prompts(request) if _key(run, request) not in failed]
        for run in runs:
            file = parent / _key(run, request) / stages_file(REFINEMENTS)
            left.setdefault(run.place, {})[run.seed] = read_stages(file)
            if (file := parent / run.reference_key / REFERENCES).is_file():
                for row in read_json(file, "the figures of reference drivers")["drivers"]:
                    rewards.setdefault(run.place, {}).setdefault(row["driver"], []).append(row["reward_mean"])
        if not left:
            return None
        stages = [
            _stage(place, rounds, [member["stages"][k] for member in members.values()])
            for place, members in left.items()
            for k, rounds in enumerate(REFINEMENTS)
        ]
        any_ = next(iter(next(iter(left.values())).values()))
        trained = request.policy_episodes
        agents = f"independent PPO after {trained} episodes" if trained else "untrained policies"
        drivers = [
            [f"{place}, {driver}", str(mean_and_interval(np.array(found)))]
            for place, by_driver in rewards.items()
            for driver, found in by_driver.items()
        ]
        references = "\n".join(markdown_table(["in the same scenarios", "reward"], drivers)) + "\n"
        texts = {
            "table.md": self._markdown(stages, any_["model"], str(any_["agents"]), agents, references),
            "table.csv": _table_csv(stages),
            "prompts.csv": _prompts_csv(left),
        }
        panels = [_panel(stages, rewards, name) for name in DRAWN]
        texts["figure.csv"] = panels_csv(panels)
        for name, content in texts.items():
            write_text(folder / name, content)
        folders: list[ExperimentRun] = [{"map": r.map, "seed": r.seed, "folder": _key(r, request)} for r in runs]
        about = manifest(self.name, self.question, command, [run.seed for run in runs], folders, failed)
        write_json(folder / "manifest.json", about)
        pictures = draw(panels, self.question, folder / "figure", len(panels))
        data = {
            "rows": [stage.as_json() for stage in stages],
            "references": {p: {d: float(np.mean(r)) for d, r in drivers.items()} for p, drivers in rewards.items()},
        }
        files = [*(folder / name for name in texts), folder / "manifest.json", *pictures]
        return Outcome(texts["table.md"], data, files)

    def rewrite(self, folder: Path) -> list[Path]:
        """Write table, figure and their CSV again from prompts.csv, with today's intervals.

        Raises:
            UsageError: the folder holds no Table II.
        """
        texts = {}
        try:
            prompts = read_csv(folder / "prompts.csv")
            members: dict[tuple[str, int], list[dict[str, float | None]]] = {}
            for row in prompts:
                figures = {name: float(row[name]) if row[name] else None for name in FIGURES}
                members.setdefault((row["map"], int(row["refinements"])), []).append(figures)
            stages = [_stage(place, rounds, found) for (place, rounds), found in members.items()]
            old = (folder / "table.md").read_text(encoding="utf-8")
            about = r"Model: (.*?)\. Mean over .*? scenario of (\d+) agents.*?DTW to (.*?)\. Prompt"
            said = re.search(about, old, re.DOTALL)
            if said is None or not stages:
                raise ValueError("it is not written as Table II is")
            texts["table.md"] = self._markdown(stages, said[1], said[2], said[3], old[old.index("| in the same") :])
            texts["table.csv"] = _table_csv(stages)
            if (folder / "figure.csv").is_file():
                drawn = [_panel(stages, {}, name) for name in DRAWN]
                for k, before in enumerate(read_panels(folder / "figure.csv")):
                    levels = [line for line in before.lines if line.reference]
                    drawn[k] = replace(drawn[k], lines=[*drawn[k].lines, *levels])
                texts["figure.csv"] = panels_csv(drawn)
                draw(drawn, self.question, folder / "figure", len(drawn))
        except (OSError, KeyError, ValueError) as error:
            raise UsageError(f"{folder} holds no Table II that can be read ({error}); run it again.") from error
        for name, text in texts.items():
            write_text(folder / name, text)
        return [folder / name for name in texts]

    def _markdown(self, stages: Sequence[Stage], model: str, agents: str, policy: str, references: str) -> str:
        lines = [
            [f"{s.map}, {s.prompts} prompts, {s.refinements}", *(f.cell(s.figures[n]) for n, f in FIGURES.items())]
            for s in stages
        ]
        text = [
            f"# {self.question}",
            "",
            f"Model: {model}. Mean over prompts [{INTERVALS}]; a prompt is a scenario of {agents} agents. A route that "
            "could not be read or driven counts as invalid. Reward and DTW: of the routes kept so far; DTW to "
            f"{policy}. Prompt tokens: of the last plan. A prompt with nothing left to refine keeps its figures.",
            "",
            *markdown_table(["refinements", *(f.title for f in FIGURES.values())], [*lines, *PAPER]),
            "",
            references,
        ]
        return "\n".join(text)


def _key(run: Run, request: Request) -> str:
    content: dict[str, Any] = {
        "world": world_content(run.settings),
        "model": model_content(run.settings),
        "demonstration": demonstration_content(run.settings, "rounds"),
        "policy_episodes": request.policy_episodes,
    }
    if request.policy_episodes:
        content["learning"] = run.settings.learning.model_dump(mode="json", exclude_defaults=True)
    return run.folder("table2", content)


def _stage(place: str, rounds: int, rows: Sequence[Mapping[str, float | None]]) -> Stage:
    figures = {name: figure.estimate(row[name] for row in rows) for name, figure in FIGURES.items()}
    return Stage(place, rounds, len(rows), figures)


def _panel(stages: Sequence[Stage], rewards: Rewards, name: str) -> Panel:
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
    return Panel("", "refinements", FIGURES[name].title, lines, share=FIGURES[name].share, points=True, ticks=ticks)


def _table_csv(stages: Sequence[Stage]) -> str:
    lines = [["map", "refinements", "prompts", *heads(FIGURES)]]
    lines += [[s.map, str(s.refinements), str(s.prompts), *cells(s.figures.values())] for s in stages]
    return csv_text(lines)


def _prompts_csv(found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    """Every prompt at every stage."""
    lines = [["map", "seed", "refinements", *FIGURES, "problem"]]
    for place, members in found.items():
        for seed, member in members.items():
            for stage in member["stages"]:
                figures = [number(stage[name]) for name in FIGURES]
                lines.append([place, str(seed), str(stage["rounds"]), *figures, member["problem"] or ""])
    return csv_text(lines)
