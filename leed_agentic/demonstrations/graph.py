"""The state machine of demonstration generation: plan, validate, (review by a person,) execute, critique, refine.

Any LangGraph application can use the compiled graph: `demonstration_graph()`.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import BaseModel, Field, create_model

from leed_agentic.demonstrations.critique import AgentCritique, Critique
from leed_agentic.demonstrations.nodes import NODES, Node, after_begin, after_critique, after_validation, begin, finish
from leed_agentic.demonstrations.parts import NAMES, closed, opened
from leed_agentic.demonstrations.planning import Planned
from leed_agentic.demonstrations.review import Decision, Next, Proposal
from leed_agentic.demonstrations.state import Best, Context, Input, Output, State, onwards
from leed_agentic.demonstrations.validate import Finding, Validation
from leed_agentic.errors import UsageError
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


def onward_steps(context: Context, state: State | None = None, rounds: int | None = None) -> Iterator[State]:
    """Go on from a state until there were so many refinements in all, as if the graph had never stopped.

    A run in which nothing is left to refine, or whose model may not be asked any more, stays as it is.

    Args:
        context: with opened parts.
        state: the last one of an earlier call; None for the beginning.
        rounds: the settings' when None.

    Raises:
        LeedError: as `steps`, which gives what was reached before.
    """
    if state and state.get("stopped"):
        yield state
        return
    parts = context.parts
    if rounds is not None:
        parts = replace(parts, settings=parts.settings.changed({"demonstration.rounds": rounds}))
    yield from steps(replace(context, earlier=onwards(state) if state else None, parts=parts))
