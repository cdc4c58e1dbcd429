"""What a run may spend: caps that end it with the best set so far, caps that mean nothing, and a server in trouble."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.roads.catalogue import open_map
from leed_agentic.traffic.demand import scenario_for
from tests.model_server import Answer, Hang, Reset, Say

ONE_BY_ONE = ("-s", "model.concurrent_calls=1")
PRICES = ("-s", "model.price_input=2", "-s", "model.price_output=8")
STAND_IN = ("demo", "generate", "--model", "stand-in", "--agents", "3", "--seed", "1")


@pytest.fixture(scope="module")
def routes() -> dict[int, list[str]]:
    """The shortest routes of braunschweig's first three agents."""
    settings = settings_for_run(overrides={"scenario.agents": 3, "model.name": "stand-in"})
    network = open_map(settings.map.name, settings.map)
    trips = scenario_for(network, settings).agents
    return {trip.agent: network.shortest_path(trip.start_edge, trip.destination) for trip in trips}


def lines(run: str) -> list[dict]:
    return [json.loads(line) for line in Path(run, "calls.jsonl").read_text().splitlines()[1:]]


def asked_for(body) -> int:
    return int(re.search(r"^agent (\d+):", body["messages"][-1]["content"], re.MULTILINE)[1])


@pytest.mark.slow
def test_a_server_in_every_kind_of_trouble(leed, model_server, routes):
    """429 with retry-after, 500, silence, a broken connection, then replies: nothing is lost and nothing hidden."""
    model_server.script = [Answer(429, headers={"retry-after": "0.2"}), Answer(500), Hang(), Reset()]
    model_server.default = lambda body: Say(json.dumps({str(asked_for(body)): routes[asked_for(body)]}))
    limits = {"model.retries": 4, "model.timeout_seconds": 3, "model.retry_seconds": 0.05, "model.concurrent_calls": 1}
    words = [word for name, value in limits.items() for word in ("-s", f"{name}={value}")]
    server = ("--model", "openai:test", "--base-url", model_server.url, "--planning", "agent")
    result = leed("demo", "generate", "--agents", "3", *server, *words, *PRICES, "--out", "run", "--json")
    assert result.code == 0, result.err
    summary, calls = json.loads(result.out), lines("run")
    failed, good = [c for c in calls if c["error"]], [c for c in calls if not c["error"]]
    assert [(c["attempt"], c["status"]) for c in failed] == [(0, 429), (1, 500), (2, None), (3, None)]
    assert ["limits how often" in failed[0]["error"], "status 500" in failed[1]["error"]] == [True, True]
    assert ["no whole reply in 3 s" in failed[2]["error"], "Cannot reach" in failed[3]["error"]] == [True, True]
    assert [c["attempt"] for c in good] == [4, 0, 0]
    assert len({c["key"] for c in [*failed, good[0]]}) == 1
    # The tokens are the server's own count, and the cost is theirs.
    read, written = (sum(counts) for counts in zip(*model_server.reported, strict=True))
    assert (summary["input_tokens"], summary["output_tokens"]) == (read, written)
    assert summary["cost"] == pytest.approx((2 * read + 8 * written) / 1e6)
    assert (summary["calls"], summary["retries"], len(model_server.requests)) == (3, 4, 7)
    # Waiting is bounded by the limits: one silence of 3 s, the pauses, and no second round.
    assert failed[2]["seconds"] >= 3
    assert summary["validity_final"] == 1.0
    assert summary["rounds"] == 0


@pytest.mark.slow
def test_a_cap_on_cost_ends_the_run_with_the_best_so_far(leed):
    words = (*STAND_IN, "--planning", "agent", *ONE_BY_ONE, *PRICES)
    words += ("-s", "model.price_as_of=dollars, today, a price list")
    whole = json.loads(leed(*words, "--out", "whole", "--json").out)
    first = lines("whole")[0]
    cost = (2 * first["input_tokens"] + 8 * first["output_tokens"]) / 1e6
    result = leed(*words, "--max-cost", cost * 1.5, "--out", "run", "--json")
    summary = json.loads(result.out)
    assert result.code == 1
    assert "model.max_cost" in summary["stopped"]
    assert summary["calls"] == 2 < whole["calls"]
    assert cost * 1.5 <= summary["cost"] < whole["cost"]
    assert Path("run", "demonstrations.json").exists()
    shown = leed("demo", "show", "run").out
    assert "Stopped early: The run's cost has reached" in shown
    assert "(prices: dollars, today, a price list)" in shown


@pytest.mark.slow
def test_caps_on_calls_and_tokens_as_options(leed):
    words = (*STAND_IN, "--planning", "agent", *ONE_BY_ONE)
    leed(*words, "--out", "whole")
    first = lines("whole")[0]
    enough_for_one = first["input_tokens"] + first["output_tokens"]
    for option, value, setting in (("--max-calls", 1, "max_calls"), ("--max-tokens", enough_for_one, "max_tokens")):
        result = leed(*words, option, value, "--out", setting, "--json")
        assert result.code == 1
        assert f"model.{setting}" in json.loads(result.out)["stopped"]


@pytest.mark.slow
def test_an_unknown_price_is_unknown_and_never_nothing(leed, model_server, routes):
    model_server.default = Say(json.dumps({str(agent): route for agent, route in routes.items()}))
    server = ("--model", "openai:test", "--base-url", model_server.url)
    assert leed("demo", "generate", "--agents", "3", *server, "--out", "run").code == 0
    assert json.loads(Path("run", "summary.json").read_text())["cost"] is None
    assert "Cost: unknown" in leed("demo", "show", "run").out
    # A price is no help where the server does not say how many tokens it read.
    model_server.default = Say(json.dumps(routes), reports_usage=False)
    result = leed("demo", "generate", "--agents", "3", *server, *PRICES, "--out", "silent", "--json")
    assert json.loads(result.out)["cost"] is None


@pytest.mark.slow
def test_a_replay_and_the_stand_in_cost_nothing(leed):
    assert leed(*STAND_IN, "--out", "run").code == 0
    assert json.loads(Path("run", "summary.json").read_text())["cost"] == 0
    words = ("--model", "replay", "--replay", "run/calls.jsonl", *PRICES, "--out", "again", "--json")
    assert json.loads(leed("demo", "generate", *words).out)["cost"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-cost", "1"), ["needs prices", "model.price_input"]),
        (("--max-cost", "1", "-s", "model.price_input=1"), ["needs prices", "model.price_output"]),
        (("--max-cost", "0", *PRICES), ["model.max_cost"]),
        (("--max-tokens", "100"), ["The first prompt alone has about", "model.max_tokens=100"]),
        (("--max-cost", "0.0001", *PRICES), ["The first prompt alone costs about", "model.max_cost=0.0001"]),
        (("--max-calls", "0"), ["model.max_calls"]),
        (("-s", "model.price_input=-1"), ["model.price_input"]),
        (("-s", "model.price_input=.nan"), ["model.price_input"]),
    ],
)
def test_caps_that_mean_nothing_are_one_sentence(leed, words, said):
    result = leed(*STAND_IN, *words, "--out", "run")
    assert result.code == 2
    error = result.err[result.err.index("Error: ") :]
    assert len(error.strip().splitlines()) == 1
    assert all(part in error for part in said)
    assert not Path("run", "calls.jsonl").exists() or lines("run") == []


@pytest.mark.slow
def test_further_tries_stop_at_the_cap_on_calls(leed, model_server):
    model_server.default = Answer(500)
    server = ("--model", "openai:test", "--base-url", model_server.url, "-s", "model.retry_seconds=0")
    result = leed("demo", "generate", "--agents", "2", *server, "-s", "model.retries=9", "--max-calls", "3")
    assert result.code == 3
    assert "status 500" in result.err
    assert len(model_server.requests) == 3
