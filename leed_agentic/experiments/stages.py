"""One run of the demonstration graph that is looked at after given numbers of refinements on its way."""

from __future__ import annotations

from langgraph.runtime import Runtime

from leed_agentic.demonstrations.graph import refine, run_graph
from leed_agentic.demonstrations.state import State, Workshop


def advance(shop: Workshop, state: State, rounds: int) -> State:
    """Go on until there were so many refinements in all, as if the graph had never stopped, and drive what is valid.

    A run in which nothing is left to refine, or whose model may not be asked any more, stays as it is.

    Args:
        state: what the call before returned; empty at first.

    Raises:
        LeedError: as the graph; `shop.best` still holds the best set so far.
    """
    shop.settings.rounds = rounds
    if state.get("stopped"):
        return state
    return run_graph(shop, _onwards(state, shop) if state else state)


def _onwards(state: State, shop: Workshop) -> State:
    """The state to begin with: a whole set is judged anew; of an incomplete one the model is told what is invalid."""
    best = shop.best
    if best.episode is not None and len(best.routes) == len(shop.scenario.agents):
        return {**state, "routes": best.routes, "episode": best.episode}
    driven: State = {**state, "routes": best.routes, "critique": None}
    driven.pop("episode", None)
    return {**driven, **refine(driven, Runtime(context=shop))}
