"""How good demonstrations are at the initial prompt and after refinements, in one scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.generate import open_workshop
from leed_agentic.demonstrations.state import State, Workshop
from leed_agentic.errors import LeedError, UnavailableError
from leed_agentic.experiments.stages import advance
from leed_agentic.learning.session import begin
from leed_agentic.settings import Settings
from leed_agentic.traffic.trajectory import Trajectory

STAGES = (0, 5, 10)
"""Refinements after which the paper's Table II measures."""


def measure(settings: Settings, folder: Path, policy_episodes: int) -> dict[str, Any]:
    """Run the demonstration graph from stage to stage and measure its best set at each.

    A stage that has nothing to refine (every route valid and good) asks nothing and repeats the figures of the one
    before. A reply that cannot be used gives no route, so it counts as invalid; a model that cannot be reached is not
    its fault, and raises.

    Args:
        policy_episodes: how long independent PPO trains before its trajectories are what DTW compares with; 0: not.

    Raises:
        UnavailableError: SUMO or the model cannot be used.
    """
    own = own_trajectories(settings, policy_episodes)
    shop = open_workshop(settings.model_copy(deep=True), calls_file=folder / "calls.jsonl", own=own)
    found, state, problem = [], State(), None
    try:
        for stage in STAGES:
            try:
                if not problem:
                    state = advance(shop, state, stage)
            except UnavailableError:
                raise
            except LeedError as error:
                problem = str(error)
            found.append(_figures(shop, stage))
    finally:
        shop.env.close()
        shop.caller.close()
    return {
        "model": shop.caller.label,
        "agents": len(shop.scenario.agents),
        "policy_episodes": policy_episodes,
        "stages": found,
        "problem": problem or state.get("stopped"),
    }


def own_trajectories(settings: Settings, episodes: int) -> dict[int, Trajectory]:
    """One episode of agents that trained on their own for so many episodes."""
    settings = settings.model_copy(deep=True)
    settings.learning.algorithm, settings.learning.source = "ippo", "none"
    settings.learning.episodes = max(episodes, 1)
    session = begin(settings, None)
    try:
        if episodes:
            session.trainer.run()
        return dict(session.world.episode(session.trainer.algorithm.choose, settings.seed).experiences)
    finally:
        session.close()


def _figures(shop: Workshop, stage: int) -> dict[str, Any]:
    best, last = shop.best, shop.rounds[-1] if shop.rounds else None
    return {
        "refinements": stage,
        "plans": len(shop.rounds),
        "prompt_tokens": last.input_tokens if last else None,
        "validity": len(best.routes) / len(shop.scenario.agents),
        "validity_reply": last.validity_reply if last else 0.0,
        "reward": best.episode.mean_reward if best.episode else None,
        "arrival_rate": best.episode.arrival_rate if best.episode else None,
        "dtw": best.critique.mean("dtw") if best.critique else None,
    }
