"""The graph in somebody else's LangGraph application: schemas, input, chat model, streams, threads, subgraph, tool."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from pydantic import Field
from typing_extensions import TypedDict

from leed_agentic.demonstrations import parts
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.graph import IN_CHECKPOINTS, demonstration_graph, onward_steps
from leed_agentic.demonstrations.parts import open_parts
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.state import Context
from leed_agentic.errors import UsageError
from leed_agentic.models.stand_in import StandIn

TWO = {"agents": 2}


class Mine(BaseChatModel):
    """A chat model as any application may have one."""

    asked: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "mine"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any) -> ChatResult:
        self.asked.append(str(messages[-1].content))
        return StandIn(error_rate=0.0)._generate(messages)


class Watch(BaseCallbackHandler):
    def __init__(self) -> None:
        self.models, self.chains = 0, 0

    def on_chat_model_start(self, *given: Any, **more: Any) -> None:
        self.models += 1

    def on_chain_start(self, *given: Any, **more: Any) -> None:
        self.chains += 1


@pytest.fixture
def settings() -> Any:
    return settings_for_run(overrides={"model.name": "stand-in", "scenario.agents": 3, "seed": 1})


@pytest.fixture
def graph(settings: Any) -> Any:
    return demonstration_graph(settings)


def test_every_schema_is_whole(graph: Any) -> None:
    assert set(graph.get_input_jsonschema()["properties"]) == {"map", "agents", "model", "planning", "rounds", "seed"}
    assert set(graph.get_output_jsonschema()["properties"]) == {"routes", "summary", "stopped"}
    assert set(graph.get_context_jsonschema()["properties"]) == {"settings", "review"}
    assert all(graph.channels[name].UpdateType for name in graph.stream_channels_list)


@pytest.mark.slow
def test_a_second_invoke_starts_afresh_and_nothing_stays_open(graph: Any) -> None:
    first = graph.invoke(TWO)
    assert sorted(first["routes"]) == [0, 1]
    assert json.loads(json.dumps(first))["summary"] == first["summary"]
    assert graph.invoke(TWO) == first
    assert sorted(graph.invoke({})["routes"]) == [0, 1, 2]
    assert asyncio.run(graph.ainvoke(TWO)) == first
    assert parts._runs == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agent": 2}, "Unknown input 'agent': did you mean 'agents'"),
        ({"agents": 0}, r"scenario\.agents"),
        ({"map": "braunschwieg"}, "braunschweig"),
        ({"planning": "flet"}, "did you mean 'fleet'"),
        ({"model": "opnai:x"}, "did you mean 'openai'"),
        ({"planning": "os.system"}, "names code to run"),
    ],
)
def test_a_wrong_input_is_one_sentence(graph: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        graph.invoke(given)
    assert parts._runs == {}


@pytest.mark.slow
def test_a_chat_model_of_ones_own_and_callbacks(settings: Any, tmp_path: Any) -> None:
    model, watch = Mine(), Watch()
    result = generate(settings, tmp_path / "run", model=model, callbacks=[watch])
    assert result.demonstrations.validity == 1.0
    assert result.summary["model"] == "Mine"
    assert len(model.asked) == result.summary["calls"] == watch.models == 1
    assert watch.chains > 4
    seen = Watch()
    output = demonstration_graph(settings, model=model).invoke(TWO, {"callbacks": [seen]})
    assert output["summary"]["model"] == "Mine"
    assert seen.models == 1
    context = Context(settings=settings, model=model)
    assert demonstration_graph().invoke(TWO, context=context)["routes"] == output["routes"]


@pytest.mark.slow
def test_events_say_what_happens(graph: Any) -> None:
    events = list(graph.stream(TWO, stream_mode="custom"))
    kinds = [event["event"] for event in events]
    assert kinds[0] == "plan"
    assert kinds[-3:] == ["drive", "driven", "done"]
    assert events[0]["agents"] == [0, 1]
    assert {"valid", "agents"} < set(events[1])
    assert events[-2]["arrival_rate"] == 1.0
    assert all(event["text"] for event in events)

    async def again() -> list[Any]:
        return [event async for event in graph.astream(TWO, stream_mode="custom")]

    assert [event["event"] for event in asyncio.run(again())] == kinds


@pytest.mark.slow
def test_a_thread_begins_anew_and_its_checkpoints_hold_no_key(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-of-a-test")
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=IN_CHECKPOINTS))
    graph, thread = demonstration_graph(settings, checkpointer=saver), {"configurable": {"thread_id": "a"}}
    first = graph.invoke(TWO, thread)
    rounds = len(graph.get_state(thread).values["history"])
    assert graph.invoke(TWO, thread) == first
    assert len(graph.get_state(thread).values["history"]) == rounds
    assert sorted(graph.invoke({}, thread)["routes"]) == [0, 1, 2]
    assert "CANARY" not in repr([saver.storage, saver.writes, saver.blobs])


@pytest.mark.slow
def test_a_person_in_somebody_elses_application(settings: Any) -> None:
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=IN_CHECKPOINTS))
    graph = demonstration_graph(settings, review=True, checkpointer=saver)
    thread = {"configurable": {"thread_id": "a"}}
    asked = graph.invoke(TWO, thread)["__interrupt__"][0].value
    assert sorted(asked.routes) == [0, 1]
    # As after a restart: the parts are opened again, and what was asked before counts.
    parts.closed(graph.get_state(thread).values["run"])
    refused = graph.invoke(Command(resume={"action": "drive off"}), thread)["__interrupt__"][0].value
    assert "That is no decision" in refused.notes[-1]
    done = graph.invoke(Command(resume={"action": "accept"}), thread)
    assert done["summary"]["arrival_rate"] == 1.0
    assert done["summary"]["calls"] == sum(record.calls for record in graph.get_state(thread).values["history"]) > 0
    assert parts._runs == {}


@pytest.mark.slow
def test_a_subgraph_under_a_foreign_context(graph: Any) -> None:
    class Theirs(TypedDict, total=False):
        agents: int
        routes: dict[int, list[str]]
        note: str

    class TheirContext(TypedDict):
        user: str

    outer = StateGraph(Theirs, context_schema=TheirContext)
    outer.add_node("leed", graph)
    outer.add_edge(START, "leed")
    found = outer.compile().invoke({"agents": 2, "note": "kept"}, context={"user": "somebody"})
    assert sorted(found["routes"]) == [0, 1]
    assert found["note"] == "kept"


@pytest.mark.filterwarnings("ignore:This API is in beta")
def test_a_tool(graph: Any) -> None:
    tool = graph.as_tool(name="plan_routes", description="Plan routes for a fleet.")
    assert "description" in tool.args_schema.model_json_schema()["properties"]["agents"]
    assert sorted(tool.invoke(TWO)["routes"]) == [0, 1]
    message = tool.invoke({"name": "plan_routes", "args": TWO, "id": "1", "type": "tool_call"})
    assert "validity_final" in message.content


@pytest.mark.slow
def test_going_on_is_as_if_it_had_never_stopped(settings: Any) -> None:
    changes = {"demonstration.accept_ratio": 1.0, "model.stand_in_error_rate": 1.0, "demonstration.corridor_paths": 0}
    hard = settings.changed({**changes, "demonstration.prompt_tokens": 100_000, "scenario.agents": 8})

    def histories(stages: list[int]) -> list[Any]:
        opened = open_parts(hard)
        try:
            state = None
            for rounds in stages:
                *_, state = onward_steps(Context(parts=opened), state, rounds)
        finally:
            opened.close()
        assert state is not None
        return [(record.round, record.asked, record.routes, record.reward_mean) for record in state["history"]]

    at_once = histories([3])
    assert len(at_once) == 4, "every round is used"
    assert histories([0, 1, 3]) == at_once
