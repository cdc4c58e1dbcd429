"""One trial of a comparison: a scenario's demonstrations by one model, measured after each number of refinements."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.generate import made_with, open_workshop, own_trajectories, scenario_of
from leed_agentic.demonstrations.state import State, Workshop
from leed_agentic.errors import LeedError
from leed_agentic.experiments.stages import advance
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.failure import RefusedError
from leed_agentic.models.recording import ReplyCache
from leed_agentic.models.usage import Totals
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.files import write_json
from leed_agentic.settings import Settings

CALLS = "calls.jsonl"
FAILURE = "failure.json"


def measure(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> dict[str, Any]:
    """Run the graph on and on, and look at its best set after each number of refinements.

    Args:
        folder: of the trial; its record of calls goes there.
        extras: `rounds` (rising numbers of refinements), `record` (a RecordMode), `twins` (pattern of the folders
            beside it whose model may have been asked the same) and `policy` (a training run of this scenario, or None).

    Raises:
        UnavailableError: SUMO or the model cannot be used; what the model said so far is recorded.
        UsageError: a reply is not recorded but may not be asked for, or the model refuses the very first request.
    """
    settings = settings.model_copy(deep=True)
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_of(settings, network)
    own = own_trajectories(Path(extras["policy"]), scenario) if extras["policy"] else None
    record, calls = extras["record"], folder / CALLS
    others = folder.parent.glob(f"{extras['twins']}/{CALLS}")
    cache = None if record == "off" else ReplyCache(calls, others, only=record == "only")
    kept_in = calls if record == "auto" else None
    caller = ModelCaller(settings.model, kept_in, made_with(settings, scenario), cache)
    state, problem, stages = State(), None, []
    try:
        shop = open_workshop(settings, network, scenario, own=own, caller=caller)
        try:
            for rounds in extras["rounds"]:
                try:
                    if not problem:
                        state = advance(shop, state, rounds)
                except RefusedError as error:
                    # Whoever never answered is not set up right; a conversation that grows too long is a result.
                    if not caller.totals.calls:
                        raise
                    problem = str(error)
                stages.append(_figures(shop, caller.totals, rounds))
        finally:
            shop.env.close()
    finally:
        caller.close()
    return {
        "model": caller.label,
        "agents": len(scenario.agents),
        "stages": stages,
        "problem": problem or state.get("stopped"),
    }


def note_failure(folder: Path, error: LeedError) -> None:
    """Leave the reason in the trial's folder, with the exit code that it would have had."""
    write_json(folder / FAILURE, {"problem": str(error), "exit_code": error.exit_code})


def failure_code(folder: Path) -> int:
    """The exit code of the trial's last failure; 1 where it could leave none."""
    try:
        return int(json.loads((folder / FAILURE).read_text(encoding="utf-8"))["exit_code"])
    except (OSError, ValueError, KeyError, TypeError):
        return LeedError.exit_code


def _figures(shop: Workshop, totals: Totals, rounds: int) -> dict[str, Any]:
    best, plans = shop.best, shop.rounds
    judged, episode = best.critique, best.episode
    return {
        "rounds": rounds,
        "plans": len(plans),
        "validity_before": plans[0].validity if plans else 0.0,
        "validity": len(best.routes) / len(shop.scenario.agents),
        "validity_reply": plans[-1].validity_reply if plans else 0.0,
        "travel_time_ratio": judged.mean("ratio") if judged else None,
        "reward": episode.mean_reward if episode else None,
        "arrival_rate": episode.arrival_rate if episode else None,
        "dtw": judged.mean("dtw") if judged else None,
        "calls": totals.calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "seconds": round(totals.seconds, 3),
        "errors": dict(sorted(Counter(finding["kind"] for plan in plans for finding in plan.findings).items())),
    }
