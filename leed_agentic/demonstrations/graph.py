"""The state machine of demonstration generation: plan, validate, (review by a person,) execute, critique, refine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, get_type_hints

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from leed_agentic.demonstrations.critique import AgentCritique, Critique
from leed_agentic.demonstrations.critique import critique as judge
from leed_agentic.demonstrations.decision import Decision, Proposal
from leed_agentic.demonstrations.execute import execute as drive_routes
from leed_agentic.demonstrations.execute import fastest_alone
from leed_agentic.demonstrations.feedback import Assessment, remarks_of
from leed_agentic.demonstrations.plan import Planned, planners
from leed_agentic.demonstrations.review import Next, decide, propose
from leed_agentic.demonstrations.state import Best, State, Workshop
from leed_agentic.demonstrations.validate import Finding, Validation
from leed_agentic.demonstrations.validate import validate as validate_routes
from leed_agentic.models.tracing import traced
from leed_agentic.traffic.demonstration import Round
from leed_agentic.traffic.fleet import Counters
from leed_agentic.traffic.trajectory import Episode, Trajectory

STEPS_PER_ROUND = 6
IN_CHECKPOINTS = (
    *(AgentCritique, Counters, Critique, Decision, Episode, Finding, Planned, Proposal, Trajectory, Validation),
)
"""What a checkpoint may hold besides plain data; tuples in them come back as lists."""


# -- nodes -------------------------------------------------------------------------------------------------------------
def plan(state: State, runtime: Runtime[Workshop]) -> State:
    """Ask the model for routes; a cap that is reached ends the run with what there is."""
    shop = runtime.context
    number = state.get("round", 0)
    asked = state.get("asked") or [trip.agent for trip in shop.scenario.agents]
    shop.progress(f"round {number}: planning routes for {len(asked)} agents")
    before, started = shop.spent(), time.perf_counter()
    planned = planners.get(shop.settings.planning or "fleet")(shop.desk(asked, state.get("remarks") or {}))
    record = Round(round=number, asked=list(asked), validity_reply=0.0, validity=0.0)
    record.calls, record.input_tokens, record.output_tokens = (
        now - then for now, then in zip(shop.spent(), before, strict=True)
    )
    record.seconds = round(time.perf_counter() - started, 3)
    shop.rounds.append(record)
    return {"round": number, "asked": list(asked), "planned": planned, "stopped": planned.stopped, "critique": None}


def validate(state: State, runtime: Runtime[Workshop]) -> State:
    """Check the reply edge by edge and keep what is valid; an agent's older valid route outlives a bad new one."""
    shop = runtime.context
    planned, asked = state["planned"], state["asked"]
    found = validate_routes(
        shop.network, shop.scenario, planned.routes, planned.problems, shop.settings.max_route_edges
    )
    routes = {**state.get("routes", {}), **found.valid}
    record = shop.rounds[-1]
    record.validity_reply = sum(agent in found.valid for agent in asked) / len(asked)
    record.validity = len(routes) / len(shop.scenario.agents)
    record.findings = [asdict(f) for f in found.findings if f.agent is None or f.agent in asked]
    record.routes = {agent: list(route) for agent, route in planned.routes.items() if agent in asked}
    if len(routes) > len(shop.best.routes):
        shop.best = Best(routes)
    shop.progress(f"round {state['round']}: {len(routes)} of {len(shop.scenario.agents)} routes valid")
    return {"validation": found, "routes": routes}


def review(state: State, runtime: Runtime[Workshop]) -> Command[Next]:
    """Wait for a person's decision before anything is driven."""
    # LangGraph runs the node from its start again when the decision comes, so nothing is written above this line.
    decision = interrupt(propose(state))
    update, following = decide(runtime.context, state, decision)
    return Command(update=update, goto=following)


def execute(state: State, runtime: Runtime[Workshop]) -> State:
    """Drive the kept routes in SUMO; the better of this set and the best so far stays."""
    shop = runtime.context
    shop.progress(f"round {state['round']}: driving {len(state['routes'])} routes in SUMO")
    episode = drive_routes(shop.env, shop.scenario, state["routes"], shop.seed)
    return {"episode": episode}


def critique(state: State, runtime: Runtime[Workshop]) -> State:
    """Judge the drive against the agents' own trajectories, or on its own where there are none."""
    shop = runtime.context
    episode = state["episode"]
    unmeasured = [agent for agent in episode.trajectories if agent not in shop.alone]
    shop.alone.update(fastest_alone(shop.env, shop.scenario, unmeasured))
    judged = judge(shop.network, episode, shop.alone, shop.settings.accept_ratio, shop.own)
    if shop.rounds and "planned" in state:
        record = shop.rounds[-1]
        record.reward_mean, record.arrival_rate = episode.mean_reward, episode.arrival_rate
        record.travel_time_ratio, record.dtw_mean = judged.mean("ratio"), judged.mean("dtw")
    candidate = Best(state["routes"], episode, judged)
    if candidate.rank >= shop.best.rank:
        shop.best = candidate
    shop.progress(f"mean reward {episode.mean_reward:.1f}, {episode.arrival_rate:.0%} arrived")
    return {"critique": judged, "routes": shop.best.routes}


def refine(state: State, runtime: Runtime[Workshop]) -> State:
    """Write what the model is told next: d <- d with {tau^a, tau^e}."""
    shop = runtime.context
    judged = state.get("critique")
    remarks = remarks_of(shop.settings.feedback, Assessment(state.get("validation"), judged, shop.stationarity))
    missing = [trip.agent for trip in shop.scenario.agents if trip.agent not in state["routes"]]
    asked = missing + (judged.slow if judged else [])
    following = state["round"] + 1 if "planned" in state else state.get("round", 0)
    return {"round": following, "remarks": {a: remarks[a] for a in asked if a in remarks}, "asked": asked}


# -- edges -------------------------------------------------------------------------------------------------------------
def begin(state: State) -> Literal["plan", "critique"]:
    """A run that already has driven routes (training goes on) begins by judging them against the agents' latest."""
    return "critique" if state.get("episode") else "plan"


def after_validation(state: State, runtime: Runtime[Workshop]) -> Literal["execute", "review", "refine", "__end__"]:
    """Invalid routes go back to the model while rounds are left; what is valid in the end is driven, after a person
    has seen it where one is asked."""
    shop = runtime.context
    complete = len(state["routes"]) == len(shop.scenario.agents)
    if not complete and not state["stopped"] and state["round"] < shop.settings.rounds:
        return "refine"
    if shop.review is not None:
        return "review"
    return "execute" if state["routes"] else "__end__"


def after_critique(state: State, runtime: Runtime[Workshop]) -> Literal["refine", "__end__"]:
    """Slow routes go back to the model while rounds are left."""
    judged, shop = state["critique"], runtime.context
    complete = len(state["routes"]) == len(shop.scenario.agents)
    good = complete and (judged is None or judged.acceptable)
    return "__end__" if good or state.get("stopped") or state.get("round", 0) >= shop.settings.rounds else "refine"


def build_graph(shop: Workshop | None = None, checkpointer: InMemorySaver | None = None) -> Any:
    """The compiled graph; call `.invoke(state, context=Workshop(...))`.

    Args:
        shop: parts bound in for callers that cannot hand over a context, such as LangGraph Studio.
        checkpointer: needed only where a person is asked: the graph stops there and goes on from its checkpoint.
    """
    graph = StateGraph(State, context_schema=Workshop)
    for node in (plan, validate, review, execute, critique, refine):
        graph.add_node(node.__name__, _bound(node, shop))
    graph.add_conditional_edges(START, begin)
    graph.add_edge("plan", "validate")
    graph.add_conditional_edges("validate", _bound(after_validation, shop))
    graph.add_edge("execute", "critique")
    graph.add_conditional_edges("critique", _bound(after_critique, shop))
    graph.add_edge("refine", "plan")
    return graph.compile(checkpointer, name="leed-demonstrations")


def _bound(function: Callable[..., Any], shop: Workshop | None) -> Callable[..., Any]:
    if shop is None:
        return function
    runtime = Runtime(context=shop)

    # The routing functions' return annotations name the edges that the drawing shows.
    def bound(state: State) -> Any:
        return function(state, runtime)

    bound.__name__ = function.__name__
    bound.__annotations__ = {"return": get_type_hints(function)["return"]}
    return bound


def run_graph(shop: Workshop, state: State | None = None, ask: Callable[[Proposal], Decision] | None = None) -> State:
    """Run the machine to its end; the number of rounds bounds it, the recursion limit is only the second lock.

    Args:
        ask: a person's decision about a proposal; needed where the workshop has a review log.
    """
    config: dict[str, Any] = {"recursion_limit": STEPS_PER_ROUND * (shop.settings.rounds + 2)}
    with traced(shop.caller.settings) as config["callbacks"]:
        if ask is None:
            return build_graph().invoke(state or {}, config, context=shop)
        saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=IN_CHECKPOINTS))
        graph = build_graph(checkpointer=saver)
        config["configurable"] = {"thread_id": "review"}
        result = graph.invoke(state or {}, config, context=shop)
        while waiting := result.get("__interrupt__"):
            result = graph.invoke(Command(resume=ask(waiting[0].value)), config, context=shop)
        return result
