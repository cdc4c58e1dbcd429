"""One run of the demonstration graph, from settings to a folder full of results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.demonstrations.decision import Decision, Proposal, ReviewLog
from leed_agentic.demonstrations.feedback import feedbacks
from leed_agentic.demonstrations.graph import run_graph
from leed_agentic.demonstrations.plan import check_budget
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.state import Workshop
from leed_agentic.errors import LeedError, UsageError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.picture import draw_map
from leed_agentic.runs.files import write_json
from leed_agentic.runs.folder import create_run_folder
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.demonstration import DemonstrationSet
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.run_files import write_sumo_run
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Trajectory, load_trajectories, save_trajectories
from leed_agentic.versions import package_versions

Reviewer = Callable[[Proposal, Workshop, Path], Decision]
"""Asks a person about a proposal, given the parts of the run and where its map picture is."""


@dataclass
class Generated:
    """What a run gave."""

    folder: Path
    demonstrations: DemonstrationSet
    summary: dict[str, Any]
    """The object that --json prints."""


def scenario_of(settings: Settings, network: RoadNetwork) -> Scenario:
    """The scenario that the settings and their seed make on this map."""
    return scenario_for(network, settings)


def generate(
    settings: Settings,
    out: Path | None = None,
    policy: Path | None = None,
    progress: Callable[[str], Any] = lambda line: None,
    reviewer: Reviewer | None = None,
) -> Generated:
    """Plan, validate, drive, judge and refine routes for the settings' scenario, and write everything down.

    Whatever ends the run early (a cap, a server that goes away, Ctrl-C), the best validated set so far is written.

    Args:
        out: the run folder; runs/<time>_<map>_<model>/ when None.
        policy: a training run whose trajectories the critique compares with.
        reviewer: asks a person before routes are driven; None: nobody is asked.

    Raises:
        UsageError: a wrong setting, map, model, recording, prompt or folder.
        UnavailableError: SUMO or the model cannot be used.
    """
    started = time.perf_counter()
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_of(settings, network)
    # A wrong model, key or recording is found before a folder is made.
    ModelCaller(settings.model, None, {})
    check_budget(PromptSet.load(settings.demonstration.prompts), network, scenario, settings.demonstration)
    feedbacks.get(settings.demonstration.feedback)
    own = own_trajectories(policy, scenario) if policy else None
    folder = create_run_folder(out, network.name, settings.model.name)
    progress(f"writing to {folder}")
    shop = open_workshop(settings, network, scenario, folder / "calls.jsonl", own, progress)
    shop.prompts.save(folder, settings.demonstration.planning)
    write_json(folder / "settings.json", settings.for_file())
    problem: BaseException | None = None
    stopped = None
    ask = None
    if reviewer is not None:
        shop.review = ReviewLog(folder / "review.jsonl")
        ask = _with_picture(reviewer, shop, folder / "routes.png")
    try:
        stopped = run_graph(shop, ask=ask).get("stopped")
    except (LeedError, KeyboardInterrupt) as error:
        problem = error
    finally:
        shop.env.close()
        shop.caller.close()
        stopped = stopped or (str(problem) or "interrupted" if problem else None)
    result = _write(folder, settings, shop, time.perf_counter() - started, stopped)
    if problem is not None:
        raise problem
    return result


def _with_picture(reviewer: Reviewer, shop: Workshop, picture: Path) -> Callable[[Proposal], Decision]:
    """Ask the person with a map picture at hand, drawn anew only when the routes are others."""
    drawn: dict[int, list[str]] | None = None

    def ask(proposal: Proposal) -> Decision:
        nonlocal drawn
        if proposal.routes != drawn:
            lacking = [trip for trip in shop.scenario.agents if trip.agent not in proposal.routes]
            trips = {trip.agent: (trip.start_edge, trip.destination) for trip in lacking}
            draw_map(shop.network, picture, routes=proposal.routes, trips=trips)
            drawn = proposal.routes
        return reviewer(proposal, shop, picture)

    return ask


def open_workshop(
    settings: Settings,
    network: RoadNetwork | None = None,
    scenario: Scenario | None = None,
    calls_file: Path | None = None,
    own: dict[int, Trajectory] | None = None,
    progress: Callable[[str], Any] = lambda line: None,
    caller: ModelCaller | None = None,
) -> Workshop:
    """The parts of the graph for these settings; who opens it closes `env` and `caller`. Raises as `generate` does.

    Args:
        caller: asks the model; one of the settings' model that keeps its record in `calls_file` when None.
    """
    network = network or open_map(settings.map.name, settings.map)
    scenario = scenario or scenario_of(settings, network)
    return Workshop(
        network=network,
        scenario=scenario,
        caller=caller or ModelCaller(settings.model, calls_file, made_with(settings, scenario)),
        prompts=PromptSet.load(settings.demonstration.prompts),
        # Last: an error in the others then leaves no simulation open.
        env=RouteEnv(network, scenario, settings.environment),
        settings=settings.demonstration,
        seed=settings.seed,
        own=own,
        progress=progress,
    )


def made_with(settings: Settings, scenario: Scenario) -> dict[str, Any]:
    """What a record of calls says of itself."""
    return {"scenario": scenario.to_json(), "settings": recorded_settings(settings)}


def recorded_settings(settings: Settings) -> dict[str, Any]:
    """The settings that decide which questions the model is asked; a recording carries them."""
    return settings.model_dump(mode="json", include={"seed", "map", "scenario", "environment", "demonstration"})


def own_trajectories(policy: Path, scenario: Scenario) -> dict[int, Trajectory]:
    """The agents' latest trajectories of a training run. Raises UsageError when they do not fit or are damaged."""
    file = policy / "trajectories.json" if policy.is_dir() else policy
    trajectories, made_in = load_trajectories(file)
    if Scenario.from_json(made_in) != scenario:
        raise UsageError(
            f"{file} was driven in another scenario (map {made_in.get('map')}, seed {made_in.get('seed')}, "
            f"{len(made_in.get('agents', ()))} agents); use the same --map, --agents and --seed."
        )
    for agent, driven in trajectories.items():
        if not (np.isfinite(driven.rewards).all() and np.isfinite(driven.positions).all()):
            raise UsageError(
                f"{file}: the trajectory of agent {agent} holds NaN or infinite numbers; train again, or leave "
                "--policy out."
            )
    return trajectories


def _write(folder: Path, settings: Settings, shop: Workshop, seconds: float, stopped: str | None) -> Generated:
    best, usage = shop.best, shop.caller.usage
    demonstrations = DemonstrationSet(
        shop.scenario,
        best.routes,
        shop.rounds,
        provenance={
            "model": shop.caller.label,
            "planning": shop.settings.planning,
            "prompts": shop.prompts.hashes,
            "feedback": shop.settings.feedback,
            "seed": settings.seed,
            "attribution": shop.network.attribution,
            "versions": package_versions(),
            "stopped": stopped,
        },
    )
    if shop.review is not None:
        demonstrations.provenance["edited_by_a_person"] = shop.review.edited_in(best.routes)
    demonstrations.save(folder / "demonstrations.json")
    driven = best.episode.driven if best.episode else None
    write_sumo_run(folder, shop.network, shop.scenario, best.routes, settings.environment, driven)
    if best.episode:
        save_trajectories(folder / "trajectories.json", best.episode.trajectories, shop.scenario.to_json())
    draw_map(shop.network, folder / "routes.png", routes=best.routes, title=None)
    rounds = shop.rounds
    summary = {
        "map": shop.network.name,
        "agents": len(shop.scenario.agents),
        "model": shop.caller.label,
        "planning": shop.settings.planning,
        "rounds": max((r.round for r in rounds), default=0),
        "validity_initial": rounds[0].validity_reply if rounds else 0.0,
        "validity_final": demonstrations.validity,
        "reward_mean": best.episode.mean_reward if best.episode else None,
        "arrival_rate": best.episode.arrival_rate if best.episode else 0.0,
        "travel_time_ratio": best.critique.mean("ratio") if best.critique else None,
        "dtw_mean": best.critique.mean("dtw") if best.critique else None,
        "input_tokens": usage.reported[0],
        "output_tokens": usage.reported[1],
        "cost": shop.caller.cost,
        "price_as_of": settings.model.price_as_of,
        "calls": usage.calls,
        "retries": usage.retries,
        "replayed_calls": usage.replayed_calls,
        "model_seconds": round(usage.seconds, 3),
        "seconds": round(seconds, 3),
        "stopped": stopped,
        "run": str(folder),
    }
    write_json(folder / "summary.json", summary)
    return Generated(folder, demonstrations, summary)
