"""One scenario's demonstrations by one model, measured after numbers of refinements: of Table II and comparisons."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.generate import own_trajectories
from leed_agentic.demonstrations.graph import onward_steps
from leed_agentic.demonstrations.parts import made_with, open_parts
from leed_agentic.demonstrations.results import fleet_figures, write_result
from leed_agentic.demonstrations.state import Best, Context, State
from leed_agentic.experiments.task import CALLS
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.failure import RefusedError
from leed_agentic.models.recording import ReplyCache
from leed_agentic.models.usage import Totals
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.files import write_json
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.measures import FleetFigures
from leed_agentic.traffic.run_files import write_sumo_run
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Episode, Trajectory


def measure(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> dict[str, Any]:
    """Run the graph on and on, and look at its best set after each number of refinements.

    One that has nothing left to refine (every route valid and good) asks nothing and keeps its figures. A reply that
    cannot be used gives no route, so it counts as invalid.

    Args:
        folder: its record of calls goes there, and what a report of the one trial shows.
        extras: `rounds` (rising numbers of refinements), `record` (a RecordMode), `twins` (pattern of the folders
            beside it whose model may have been asked the same; none without it), and whose trajectories the critique
            compares with: `policy` (a training run of this scenario), or `policy_episodes` (agents that independent
            PPO trains for so many episodes; 0: untrained ones).

    Raises:
        UnavailableError: SUMO or the model cannot be used; what the model said so far is recorded.
        UsageError: a reply is not recorded but may not be asked for, or the model refuses the very first request.
    """
    began = time.perf_counter()
    stages: list[dict[str, Any]] = []
    with _opened(settings, folder, extras) as context:
        caller, scenario = context.parts.caller, context.parts.scenario
        state, plans = State(), 0
        fleet_of = _Measured(context)
        problem: str | None = None
        before: int | None = 0
        tokens: int | None = None
        for rounds in range(extras["rounds"][-1] + 1):
            try:
                if not problem:
                    for reached in onward_steps(context, state, rounds):
                        state = reached
            except RefusedError as error:
                # Whoever never answered is not set up right; a conversation that grows too long is a result.
                if not caller.totals.calls:
                    raise
                problem = str(error)
            so_far = caller.totals.input_tokens
            made = len(state.get("history", []))
            if made > plans:
                tokens = None if so_far is None or before is None else so_far - before
                plans = made
            before = so_far
            if rounds in extras["rounds"]:
                found = _figures(state, scenario, caller.totals)
                fleet = fleet_of(state)
                stages.append({"rounds": rounds, "prompt_tokens": tokens, **found, **_flat(fleet)})
        # What `leed report` and `leed demo show` read.
        write_json(folder / "settings.json", context.parts.settings.for_file())
        stopped = problem or state.get("stopped")
        write_result(context.parts, folder, state, began, stopped, partial(fleet_of, state), whole=False)
        return {
            "model": caller.label,
            "agents": len(scenario.agents),
            "policy_episodes": extras.get("policy_episodes"),
            "stages": stages,
            "problem": stopped,
        }


class _Measured:
    """The figures of the best set so far, by plain SUMO; a set is measured once."""

    def __init__(self, context: Context) -> None:
        self._parts = context.parts
        self._last: tuple[Episode, FleetFigures | None] | None = None

    def __call__(self, state: State) -> FleetFigures | None:
        best = state.get("best", Best())
        if best.episode is None or best.episode.driven is None:
            return None
        if self._last is None or self._last[0] is not best.episode:
            parts, driven = self._parts, best.episode.driven
            with tempfile.TemporaryDirectory(prefix="leed-trial-") as name:
                folder = Path(name)
                write_sumo_run(folder, parts.network, parts.scenario, best.routes, parts.settings.environment, driven)
                self._last = best.episode, fleet_figures(folder, parts)
        return self._last[1]


def _flat(fleet: FleetFigures | None) -> dict[str, Any]:
    """By the names that they have in the table of a comparison."""
    figures: Mapping[str, Any] = fleet or dict.fromkeys(FleetFigures.__annotations__)
    return {f"fleet_{name}": value for name, value in figures.items()}


@contextmanager
def _opened(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> Iterator[Context]:
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_for(network, settings)
    agents = _agents_trajectories(settings, scenario, extras)
    record, calls = extras["record"], folder / CALLS
    others = folder.parent.glob(f"{extras['twins']}/{CALLS}") if "twins" in extras else ()
    cache = None if record == "off" else ReplyCache(calls, others, only=record == "only")
    caller = ModelCaller(settings.model, calls if record == "auto" else None, made_with(settings, scenario), cache)
    with closing(caller), closing(open_parts(settings, network, scenario, caller=caller)) as parts:
        yield Context(parts=parts, trajectories=agents)


def _agents_trajectories(
    settings: Settings, scenario: Scenario, extras: Mapping[str, Any]
) -> dict[int, Trajectory] | None:
    if extras.get("policy"):
        return own_trajectories(Path(extras["policy"]), scenario)
    episodes = extras.get("policy_episodes")
    if episodes is None:
        return None
    from leed_agentic.learning.session import begin

    alone = {"learning.algorithm": "ippo", "learning.source": "none", "learning.episodes": max(episodes, 1)}
    with closing(begin(settings.changed(alone), None)) as session:
        if episodes:
            session.trainer.run()
        return dict(session.world.episode(session.trainer.algorithm.act, settings.seed).experiences)


def _figures(state: State, scenario: Scenario, totals: Totals) -> dict[str, Any]:
    best, plans = state.get("best", Best()), state.get("history", [])
    judged, episode = best.critique, best.episode
    return {
        "plans": len(plans),
        "validity_before": plans[0].validity if plans else 0.0,
        "validity": len(best.routes) / len(scenario.agents),
        "validity_reply": plans[-1].validity_reply if plans else 0.0,
        "travel_time_ratio": judged.mean("ratio") if judged else None,
        "ratios": _ratios(state, scenario),
        "reward": episode.mean_reward if episode else None,
        "arrival_rate": episode.arrival_rate if episode else None,
        "dtw": judged.mean("dtw") if judged else None,
        "calls": totals.calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "seconds": round(totals.seconds, 3),
        "reply_seconds": [round(seconds, 3) for seconds in totals.each],
        "errors": errors_of(plans),
    }


def _ratios(state: State, scenario: Scenario) -> dict[int, float]:
    """Agent with a valid route to its time against its fastest path alone; to the end of the drive where it did not
    arrive, which is less than it would have taken."""
    episode, alone = state.get("best", Best()).episode, state.get("alone", {})
    found = {}
    for agent, driven in (episode.trajectories if episode else {}).items():
        if agent in alone and episode:
            so_far = scenario.begin + episode.seconds - scenario.agents[agent].departure
            found[agent] = (so_far if driven.travel_seconds is None else driven.travel_seconds) / alone[agent]
    return found


def errors_of(plans: Sequence[Any]) -> dict[str, int]:
    """Kind of finding to its number, in all plans."""
    return dict(sorted(Counter(finding["kind"] for plan in plans for finding in plan.findings).items()))
