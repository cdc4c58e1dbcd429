"""What a run of the demonstration graph leaves behind: routes, drives, figures and pictures in its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.nodes import summary_of
from leed_agentic.demonstrations.parts import Parts
from leed_agentic.demonstrations.review import edited_in
from leed_agentic.demonstrations.state import Best, State
from leed_agentic.errors import LeedError
from leed_agentic.roads.picture import draw_map, image_html
from leed_agentic.runs.files import read_json, write_json
from leed_agentic.traffic.demonstration import DemonstrationSet
from leed_agentic.traffic.export import measure_run
from leed_agentic.traffic.measures import FleetFigures, average
from leed_agentic.traffic.run_files import write_sumo_run
from leed_agentic.traffic.trajectory import save_trajectories
from leed_agentic.versions import package_versions

TRAFFIC = "traffic.json"


@dataclass
class Generated:
    """What a run gave."""

    folder: Path
    demonstrations: DemonstrationSet
    summary: dict[str, Any]
    """The object that --json prints."""

    def _repr_html_(self) -> str:
        """The routes on the map, in a notebook."""
        title = f"{len(self.demonstrations.routes)} routes on {self.summary['map']}"
        return image_html(self.folder / "routes.png", title)


def finished(folder: Path) -> Generated | None:
    """What a run gave that came to its end; None when there is something left to ask."""
    if not (folder / "summary.json").is_file():
        return None
    summary = read_json(folder / "summary.json", "the summary of a run")
    if summary.get("stopped"):
        return None
    return Generated(folder, DemonstrationSet.load(folder / "demonstrations.json"), summary)


def provenance_of(parts: Parts) -> dict[str, Any]:
    """How demonstrations came about."""
    return {
        "model": parts.caller.label,
        "planning": parts.settings.demonstration.planning,
        "prompts": parts.prompts.hashes,
        "feedback": parts.settings.demonstration.feedback,
        "seed": parts.settings.seed,
        "attribution": parts.network.attribution,
        "versions": package_versions(),
    }


def fleet_figures(folder: Path, parts: Parts, emissions: bool = False) -> FleetFigures | None:
    """Of the agents, from the run's folder driven by plain SUMO; None, said, where that fails: the rest is kept."""
    parts.progress("measuring the drive in plain SUMO")
    try:
        return average([measure_run(folder, emissions)])
    except LeedError as error:
        parts.progress(f"The fleet was not measured: {error}")
        return None


def _draw_losses(parts: Parts, folder: Path, traffic: Mapping[str, Any]) -> None:
    """Where the fleet stood on the fastest paths of empty streets, and where it stands now, on one scale."""
    fleet = parts.fleet
    if fleet is None or not fleet.before:
        return
    took = {"shortest": traffic["baselines"]["shortest"], "kept": traffic["fleet_time"]}
    lost = {"shortest": fleet.before, "kept": fleet.lost()}
    most = max(max(seconds.values(), default=0.0) for seconds in lost.values())
    for name, seconds in lost.items():
        plan = "shortest paths" if name == "shortest" else traffic["kept"]
        title = f"{parts.network.name}, {plan}: {took[name]:.0f} s a car"
        draw_map(parts.network, folder / f"lost_{name}.png", lost=seconds, most_lost=most, title=title)


def write_result(
    parts: Parts,
    folder: Path,
    state: State,
    started: float,
    stopped: str | None,
    measured: Callable[[], FleetFigures | None],
    whole: bool = True,
) -> Generated:
    """What was reached, as files.

    Args:
        started: when it began, by `time.perf_counter`.
        stopped: why it ended early, if it did.
        measured: the fleet's figures, once the drive is written.
        whole: with the run of plain SUMO, what the traffic came to, and a picture.
    """
    best = state.get("best", Best())
    provenance = {**provenance_of(parts), "stopped": stopped}
    if state.get("reviewed"):
        provenance["edited_by_a_person"] = edited_in(state["edited"], best.routes)
    demonstrations = DemonstrationSet(parts.scenario, best.routes, state.get("history", []), provenance)
    demonstrations.save(folder / "demonstrations.json")
    if best.episode:
        save_trajectories(folder / "trajectories.json", best.episode.trajectories, parts.scenario.to_json())
    driven = best.episode.driven if best.episode else None
    if whole:
        if state.get("traffic") and parts.fleet is not None:
            write_json(folder / TRAFFIC, parts.fleet.record())
            _draw_losses(parts, folder, state["traffic"])
        write_sumo_run(folder, parts.network, parts.scenario, best.routes, parts.settings.environment, driven)
        draw_map(parts.network, folder / "routes.png", routes=best.routes, title=None)
    fleet, usage = measured() if driven else None, parts.caller.usage
    summary = {
        **summary_of(state, parts),
        "fleet": fleet,
        "cost": parts.caller.cost,
        "price_as_of": parts.settings.model.price_as_of,
        "retries": usage.retries,
        "replayed_calls": usage.replayed_calls,
        "model_seconds": round(usage.seconds, 3),
        "seconds": round(time.perf_counter() - started, 3),
        "stopped": stopped,
        "run": str(folder),
    }
    write_json(folder / "summary.json", summary)
    return Generated(folder, demonstrations, summary)
