"""`leed demo generate --review` in a pseudo-terminal: a person accepts, edits, remarks and quits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.roads.catalogue import open_map
from leed_agentic.traffic.demand import scenario_for
from tests.detours import detours
from tests.terminal import Terminal

ASKS = "remark [AGENTS] or quit? "
ROUTE = "no change): "
REVIEWED = ("demo", "generate", "--model", "stand-in", "--agents", "2", "--review", "--out", "run")
# Routes that no drive sends back, all of them valid at once.
CONTENT = ("-s", "model.stand_in_error_rate=0", "-s", "demonstration.accept_ratio=10")


@pytest.fixture
def detour():
    """A legal route of agent 0 that is longer than need be."""
    settings = settings_for_run(overrides={"model.name": "stand-in", "scenario.agents": 2})
    network = open_map(settings.map.name, settings.map)
    trip = scenario_for(network, settings).agents[0]
    return detours(network, network.shortest_path(trip.start_edge, trip.destination))[0]


def decisions(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "review.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_edit_remark_accept(tmp_path, detour):
    with Terminal(*REVIEWED, *CONTENT, "--json", folder=tmp_path) as person:
        seen = person.until(ASKS)
        assert "2 of 2 agents have a valid route" in seen
        assert "Map picture: run/routes.png" in seen
        assert (tmp_path / "run" / "routes.png").stat().st_size > 0
        # Words that are no decision, an agent that nobody has, a route that is not legal: one sentence each.
        person.type("perhaps")
        assert "the first letter is enough" in person.until(ASKS)
        person.type("edit 7")
        person.until(ROUTE)
        person.type("anywhere")
        assert "There is no agent 7; agents are 0 to 1." in person.until(ASKS)
        person.type("e 0")
        assert detour[0] in person.until(ROUTE)
        person.type(f"{detour[0]} no-such-street")
        assert "there is no edge 'no-such-street'" in person.until(ASKS)
        person.type("e 0")
        person.until(ROUTE)
        person.type(", ".join(detour))
        person.until(ASKS)
        person.type("e 0")
        assert " ".join(detour) in person.until(ROUTE)
        person.type("")
        person.until(ASKS)
        person.type("remark 1")
        person.until("Remark to the model about agents 1: ")
        person.type('Mind the "school".\x07 ')
        assert "Round 1: 2 of 2 agents" in person.until(ASKS)
        person.type("accept")
        code, written, _ = person.end()
    assert code == 0
    summary = json.loads(written)
    assert summary["arrival_rate"] == summary["validity_final"] == 1.0
    run = tmp_path / "run"
    made = json.loads((run / "demonstrations.json").read_text())
    assert made["routes"]["0"] == detour
    assert made["provenance"]["edited_by_a_person"] == [0]
    taken = [(row["action"], row["agents"], row["refused"] is None) for row in decisions(run)]
    assert taken == [
        ("edit", [7], False),
        ("edit", [0], False),
        ("edit", [0], True),
        ("remark", [1], True),
        ("accept", [], True),
    ]
    asked = json.loads((run / "calls.jsonl").read_text().splitlines()[-1])["messages"][-1]["content"]
    assert '- Agent 1: A person who looked at the routes remarks: "Mind the \\"school\\"."\n' in asked
    assert "agent 0:" not in asked


@pytest.mark.slow
@pytest.mark.parametrize(
    "ending", ["quit", *(pytest.param(key, marks=pytest.mark.long) for key in ("Ctrl-D", "Ctrl-C"))]
)
def test_quit_keeps_what_is_valid_and_drives_nothing(tmp_path, detour, ending):
    with Terminal(*REVIEWED, *CONTENT, folder=tmp_path) as person:
        person.until(ASKS)
        person.type("edit 0")
        person.until(ROUTE)
        person.type(" ".join(detour))
        person.until(ASKS)
        {"quit": lambda: person.type("quit"), "Ctrl-D": person.hang_up, "Ctrl-C": person.interrupt}[ending]()
        code, written, screen = person.end()
    interrupted = ending == "Ctrl-C"
    assert code == (130 if interrupted else 0)
    assert "Traceback" not in screen
    if not interrupted:
        assert "2 of 2 agents have a valid route. No route was driven." in written
    run = tmp_path / "run"
    made = json.loads((run / "demonstrations.json").read_text())
    assert sorted(made["routes"]) == ["0", "1"]
    assert made["routes"]["0"] == detour
    assert made["provenance"]["stopped"] == ("interrupted" if interrupted else "a person ended the review")
    assert not (run / "trajectories.json").exists()


def test_without_a_terminal_or_with_nothing_to_show(leed):
    for words, said in ((REVIEWED, "needs a terminal"), ((*REVIEWED, "--dry-run"), "leave one of them out")):
        result = leed(*words)
        assert result.code == 2
        assert said in result.err
        assert len(result.err.strip().splitlines()) == 1
        assert not Path("run").exists()
