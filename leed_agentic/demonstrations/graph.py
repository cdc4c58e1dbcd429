"""The state machine of demonstration generation: plan, validate, (review by a person,) execute, critique, refine.

A node is a function from state, context and parts to the change of state; what it finds out, it returns. Any LangGraph
application can use the compiled graph: `demonstration_graph()`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, cast, get_args, get_type_hints

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.config import get_stream_writer
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Overwrite, interrupt
from pydantic import BaseModel, Field, create_model

from leed_agentic.demonstrations.coordination import FleetInTraffic, objective_of
from leed_agentic.demonstrations.critique import AgentCritique, Critique
from leed_agentic.demonstrations.critique import critique as judge
from leed_agentic.demonstrations.execute import execute as drive_routes
from leed_agentic.demonstrations.execute import fastest_alone
from leed_agentic.demonstrations.feedback import Assessment, remarks_of
from leed_agentic.demonstrations.parts import NAMES, Parts, closed, opened
from leed_agentic.demonstrations.planning import Planned, planned_by
from leed_agentic.demonstrations.review import Decision, Next, Proposal, decide, propose
from leed_agentic.demonstrations.state import Best, Context, Input, Output, State, onwards, results_of
from leed_agentic.demonstrations.validate import Finding, Validation
from leed_agentic.demonstrations.validate import validate as validate_routes
from leed_agentic.errors import UsageError
from leed_agentic.models.reply import shortened
from leed_agentic.models.tracing import traced
from leed_agentic.registry import nearest
from leed_agentic.settings import Settings
from leed_agentic.traffic.closures import Closure
from leed_agentic.traffic.demonstration import Round
from leed_agentic.traffic.fleet import Counters
from leed_agentic.traffic.scenario import AgentTrip, BackgroundTrip, Scenario, VehicleType
from leed_agentic.traffic.trajectory import Drive, Episode, Trajectory

MOST_STEPS = 10_000
"""The number of rounds bounds a run; this is only the second lock."""
IN_CHECKPOINTS = (
    *(AgentCritique, Best, Counters, Critique, Decision, Episode, Finding, Planned, Proposal, Round, Trajectory),
    *(Validation, AgentTrip, BackgroundTrip, VehicleType, Scenario, Closure, Drive),
)
"""What a checkpoint may hold besides plain data; tuples in them come back as lists. langgraph.json lists them too."""


# -- nodes -------------------------------------------------------------------------------------------------------------
def begin(state: State, context: Context, parts: Parts) -> State:
    """Every result as it is before anything happened, or as an earlier run left it."""
    earlier = cast(State, context.earlier or {})
    return {
        **results_of(earlier),
        "history": cast(Any, Overwrite(list(earlier.get("history", [])))),
        "fleet": [trip.agent for trip in parts.scenario.agents],
        "refinements": parts.settings.demonstration.rounds,
        "reviewed": context.review,
    }


def plan(state: State, context: Context, parts: Parts) -> State:
    """Ask the model for routes; a cap that is reached ends the run with what there is."""
    number, asked = state["round"], state["asked"] or state["fleet"]
    tell(parts, "plan", f"round {number}: planning routes for {len(asked)} agents", round=number, agents=asked)
    before, started = _counts(parts), time.perf_counter()
    planned = planned_by(parts.planner, parts.request(asked, state["remarks"], state["memory"]))
    calls, read, written = (now - then for now, then in zip(_counts(parts), before, strict=True))
    record = Round(number, asked, 0.0, 0.0, calls=calls, input_tokens=read, output_tokens=written)
    record.seconds = round(time.perf_counter() - started, 3)
    return {
        "asked": asked,
        "planned": planned,
        "memory": planned.memory,
        "stopped": planned.stopped,
        "critique": None,
        "history": [record],
    }


def validate(state: State, context: Context, parts: Parts) -> State:
    """Check the reply edge by edge and keep what is valid; an agent's older valid route outlives a bad new one."""
    planned, asked, fleet = cast(Planned, state["planned"]), state["asked"], state["fleet"]
    most_edges = parts.settings.demonstration.max_route_edges
    found = _by_the_rules(
        parts, validate_routes(parts.network, parts.scenario, planned.routes, planned.problems, most_edges)
    )
    routes = {**state["routes"], **found.valid}
    record = replace(
        state["history"][-1],
        validity_reply=sum(agent in found.valid for agent in asked) / len(asked),
        validity=len(routes) / len(fleet),
        findings=[asdict(f) for f in found.findings if f.agent is None or f.agent in asked],
        routes={agent: list(route) for agent, route in planned.routes.items() if agent in asked},
    )
    best = Best(routes) if len(routes) > len(state["best"].routes) else state["best"]
    said = f"round {state['round']}: {len(routes)} of {len(fleet)} routes valid"
    if record.findings:
        said += f"; last finding: {shortened(record.findings[-1]['message'])}"
    tell(parts, "valid", said, round=state["round"], valid=len(routes), agents=len(fleet))
    return {"validation": found, "routes": routes, "best": best, "history": [record]}


def _by_the_rules(parts: Parts, found: Validation) -> Validation:
    """Routes that break a rule are no valid ones."""
    broken = parts.fleet.broken_by(found.valid) if parts.rules is not None and parts.fleet is not None else []
    if not broken:
        return found
    agents = {one.agent for one in broken}
    findings = [Finding(one.agent, "rule", one.message) for one in broken]
    kept = {agent: route for agent, route in found.valid.items() if agent not in agents}
    return replace(found, valid=kept, findings=[*found.findings, *findings])


def review(state: State, context: Context, parts: Parts) -> Command[Next]:
    """Wait for a person's decision before anything is driven."""
    # LangGraph runs the node from its start again when the decision comes, so nothing is written above this line.
    decision = interrupt(propose(state))
    update, following = decide(parts, state, decision)
    return Command(update=update, goto=following)


def execute(state: State, context: Context, parts: Parts) -> State:
    """Drive the kept routes in SUMO."""
    routes, fleet = state["routes"], parts.fleet
    tell(parts, "drive", f"round {state['round']}: driving {len(routes)} routes in SUMO", routes=len(routes))
    if fleet is not None and len(routes) == len(state["fleet"]):
        return _drive_in_traffic(state, parts, fleet)
    with parts.simulation() as env:
        return {"episode": drive_routes(env, parts.scenario, routes, parts.settings.seed)}


def _drive_in_traffic(state: State, parts: Parts, fleet: FleetInTraffic) -> State:
    """The plan among its baselines and those before it, in plain SUMO; what is best then is driven once more, for its
    trajectories, where it is not the set that was best before."""
    planned, best = state["planned"], state["best"]
    problems = planned.problems if planned is not None else []
    unread = sum(problem.kind == "unreadable" for problem in problems)
    one = fleet.attempt(state["routes"], f"round {state['round']}", unread)
    by_reward = objective_of(parts.settings) == "reward"
    routes = state["routes"] if by_reward else fleet.routes()
    episode = best.episode if best.routes == routes else None
    if episode is None:
        with parts.simulation() as env:
            episode = drive_routes(env, parts.scenario, routes, parts.settings.seed)
    figures = fleet.figures()
    seen = one or fleet.best
    said: dict[str, Any] = {
        "fleet_time": round(seen.fleet, 2),
        "others_time": seen.others,
        "moved": one.moved if one else 0,
        "unread": unread,
    }
    tell(parts, "traffic", f"{seen.fleet:.1f} s an agent, best {figures['fleet_time']:.1f} s", **said)
    records = state["history"][-1:] if planned is not None else []
    history = [replace(record, **said, kept=one is None or one.best) for record in records]
    return {"episode": episode, "routes": routes, "traffic": figures, "history": history}


def critique(state: State, context: Context, parts: Parts) -> State:
    """Judge the drive against the agents' own trajectories, or on its own where there are none; the better of this set
    and the best so far stays."""
    episode, alone = cast(Episode, state["episode"]), state["alone"]
    fleet = parts.fleet if len(episode.trajectories) == len(state["fleet"]) else None
    if fleet is not None:
        return _criticise_in_traffic(state, context, parts, fleet)
    if unmeasured := [agent for agent in episode.trajectories if agent not in alone]:
        with parts.simulation() as env:
            alone = {**alone, **fastest_alone(env, parts.scenario, unmeasured)}
    judged = judge(parts.network, episode, alone, parts.settings.demonstration.accept_ratio, context.trajectories)
    said = f"mean reward {episode.mean_reward:.1f}, {episode.arrival_rate:.0%} arrived"
    tell(parts, "driven", said, reward_mean=episode.mean_reward, arrival_rate=episode.arrival_rate)
    records = state["history"][-1:] if state["planned"] is not None else []
    figures: dict[str, Any] = {"reward_mean": episode.mean_reward, "arrival_rate": episode.arrival_rate}
    figures |= {"travel_time_ratio": judged.mean("ratio"), "dtw_mean": judged.mean("dtw")}
    candidate = Best(state["routes"], episode, judged)
    best = candidate if candidate.rank >= state["best"].rank else state["best"]
    return {
        "critique": judged,
        "alone": alone,
        "best": best,
        "routes": best.routes,
        "history": [replace(record, **figures) for record in records],
    }


def _criticise_in_traffic(state: State, context: Context, parts: Parts, fleet: FleetInTraffic) -> State:
    """Those with most to gain in the traffic that was driven are worth planning again."""
    # Training goes on from a checkpoint: its fleet was not driven in this process.
    driven = state if fleet.begun else {**state, **_drive_in_traffic({**state, "planned": None}, parts, fleet)}
    episode, alone = cast(Episode, driven["episode"]), driven["alone"] or fleet.alone()
    judged = judge(parts.network, episode, alone, parts.settings.demonstration.accept_ratio, context.trajectories)
    # Where nobody moved, the next question would be the last one again.
    idle = state["planned"] is not None and state["round"] > 0 and driven["history"][-1].moved == 0
    going_on = state["round"] < state["refinements"] and not state["stopped"] and not idle
    judged.slow = fleet.asked() if going_on else []
    if judged.slow and getattr(parts.planner, "whole_fleet", False):
        judged.slow = list(state["fleet"])
    candidate = Best(driven["routes"], episode, judged)
    by_reward = objective_of(parts.settings) == "reward"
    best = candidate if not by_reward or candidate.rank >= state["best"].rank else state["best"]
    figures: dict[str, Any] = {"reward_mean": episode.mean_reward, "arrival_rate": episode.arrival_rate}
    figures |= {"travel_time_ratio": judged.mean("ratio"), "dtw_mean": judged.mean("dtw")}
    records = driven["history"][-1:] if state["planned"] is not None else []
    return {
        "critique": judged,
        "episode": episode,
        "alone": alone,
        "best": best,
        "routes": best.routes,
        "traffic": driven["traffic"],
        "history": [replace(record, **figures) for record in records],
    }


def refine(state: State, context: Context, parts: Parts) -> State:
    """Write what the model is told next: d <- d with {tau^a, tau^e}."""
    judged = state["critique"]
    assessment = Assessment(state["validation"], judged, context.stationarity)
    remarks = remarks_of(parts.settings.demonstration.feedback, assessment)
    if judged is not None and parts.fleet is not None and judged.slow:
        remarks = {**remarks, **parts.fleet.remarks()}
    missing = [agent for agent in state["fleet"] if agent not in state["routes"]]
    asked = missing + (judged.slow if judged else [])
    following = state["round"] + (state["planned"] is not None)
    return {"round": following, "remarks": {a: remarks[a] for a in asked if a in remarks}, "asked": asked}


def finish(state: State, context: Context, parts: Parts) -> State:
    """The best set is the result."""
    summary = summary_of(state, parts)
    tell(parts, "done", f"{summary['validity_final']:.0%} of the agents have a valid route", **summary)
    return {"routes": state["best"].routes, "summary": summary}


Node = Callable[[State, Context, Parts], Any]
NODES: tuple[Node, ...] = (begin, plan, validate, review, execute, critique, refine, finish)


# -- edges -------------------------------------------------------------------------------------------------------------
def after_begin(state: State) -> Literal["plan", "critique", "refine"]:
    """A run that already has driven routes (training goes on) begins by judging them against the agents' latest; one
    that has a plan that was not valid, by what the model is told of it."""
    if state["episode"] is not None:
        return "critique"
    return "refine" if state["planned"] is not None else "plan"


def after_validation(state: State) -> Literal["execute", "review", "refine", "finish"]:
    """Invalid routes go back to the model while rounds are left; what is valid in the end is driven, after a person
    has seen it where one is asked."""
    complete = len(state["routes"]) == len(state["fleet"])
    if not complete and not state["stopped"] and state["round"] < state["refinements"]:
        return "refine"
    if state["reviewed"]:
        return "review"
    return "execute" if state["routes"] else "finish"


def after_critique(state: State) -> Literal["refine", "finish"]:
    """Slow routes go back to the model while rounds are left."""
    judged = state["critique"]
    complete = len(state["routes"]) == len(state["fleet"])
    good = complete and (judged is None or judged.acceptable)
    return "finish" if good or state["stopped"] or state["round"] >= state["refinements"] else "refine"


# -- the graph ---------------------------------------------------------------------------------------------------------
_HINTS = get_type_hints(Input, include_extras=True)
_FIELDS: dict[str, Any] = {
    name: (hint.__origin__ | None, Field(None, description=hint.__metadata__[-1].description))
    for name, hint in _HINTS.items()
}
_ARGUMENTS = create_model("Arguments", **_FIELDS)


class DemonstrationGraph(CompiledStateGraph[State, Context, Input, Output]):
    """The compiled graph. It refuses an input key that it does not know, which LangGraph would leave out silently."""

    def as_tool(self, args_schema: type[BaseModel] | None = None, **more: Any) -> Any:
        """The graph as LangChain's tool."""
        # LangChain would make every argument one that has to be given.
        return super().as_tool(args_schema or _ARGUMENTS, **more)

    def stream(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Iterator[Any]:
        """LangGraph's `stream`, on the same input."""
        return super().stream(_known(input, config), config, **more)

    def astream(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> AsyncIterator[Any]:
        """LangGraph's `astream`, on the same input."""
        return super().astream(_known(input, config), config, **more)


def _known(given: Any, config: RunnableConfig | None) -> Any:
    # As a node of another graph it is handed that graph's whole state, and what reads it.
    inside = "__pregel_read" in ((config or {}).get("configurable") or {})
    unknown = sorted(set(given) - set(NAMES)) if isinstance(given, Mapping) and not inside else []
    if unknown:
        raise UsageError(f"Unknown input {unknown[0]!r}: {nearest(str(unknown[0]), NAMES)}")
    return given


def demonstration_graph(
    settings: Settings | None = None,
    model: BaseChatModel | None = None,
    *,
    review: bool = False,
    checkpointer: Any = None,
) -> DemonstrationGraph:
    """The graph for any LangGraph application: `demonstration_graph().invoke({"agents": 5})["routes"]`.

    Nothing is opened before it runs, so that this may be called in an event loop. What is given here holds where the
    caller's own context is no `Context`, as in a subgraph of another application.

    Args:
        settings: those of the LEED_ variables when None.
        model: a chat model of your own to ask.
        review: whether to stop for a person's decision (an interrupt, answered by `Command(resume=...)` with a
            `Decision` or its fields); needs a checkpointer.
        checkpointer: as `StateGraph.compile` takes it.
    """
    default = Context(settings=settings, model=model, review=review)
    graph = StateGraph(State, context_schema=Context, input_schema=Input, output_schema=Output)
    for node in NODES:
        # Where a command leads is told, for the drawing; from other nodes the edges below lead on.
        ends = get_args(Next) if node.__name__ == "review" else None
        graph.add_node(node.__name__, _node(node, default), destinations=ends)
    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", after_begin)
    graph.add_edge("plan", "validate")
    graph.add_conditional_edges("validate", after_validation)
    graph.add_edge("execute", "critique")
    graph.add_conditional_edges("critique", after_critique)
    graph.add_edge("refine", "plan")
    graph.add_edge("finish", END)
    if isinstance(checkpointer, BaseCheckpointSaver):
        checkpointer = checkpointer.with_allowlist([(kind.__module__, kind.__qualname__) for kind in IN_CHECKPOINTS])
    compiled = graph.compile(checkpointer, name="leed-demonstrations")
    fields = {name: value for name, value in vars(compiled).items() if name != "__orig_class__"}
    return DemonstrationGraph(**fields).with_config({"recursion_limit": MOST_STEPS})


def _node(function: Node, default: Context) -> Any:
    """The function as LangGraph calls it; what the graph has opened for a run is closed at its end, however it ends."""

    def node(state: State, runtime: Runtime[Context]) -> Any:
        context = runtime.context if isinstance(runtime.context, Context) else default
        if function is begin:
            number, given = uuid.uuid4().hex, {name: value for name, value in state.items() if name in NAMES}
        else:
            number, given = state["run"], state["given"]
        try:
            history = () if function is begin else state["history"]
            result = function(state, context, opened(number, given, context, history))
        except GraphBubbleUp:
            # A person is asked: the run goes on later.
            raise
        except BaseException:
            closed(number)
            raise
        if function is finish:
            closed(number)
        return {**result, "run": number, "given": given} if function is begin else result

    node.__name__ = function.__name__
    return node


def tell(parts: Parts, event: str, text: str, **facts: Any) -> None:
    """Say what happens: a `custom` event of LangGraph's streams, and a line for whoever follows the progress."""
    get_stream_writer()({"event": event, "text": text, **facts})
    parts.progress(text)


def _counts(parts: Parts) -> tuple[int, int, int]:
    """Calls, input tokens and output tokens so far; tokens of replayed calls count as none."""
    usage = parts.caller.usage
    return usage.calls, usage.input_tokens, usage.output_tokens


def summary_of(state: State, parts: Parts) -> dict[str, Any]:
    """What came of a run so far, in figures."""
    best, history = state.get("best", Best()), state.get("history", [])
    driven, judged = best.episode, best.critique
    return {
        "map": parts.network.name,
        "agents": len(parts.scenario.agents),
        "model": parts.caller.label,
        "planning": parts.settings.demonstration.planning,
        "rounds": max((record.round for record in history), default=0),
        "validity_initial": history[0].validity_reply if history else 0.0,
        "validity_final": len(best.routes) / len(parts.scenario.agents),
        "reward_mean": driven.mean_reward if driven else None,
        "arrival_rate": driven.arrival_rate if driven else 0.0,
        "travel_time_ratio": judged.mean("ratio") if judged else None,
        "dtw_mean": judged.mean("dtw") if judged else None,
        "traffic": state.get("traffic") or None,
        "input_tokens": parts.caller.usage.reported[0],
        "output_tokens": parts.caller.usage.reported[1],
        "calls": parts.caller.usage.calls,
    }


# -- running it in a process of one's own ------------------------------------------------------------------------------
def steps(
    context: Context,
    callbacks: Sequence[BaseCallbackHandler] = (),
    ask: Callable[[Proposal], Decision] | None = None,
) -> Iterator[State]:
    """Run the graph on the context's parts and give the state after every node, so that an error loses none of it.

    Args:
        callbacks: LangChain handlers that see every step, besides those that the settings name.
        ask: a person's decision about a proposal; needed where the context says review.

    Raises:
        LeedError: as planner, model and simulation raise it.
    """
    parts = context.parts
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=IN_CHECKPOINTS)) if ask else None
    graph = demonstration_graph(checkpointer=saver)
    with traced(parts.settings.model) as handlers:
        config: RunnableConfig = {"callbacks": [*handlers, *callbacks], "configurable": {"thread_id": "run"}}
        given: Any = {}
        while given is not None:
            waiting = None
            for mode, chunk in graph.stream(given, config, context=context, stream_mode=["values", "updates"]):
                if mode == "values" and "run" in chunk:
                    yield chunk
                elif mode == "updates" and "__interrupt__" in chunk:
                    waiting = chunk["__interrupt__"][0].value
            given = Command(resume=ask(waiting)) if ask and waiting is not None else None


def run(context: Context, state: State | None = None, rounds: int | None = None) -> State:
    """Go on from a state until there were so many refinements in all, as if the graph had never stopped.

    A run in which nothing is left to refine, or whose model may not be asked any more, stays as it is.

    Args:
        context: with opened parts.
        state: what an earlier call returned; None for the beginning.
        rounds: the settings' when None.

    Raises:
        LeedError: as `steps`, which gives what was reached before.
    """
    *_, last = onward_steps(context, state, rounds)
    return last


def onward_steps(context: Context, state: State | None = None, rounds: int | None = None) -> Iterator[State]:
    """The steps of `run`."""
    if state and state.get("stopped"):
        yield state
        return
    parts = context.parts
    if rounds is not None:
        parts = replace(parts, settings=parts.settings.changed({"demonstration.rounds": rounds}))
    yield from steps(replace(context, earlier=onwards(state) if state else None, parts=parts))
