"""The plans of a run, one after the other: what was asked, which routes came back, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from leed_agentic.errors import UsageError
from leed_agentic.report.folder import RunFolder
from leed_agentic.report.routes import RouteTable
from leed_agentic.traffic.demonstration import DemonstrationSet, Round

MAX_FILES = 200
"""Of a longer training run this many triggers are shown, evenly spread, the first and the last among them."""
_ROUNDS = TypeAdapter(list[Round])
FIGURES = ("validity_reply", "validity", "reward_mean", "arrival_rate", "travel_time_ratio", "dtw_mean", "fleet_time")


def rounds_of(folder: RunFolder) -> list[tuple[int | None, DemonstrationSet]]:
    """The demonstration sets of a run with the episode each was asked for in; None for a run without training."""
    if folder.kind == "demonstrations":
        files: list[tuple[int | None, Path]] = [(None, folder.path / "demonstrations.json")]
        if not files[0][1].is_file():
            folder.note("demonstrations.json is missing: the run was stopped before it wrote its routes.")
            return []
    else:
        names = sorted((folder.path / "demonstrations").glob("*.json"))
        files = [(_episode(file), file) for file in _spread(names, folder)]
    found = []
    for episode, file in files:
        try:
            made = DemonstrationSet.load(file)
            # JSON has turned the numbers of the agents into text, and an edited file may hold anything.
            made.rounds = _ROUNDS.validate_python([vars(r) for r in made.rounds])
        except (UsageError, ValidationError) as error:
            folder.note(f"{file.name} is left out: {' '.join(str(error).split())[:300]}")
            continue
        found.append((episode, made))
    return found


def plans_data(folder: RunFolder, sets: Sequence[tuple[int | None, DemonstrationSet]], table: RouteTable) -> list[Any]:
    """One entry per plan: label, asked agents, route number per agent, who is new, findings and figures."""
    plans, kept = [], dict[int, list[str]]()
    for episode, made in sets:
        for r in made.rounds:
            wrong = {finding.get("agent") for finding in r.findings}
            label = f"Round {r.round}" if episode is None else f"Episode {episode}, round {r.round}"
            plans.append(_plan(label, {**kept, **r.routes}, r, table, made.scenario.named))
            kept |= {agent: route for agent, route in r.routes.items() if agent not in wrong}
        kept = dict(made.routes)
    return plans or _given(sets, table)


def _plan(
    label: str, routes: Mapping[int, list[str]], r: Round, table: RouteTable, named: Callable[[str], str]
) -> dict[str, Any]:
    return {
        "label": label,
        "asked": r.asked,
        "new": sorted(r.routes),
        "routes": {str(agent): table.number(route) for agent, route in sorted(routes.items())},
        "findings": [
            {key: finding.get(key) for key in ("agent", "kind", "edge", "position")}
            | {"message": named(str(finding.get("message", "")))}
            for finding in r.findings
        ],
        "figures": {name: getattr(r, name) for name in FIGURES},
    }


def _given(sets: Sequence[tuple[int | None, DemonstrationSet]], table: RouteTable) -> list[dict[str, Any]]:
    """Demonstrations that no model planned (shortest path, logit, a file): one entry whenever a route changed."""
    plans: list[dict[str, Any]] = []
    for episode, made in sets:
        numbers = {str(agent): table.number(route) for agent, route in {**made.routes, **made.cut_short}.items()}
        if plans and plans[-1]["routes"] == numbers:
            continue
        changed = [a for a in numbers if not plans or plans[-1]["routes"].get(a) != numbers[a]]
        plans.append(
            {
                "label": f"From episode {episode} on",
                "asked": sorted(map(int, numbers)),
                "new": sorted(map(int, changed)),
                "routes": numbers,
                "findings": [],
                "figures": {"reward_mean": float(np.mean(list(made.rewards.values()))) if made.rewards else None},
            }
        )
    return plans


def _episode(file: Path) -> int:
    digits = file.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


def _spread(files: Sequence[Path], folder: RunFolder) -> list[Path]:
    if len(files) <= MAX_FILES:
        return list(files)
    folder.note(f"Of {len(files)} triggers the map shows {MAX_FILES}, evenly spread; all are in {files[0].parent}.")
    return [files[round(k)] for k in np.linspace(0, len(files) - 1, MAX_FILES)]
