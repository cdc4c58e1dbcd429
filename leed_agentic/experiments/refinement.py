"""One scenario's demonstrations by one model, measured after numbers of refinements: of Table II and comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.generate import own_trajectories
from leed_agentic.demonstrations.graph import onward_steps
from leed_agentic.demonstrations.parts import made_with, open_parts, scenario_of
from leed_agentic.demonstrations.state import Best, Context, State
from leed_agentic.experiments.task import CALLS
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.failure import RefusedError
from leed_agentic.models.recording import ReplyCache
from leed_agentic.models.usage import Totals
from leed_agentic.roads.catalogue import open_map
from leed_agentic.settings import Settings
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Trajectory


def measure(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> dict[str, Any]:
    """Run the graph on and on, and look at its best set after each number of refinements.

    One that has nothing left to refine (every route valid and good) asks nothing and keeps its figures. A reply that
    cannot be used gives no route, so it counts as invalid.

    Args:
        folder: its record of calls goes there.
        extras: `rounds` (rising numbers of refinements), `record` (a RecordMode), `twins` (pattern of the folders
            beside it whose model may have been asked the same; none without it), and whose trajectories the critique
            compares with: `policy` (a training run of this scenario), or `policy_episodes` (agents that independent
            PPO trains for so many episodes; 0: untrained ones).

    Raises:
        UnavailableError: SUMO or the model cannot be used; what the model said so far is recorded.
        UsageError: a reply is not recorded but may not be asked for, or the model refuses the very first request.
    """
    stages: list[dict[str, Any]] = []
    with _opened(settings, folder, extras) as context:
        caller, agents = context.parts.caller, len(context.parts.scenario.agents)
        state, plans = State(), 0
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
                stages.append({"rounds": rounds, "prompt_tokens": tokens, **_figures(state, agents, caller.totals)})
        return {
            "model": caller.label,
            "agents": agents,
            "policy_episodes": extras.get("policy_episodes"),
            "stages": stages,
            "problem": problem or state.get("stopped"),
        }


@contextmanager
def _opened(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> Iterator[Context]:
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_of(settings, network)
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
    session = begin(settings.changed(alone), None)
    try:
        if episodes:
            session.trainer.run()
        return dict(session.world.episode(session.trainer.algorithm.choose, settings.seed).experiences)
    finally:
        session.close()


def _figures(state: State, agents: int, totals: Totals) -> dict[str, Any]:
    best, plans = state.get("best", Best()), state.get("history", [])
    judged, episode = best.critique, best.episode
    return {
        "plans": len(plans),
        "validity_before": plans[0].validity if plans else 0.0,
        "validity": len(best.routes) / agents,
        "validity_reply": plans[-1].validity_reply if plans else 0.0,
        "travel_time_ratio": judged.mean("ratio") if judged else None,
        "reward": episode.mean_reward if episode else None,
        "arrival_rate": episode.arrival_rate if episode else None,
        "dtw": judged.mean("dtw") if judged else None,
        "calls": totals.calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "seconds": round(totals.seconds, 3),
        "errors": errors_of(plans),
    }


def errors_of(plans: Sequence[Any]) -> dict[str, int]:
    """Kind of finding to its number, in all plans."""
    return dict(sorted(Counter(finding["kind"] for plan in plans for finding in plan.findings).items()))
