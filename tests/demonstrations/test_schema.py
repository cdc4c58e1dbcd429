"""Schemas are sent only where asked for, are strict and bounded, and one reader takes both kinds of reply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.planning.schema import MOST_VALUES, choice_schema, routes_schema
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.reply import parse_reply
from leed_agentic.errors import UsageError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.roads.catalogue import open_map
from leed_agentic.setting_groups import ModelSettings
from leed_agentic.traffic.demand import scenario_for
from tests.model_server import Answer, ModelServer, Say


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every object in the schema, itself included."""
    if isinstance(schema, list):
        return [found for item in schema for found in objects(item)]
    if not isinstance(schema, dict):
        return []
    inner = [found for item in schema.values() for found in objects(item)]
    return [schema, *inner] if schema.get("type") == "object" else inner


@pytest.mark.parametrize("schema", [routes_schema([0, 3], ["a", "b"], 9), choice_schema(["0.64", "1.20", "0.64"])])
def test_every_object_is_closed_and_whole(schema: dict[str, Any]) -> None:
    found = objects(schema)
    assert found[0] is schema
    assert all(o["additionalProperties"] is False and o["required"] == list(o["properties"]) for o in found)


def test_routes_are_bounded_rows_of_known_agents_and_edges() -> None:
    routes = routes_schema([0, 3], ["a", "b"], 9)["properties"]["routes"]
    row = routes["items"]["properties"]
    assert (routes["minItems"], routes["maxItems"]) == (2, 2)
    assert row["agent"] == {"type": "integer", "enum": [0, 3]}
    assert row["edges"] == {
        "type": "array",
        "items": {"type": "string", "enum": ["a", "b"]},
        "minItems": 1,
        "maxItems": 9,
    }


@pytest.mark.parametrize("edges", [[str(n) for n in range(MOST_VALUES)], ["x" * 200 + str(n) for n in range(100)]])
def test_a_map_too_large_for_a_list_leaves_the_ids_free(edges: list[str]) -> None:
    assert "enum" not in json.dumps(routes_schema([0], edges, 9))


def test_choices_are_listed_once() -> None:
    assert choice_schema(["0.64", "1.20", "0.64"])["properties"]["number"]["enum"] == ["0.64", "1.20"]


def test_the_reader_of_free_text_reads_rows() -> None:
    text = '{"routes": [{"agent": 0, "edges": ["a", "b"]}, {"agent": 1, "edges": ["c"]}]}'
    assert parse_reply(text, [0, 1]).routes == {0: ["a", "b"], 1: ["c"]}


def settings_with(server: ModelServer, planning: str, structured: bool = True) -> Any:
    wanted = {"model.name": "openai:test", "model.base_url": server.url, "model.structured": structured}
    return settings_for_run(overrides={**wanted, "scenario.agents": 2, "demonstration.planning": planning})


def obedient(settings: Any) -> Any:
    """A server that fills in whatever schema it is sent, and answers in free text without one."""
    network = open_map(settings.map.name, settings.map)
    trips = scenario_for(network, settings).agents
    routes = {t.agent: network.shortest_path(t.start_edge, t.destination) for t in trips}

    def answer(body: dict[str, Any]) -> Say:
        schema = body["response_format"]["json_schema"]["schema"]["properties"]
        if "number" in schema:
            return Say(json.dumps({"number": min(schema["number"]["enum"], key=float)}))
        agents = schema["routes"]["items"]["properties"]["agent"]["enum"]
        assert set().union(*(routes[agent] for agent in agents)) <= set(
            schema["routes"]["items"]["properties"]["edges"]["items"]["enum"]
        )
        return Say(json.dumps({"routes": [{"agent": agent, "edges": routes[agent]} for agent in agents]}))

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("planning", ["fleet", "agent", "junction"])
def test_every_way_of_planning_asks_for_its_schema_and_a_replay_needs_no_setting(
    tmp_path: Path, model_server: ModelServer, planning: str
) -> None:
    settings = settings_with(model_server, planning)
    model_server.default = obedient(settings)
    made = generate(settings, tmp_path / "run")
    assert made.summary["validity_initial"] == 1.0
    sent = [request["response_format"] for request in model_server.requests]
    assert all(s["type"] == "json_schema" and s["json_schema"]["strict"] for s in sent)
    header, call, *_ = map(json.loads, (tmp_path / "run" / "calls.jsonl").read_text().splitlines())
    assert header["model"]["structured"] is True
    # Agents are asked at the same time, and any may be the first on record.
    assert call["schema"] in [s["json_schema"]["schema"] for s in sent]
    replayed = {"model.name": "replay", "model.replay": tmp_path / "run" / "calls.jsonl"}
    again = generate(settings_for_run(overrides=replayed), tmp_path / "again")
    assert again.demonstrations.routes == made.demonstrations.routes


@pytest.mark.slow
def test_free_text_is_the_default(tmp_path: Path, model_server: ModelServer) -> None:
    settings = settings_with(model_server, "fleet", structured=False)
    model_server.default = Say("no plan")
    generate(settings, tmp_path / "run")
    assert all("response_format" not in request for request in model_server.requests)
    header = json.loads((tmp_path / "run" / "calls.jsonl").read_text().splitlines()[0])
    assert "structured" not in header["model"]


def test_a_structured_reply_cut_at_the_limit_keeps_its_text_and_tokens(model_server: ModelServer) -> None:
    model_server.default = Say('{"routes": [', finish_reason="length")
    settings = ModelSettings(name="openai:test", base_url=model_server.url, structured=True)
    reply = ModelCaller(settings, None, {}).ask(
        [{"role": "user", "content": "Plan."}], purpose="test", schema=routes_schema([0], ["a"], 9)
    )
    assert (reply.text, reply.finish_reason, reply.input_tokens) == ('{"routes": [', "length", 1)


def test_a_server_that_refuses_schemas_says_so(model_server: ModelServer) -> None:
    model_server.default = Answer(400, '{"error": {"message": "response_format is not supported"}}')
    settings = ModelSettings(name="openai:test", base_url=model_server.url, structured=True)
    with pytest.raises(UsageError, match="response_format is not supported"):
        ModelCaller(settings, None, {}).ask(
            [{"role": "user", "content": "Plan."}], purpose="test", schema=choice_schema(["1.00"])
        )


@pytest.mark.slow
def test_the_stand_in_ignores_it_and_other_providers_refuse_it(tmp_path: Path) -> None:
    wanted = {"model.name": "stand-in", "model.structured": True, "scenario.agents": 2}
    assert generate(settings_for_run(overrides=wanted), tmp_path / "run").summary["validity_final"] == 1.0
    assert "structured" not in json.loads((tmp_path / "run" / "calls.jsonl").read_text().splitlines()[0])["model"]
    with pytest.raises(UsageError, match=r"model\.structured is for OpenAI-compatible servers"):
        ModelCaller(ModelSettings(name="anthropic:claude", structured=True), None, {})
