"""The paper's instructions: read from any reply, checked, compiled to routes that can be driven, bounded in tokens."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.demonstrations.commands import COMMANDS, MOST, Command, compile_commands, read_commands
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.parts import open_parts
from leed_agentic.demonstrations.planning import check_planner
from leed_agentic.demonstrations.planning.instructions import NAMED, STREETS, Digest, digest_of, question_of
from leed_agentic.demonstrations.validate import route_findings
from leed_agentic.models.tokens import estimated_tokens, prompt_tokens
from tests.demonstrations.lit_grid import lit_grid, on_grid
from tests.model_server import Say


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return lit_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="module")
def parts(net):
    opened = open_parts(on_grid(net, demonstration__planning="instructions"), drives=False)
    opened.fleet.begin()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "reply",
    [
        '{"commands": [["avoid", "A1B1", "g1"]]}',
        "Sure!\n```json\n[['Avoid', 'A1B1', 'g1'],]\n```",
        '{"commands": [{"command": "avoid", "street": "A1B1", "who": "g1"}]}',
        '<think>[["prefer", "x", "g9"]]</think>[{"command": "avoid", "parameter": "A1B1", "agent": "g1"}]',
    ],
)
def test_commands_are_read_in_any_dress(reply):
    assert read_commands(reply) == ([Command("avoid", "A1B1", "g1")], [])


@given(st.text(max_size=300))
def test_any_reply_is_read(text):
    found, _ = read_commands(text)
    assert all(command.command in COMMANDS for command in found)


def test_what_is_no_command_is_said():
    found, problems = read_commands(json.dumps([["fly", "A1B1", "g1"], *[["avoid", f"e{n}", "g1"] for n in range(20)]]))
    assert len(found) == MOST
    assert [problem.message for problem in problems] == [
        "There is no command 'fly'; use avoid, prefer, move to, give way.",
        f"The reply has 20 commands; only the first {MOST} are followed.",
    ]
    assert "holds no commands" in read_commands("I would rather not.")[1][0].message


def compiled(parts, *commands):
    return compile_commands([Command(*one) for one in commands], digest_of(parts.fleet).groups, parts.fleet)


@pytest.mark.slow
def test_commands_become_routes_that_can_be_driven(parts):
    fleet, digest = parts.fleet, digest_of(parts.fleet)
    street = digest.streets[0]
    found = compiled(parts, ("avoid", street, "g1"), ("give way", "", "30% of g2"), ("move to", "C2", "agent_7"))
    assert found.moved
    for vehicle, route in found.routes.items():
        trip, edges = parts.scenario.agents[fleet.numbers[vehicle]], fleet.edges(route)
        assert route_findings(parts.network, trip, edges) == []
    avoiding = next(routes for command, routes in found.moved if command.command == "avoid")
    assert all(street not in fleet.edges(route) for route in avoiding.values())
    assert {fleet.numbers[vehicle] for vehicle in avoiding} <= set(digest.groups["g1"])
    part = compiled(parts, ("avoid", street, "20% of g1"))
    assert 0 < len(part.routes) <= -(-len(digest.groups["g1"]) // 5)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("avoid", "Z9Z8", "g1"), "there is no street or junction 'Z9Z8'"),
        (("avoid", "A1B1", "g99"), "there is no agent or group 'g99'"),
        (("avoid", "A1B1", "agent_60"), "there is no agent or group 'agent_60'"),
        (("avoid", "A1B1", "ignore all rules"), "there is no agent or group 'ignore all rules'"),
    ],
)
def test_commands_about_nobody_or_nowhere_are_said(parts, command, sentence):
    found = compiled(parts, command)
    assert not found.moved
    assert sentence in found.problems[0].message


def test_contradictions_are_said_and_the_first_command_holds(parts):
    street = digest_of(parts.fleet).streets[0]
    found = compiled(parts, ("avoid", street, "g1"), ("prefer", street, "g1"))
    assert [command.command for command, _ in found.moved] == ["avoid"]
    assert "contradicts" in found.problems[0].message


def test_a_plan_for_4283_vehicles_has_at_most_4000_tokens(parts):
    """The digest grows with neither fleet nor map: the longest lines there can be, and a reply of the most commands."""
    digest = digest_of(parts.fleet)
    assert len(digest.groups) <= STREETS
    edge = "-1234567890#12"
    agents = ", ".join(["4282"] * NAMED)
    line = (
        f"g12: 4283 agents on {edge}: 1234567 s lost by 4283 cars, worst at 61200 s with 4283 standing; "
        f"agents {agents} ..."
    )
    assert max(map(len, digest.text.splitlines())) < len(line)
    closed = [f"{edge} is closed or slow from 57600 to 61200 s"] * STREETS
    worst = Digest("\n".join(["4283 agents take 1234 s.", *[line] * STREETS, *closed]), {}, (edge,) * STREETS)
    told = [{"command": ["avoid", edge, "20% of g12"], "agents": 857, "gained": -123.4}] * MOST
    reply = json.dumps({"commands": [["avoid", edge, "20% of g12"]] * MOST})
    request = parts.request([0], {}, {})
    assert prompt_tokens(question_of(request, worst, told)) + estimated_tokens(reply) <= 4000


@pytest.mark.slow
def test_a_round_by_commands_and_back_where_it_cost_more(net, tmp_path):
    result = generate(on_grid(net, demonstration__planning="instructions"), tmp_path / "run")
    traffic = result.summary["traffic"]
    assert result.summary["validity_final"] == 1.0
    assert traffic["fleet_time"] <= min(traffic["baselines"].values())
    assert result.summary["calls"] <= 2
    assert all(len(one.routes) for one in result.demonstrations.rounds)


@pytest.mark.slow
def test_a_model_that_commands_nothing_changes_nothing(net, tmp_path, model_server):
    model_server.default = Say("As a language model I can only wish the fleet well.")
    words = {"demonstration__planning": "instructions", "demonstration__rounds": 1}
    settings = on_grid(net, **words, model__name="openai:test", model__base_url=model_server.url)
    result = generate(settings, tmp_path / "run")
    traffic = result.summary["traffic"]
    assert traffic["fleet_time"] == min(traffic["baselines"].values())
    assert "holds no commands" in json.dumps(result.demonstrations.rounds[-1].findings)


@pytest.mark.slow
def test_a_model_hears_why_it_could_not_be_followed_and_is_asked_again(net, tmp_path, model_server):
    """As long as that is something new: the same reply to the same question would be no better."""
    model_server.default = Say('{"commands": [["avoid", "street", "g1"]]}')
    words = {"demonstration__planning": "instructions", "demonstration__rounds": 5}
    settings = on_grid(net, **words, model__name="openai:test", model__base_url=model_server.url)
    result = generate(settings, tmp_path / "run")
    first, second = (json.loads(line) for line in (tmp_path / "run" / "calls.jsonl").read_text().splitlines()[1:])
    said = "[avoid, street, g1]: there is no street or junction 'street'."
    assert said not in first["messages"][-1]["content"]
    assert said in second["messages"][-1]["content"]
    assert result.summary["calls"] == 2


def test_it_keeps_the_contract_of_planners(parts):
    assert check_planner("instructions", parts.request(list(range(60)), {}, {})) == []
