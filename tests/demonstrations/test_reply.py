"""Any text gives routes or findings, quickly; routes survive every form in which a model may write them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.demonstrations.reply import ParsedReply, parse_reply, read_reply, resolve_steps
from leed_agentic.demonstrations.validate import validate
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import ScenarioSettings
from leed_agentic.traffic.scenario import draw_scenario

Routes = dict[int, list[str]]

FORMS: dict[str, Callable[[Routes], str]] = {
    "json": lambda routes: json.dumps(routes),
    "python": lambda routes: repr(routes),
    "python, trailing commas": lambda routes: "{" + "".join(f"{a}: {r},\n" for a, r in routes.items()) + "}",
    "agent_n": lambda routes: json.dumps({f"agent_{a}": r for a, r in routes.items()}, indent=2),
    "Agent n": lambda routes: json.dumps({f"Agent {a}": r for a, r in routes.items()}),
    "rows": lambda routes: json.dumps({"routes": [{"agent": a, "edges": r} for a, r in routes.items()]}),
    "bare rows": lambda routes: json.dumps([{"agent": f"agent_{a}", "route": r} for a, r in routes.items()]),
    "wrapped": lambda routes: json.dumps({"note": "as asked", "routes": [{str(a): r} for a, r in routes.items()]}),
    "one object a line": lambda routes: "\n".join(json.dumps({str(a): r}) for a, r in routes.items()),
}
AROUND: dict[str, Callable[[str], str]] = {
    "bare": lambda text: text,
    "fenced": lambda text: f"```json\n{text}\n```",
    "prose": lambda text: (
        f"Sure! Here's the plan [as you asked] (it isn't long):\n{text}\nLet me know {{if}} it helps."
    ),
    "thought": lambda text: f'<think>\nMaybe {{"0": ["wrong"]}}? No.\n</think>\n\n{text}',
}
# No street is called like the marks that part a model's thoughts from its answer; Hypothesis finds them in the source.
IDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), min_size=1, max_size=12
).filter(lambda name: not re.search(r"<[/|]?\w", name))
ROUTES = st.dictionaries(st.integers(0, 99), st.lists(IDS, min_size=1, max_size=6), min_size=2, max_size=5)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_dress(form: str, around: str) -> None:
    routes = {0: ["947062713#0", "-73541769#3"], 1: ["A0B0"], 12: ["cluster_1_2#3", "it's"]}
    parsed = parse_reply(AROUND[around](FORMS[form](routes)), list(routes))
    assert parsed == ParsedReply(routes)


@given(routes=ROUTES, form=st.sampled_from(sorted(FORMS)))
def test_any_routes_come_back_as_they_were_written(routes: Routes, form: str) -> None:
    assert parse_reply(FORMS[form](routes), list(routes)).routes == routes


@given(st.text(max_size=400))
def test_no_text_raises(text: str) -> None:
    parsed = parse_reply(text, [0, 1])
    assert set(parsed.routes) | set(parsed.steps) <= {0, 1}
    assert parsed.routes or parsed.steps or parsed.problems


FRAGMENTS = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    ":",
    ",",
    "0",
    "agent_1",
    '"a"',
    "move to",
    "\\",
    "\n",
    "routes",
    "agent",
    "edges",
]


@pytest.mark.slow
@settings(max_examples=400)
@given(
    st.lists(
        st.sampled_from([*FRAGMENTS, "<think>", "</think>", "```", "1e999", "None", "-", "*", "null"]), max_size=40
    )
)
def test_no_heap_of_brackets_and_quotes_raises(pieces: list[str]) -> None:
    for text in ("".join(pieces), " ".join(pieces)):
        assert isinstance(parse_reply(text, [0, 1]), ParsedReply)
        assert isinstance(parse_reply(text, [3]), ParsedReply)


@pytest.mark.slow
@given(ROUTES, st.data())
def test_a_reply_cut_anywhere_keeps_what_it_says_and_invents_nothing(routes: Routes, data: st.DataObject) -> None:
    text = FORMS[data.draw(st.sampled_from(sorted(FORMS)))](routes)
    parsed = parse_reply(text[: data.draw(st.integers(0, len(text)))], list(routes))
    assert set(parsed.routes) <= set(routes)
    assert all(route == routes[agent][: len(route)] for agent, route in parsed.routes.items())


SHAPES = {
    "empty": "",
    "blank": " \n\t ",
    "prose": "I am sorry, I cannot plan routes.",
    "null": "null",
    "number": "42",
    "no edges": '{"thoughts": "none"}',
    "still thinking": '<think>{"0": ["a"]}',
    "deep lists": "[" * 10_000 + "]" * 10_000,
    "deep objects": '{"0":' * 10_000 + "1" + "}" * 10_000,
    "deep, open": "[" * 1_000_000,
    "5 MB of prose": "word " * 1_000_000,
    "5 MB of routes": '{"0": [' + ",".join(['"abc"'] * 900_000) + "]}",
    "2 MB of brackets": "[]" * 1_000_000,
    "2 MB of small objects": "{x}" * 660_000,
    "2 MB of open quotes": "['" * 1_000_000,
    "2 MB of closing brackets": "]" * 2_000_000,
    "think tags": "<think>" * 280_000,
    "huge number": '{"0": [' + "9" * 10_000 + "]}",
    "signs": "[" + "-" * 100_000 + "1]",
    "sums": "[" + "1+" * 90_000 + "1]",
    "unhashable key": "{[]: 1}",
    "set": '{"a", "b"}',
    "f-string": "{0: [f'{1}']}",
    "null byte": '{"0": [\0]}',
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_holds_no_routes_gives_a_finding_quickly(shape: str) -> None:
    started = time.perf_counter()
    parsed = parse_reply(SHAPES[shape], [0, 1])
    assert time.perf_counter() - started < 5
    assert not parsed.routes
    assert parsed.problems
    assert all(p.kind == "unreadable" and p.message.isprintable() and len(p.message) < 300 for p in parsed.problems)


@pytest.mark.parametrize(
    "text",
    [
        "{{0: [__import__('pathlib').Path({file!r}).touch()]}}",
        "[open({file!r}, 'w')]",
        "{{0: ['a' if open({file!r}, 'w') else 'b']}}",
        "```python\nopen({file!r}, 'w')\n```\n{{0: [x for x in [open({file!r}, 'w')]]}}",
    ],
)
def test_code_is_not_run(text: str, tmp_path: Path) -> None:
    file = tmp_path / "made"
    parsed = parse_reply(text.format(file=str(file)), [0])
    assert not file.exists()
    assert not parsed.routes
    assert parsed.problems


@pytest.mark.parametrize(
    "text",
    [
        '{"0": ["a"], "0": ["b"], "1": ["c"]}',
        '{"0": ["a"], "agent_0": ["b"], "1": ["c"]}',
        "{0: ['a'], 0: ['b'], 1: ['c']}",
        '[{"agent": 0, "edges": ["a"]}, {"agent": 0, "edges": ["b"]}, {"agent": 1, "edges": ["c"]}]',
    ],
)
def test_two_routes_for_one_agent_are_none(text: str) -> None:
    parsed = parse_reply(text, [0, 1])
    assert parsed.routes == {1: ["c"]}
    assert [(p.agent, p.kind) for p in parsed.problems] == [(0, "duplicate_agent")]


def test_the_same_route_twice_is_one() -> None:
    assert parse_reply('{"0": ["a"], "0": ["a"]}', [0, 1]) == ParsedReply({0: ["a"]})


def test_a_correction_counts_more_than_the_draft() -> None:
    text = 'Draft: {"0": ["a"], "1": 7}. Wait, that is wrong.\nFinal: {"0": ["b"], "1": ["c"]}'
    assert parse_reply(text, [0, 1]) == ParsedReply({0: ["b"], 1: ["c"]})


@pytest.mark.slow
def test_agents_nobody_asked_for_are_one_finding() -> None:
    parsed = parse_reply(json.dumps({str(a): ["x"] for a in range(50_000)}), [0, 1])
    assert parsed.routes == {0: ["x"], 1: ["x"]}
    assert [(p.agent, p.kind) for p in parsed.problems] == [(None, "unexpected_agent")]
    assert "2, 3, 4, 5, 6 and 49993 more" in parsed.problems[0].message


@pytest.mark.parametrize(
    "route",
    ['"a b"', "7", "null", '{"a": ["b"]}', '["a", 2.5]', '["a", null]', '["a", ["b"]]', '["a\\u0000"]', '["\\ud800"]'],
)
def test_what_is_no_list_of_ids_concerns_its_agent_alone(route: str) -> None:
    parsed = parse_reply(f'{{"0": {route}, "1": ["c"]}}', [0, 1])
    assert parsed.routes == {1: ["c"]}
    assert [(p.agent, p.kind) for p in parsed.problems] == [(0, "unreadable")]
    assert parsed.problems[0].message.isprintable()


def test_bare_numbers_are_ids_whose_quotes_were_left_off() -> None:
    assert parse_reply('{"0": [159243113, -165574143]}', [0]).routes == {0: ["159243113", "-165574143"]}


def test_asked_about_one_agent_a_bare_list_is_its_route() -> None:
    assert parse_reply('Route: ["a", "b"]', [4]).routes == {4: ["a", "b"]}
    assert not parse_reply('Route: ["a", "b"]', [4, 5]).routes


def test_a_reply_cut_at_its_end_says_so() -> None:
    parsed = parse_reply('{"0": ["a", "b"], "1": ["c', [0, 1])
    assert "before its brackets are closed" in parsed.problems[0].message
    assert parsed.routes == {0: ["a", "b"]}
    parsed = parse_reply('{"0": ["a", "b"], "1": ["c", "d", "e', [0, 1])
    assert parsed.routes == {0: ["a", "b"], 1: ["c", "d"]}


def test_a_hundred_thousand_edges_are_read_and_refused(braunschweig: RoadNetwork) -> None:
    scenario = draw_scenario(braunschweig, ScenarioSettings(agents=1), seed=0)
    parsed = parse_reply(json.dumps({"0": [scenario.agents[0].start_edge] * 100_000}), [0])
    validation = validate(braunschweig, scenario, parsed.routes, parsed.problems)
    assert [f.kind for f in validation.findings] == ["too_long"]


# -- the paper's instructions ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dump", [json.dumps, repr])
@pytest.mark.parametrize("prefix", ["", "junction_"])
@pytest.mark.parametrize("command", ["move to", "Move_to", "go to junction"])
def test_junction_by_junction_instructions_become_edges(
    dump: Callable[[object], str], prefix: str, command: str, braunschweig: RoadNetwork
) -> None:
    scenario = draw_scenario(braunschweig, ScenarioSettings(agents=3), seed=2)
    expected = {t.agent: braunschweig.shortest_path(t.start_edge, t.destination) for t in scenario.agents}
    rows = [
        [command, prefix + braunschweig.edge(edge).to_junction, f"agent_{agent}"]
        for agent, route in expected.items()
        for edge in route
    ]
    reply = read_reply(f"The plan:\n{dump(rows)}", [0, 1, 2], braunschweig, scenario)
    ends = {a: [braunschweig.edge(e).to_junction for e in r] for a, r in reply.routes.items()}
    assert not reply.problems
    assert ends == {a: [braunschweig.edge(e).to_junction for e in r] for a, r in expected.items()}
    assert validate(braunschweig, scenario, reply.routes).share == 1.0


def test_instructions_may_name_edges_and_leave_the_start_out(braunschweig: RoadNetwork) -> None:
    scenario = draw_scenario(braunschweig, ScenarioSettings(agents=1), seed=2)
    trip = scenario.agents[0]
    route = braunschweig.shortest_path(trip.start_edge, trip.destination)
    for steps in (route, route[1:], [f"edge_{edge}" for edge in route[1:]]):
        assert resolve_steps({0: steps}, braunschweig, scenario) == ({0: route}, [])


def test_a_junction_out_of_reach_says_which_are_in_reach(braunschweig: RoadNetwork) -> None:
    scenario = draw_scenario(braunschweig, ScenarioSettings(agents=1), seed=2)
    trip = scenario.agents[0]
    text = json.dumps([["move to", trip.destination, "agent_0"]])
    reply = read_reply(text, [0], braunschweig, scenario)
    assert not reply.routes
    assert [p.kind for p in reply.problems] == ["not_a_successor"]
    near = [braunschweig.edge(e).to_junction for e in braunschweig.edge(trip.start_edge).successors]
    assert all(junction in reply.problems[0].message for junction in near)


def test_other_commands_and_other_agents_are_findings() -> None:
    text = '[["wait", "5 s", "agent_0"], ["move to", "junction_1", "agent_1"], ["move to", "junction_1", "agent_9"]]'
    parsed = parse_reply(text, [0, 1])
    assert parsed.steps == {1: ["junction_1"]}
    assert [(p.agent, p.kind) for p in parsed.problems] == [(0, "unreadable"), (None, "unexpected_agent")]


def test_an_instruction_with_an_unknown_place_is_found_by_validation(braunschweig: RoadNetwork) -> None:
    scenario = draw_scenario(braunschweig, ScenarioSettings(agents=1), seed=2)
    reply = read_reply('[["move to", "the park", 0], ["move to", "junction_x", 0]]', [0], braunschweig, scenario)
    findings = validate(braunschweig, scenario, reply.routes, reply.problems).findings
    assert findings[0].kind == "unknown_edge"
