"""`leed models`: what is configured, where the key comes from, and one tiny question."""

from __future__ import annotations

import json

import pytest

from tests.model_server import Answer, Hang, ModelServer, Reset, Say

CANARY = "sk-CANARY-0123456789abcdef"


def test_list_says_where_each_key_comes_from_and_never_the_key(leed, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    words = ("--model", "openai:gpt-4o-mini", "--base-url", "http://me:secret-word@host/v1?key=hidden")
    listed = leed("models", "list", *words, "--json")
    assert listed.code == 0
    told = json.loads(listed.out)
    assert told["configured"]["model"] == "openai:gpt-4o-mini"
    assert told["configured"]["base_url"] == "http://host/v1"
    assert told["configured"]["key"] == "variable OPENAI_API_KEY, set"
    assert told["configured"]["price_input"] is None
    rows = {row["name"]: row for row in told["providers"]}
    assert rows["openai"]["key_set"]
    assert not rows["anthropic"]["key_set"]
    assert rows["anthropic"]["variables"] == ["ANTHROPIC_API_KEY"]
    assert not rows["stand-in"]["variables"]
    table = leed("models", "list", *words).out
    assert "price_input:  unknown" in table
    for text in (listed.out, table):
        assert "CANARY" not in text
        assert "cdef" not in text
        assert "secret-word" not in text
        assert "hidden" not in text


@pytest.mark.parametrize("reports_usage", [True, False])
def test_ping_says_whether_tokens_are_reported(leed, model_server, reports_usage):
    model_server.default = Say("yes", reports_usage=reports_usage)
    prices = ("-s", "model.price_input=2", "-s", "model.price_output=4")
    words = ("models", "ping", "openai:tiny", "--base-url", model_server.url, *prices)
    result = leed(*words, "--json")
    assert result.code == 0
    pong = json.loads(result.out)
    assert pong["ok"]
    assert pong["usage_reported"] is reports_usage
    assert pong["cost"] == (pytest.approx((2 * 2 + 1 * 4) / 1e6) if reports_usage else None)
    assert pong["key"] == "variable OPENAI_API_KEY, not set (a server of your own may need none)"
    assert len(model_server.requests) == 1
    assert model_server.requests[0]["max_tokens"] <= 16
    sentence = leed(*words).out
    assert ("2 tokens in, 1 out" if reports_usage else "reports no tokens") in sentence


def test_ping_without_prices_says_unknown(leed, model_server):
    assert "cost unknown" in leed("models", "ping", "openai:tiny", "--base-url", model_server.url).out


@pytest.mark.parametrize(
    ("step", "code"),
    [(Answer(401), 2), (Answer(404), 2), (Answer(500), 3), (Answer(429), 3), (Hang(), 3), (Reset(), 3)],
)
def test_a_model_that_cannot_be_used(leed, model_server, step, code):
    model_server.default = step
    words = ("models", "ping", "openai:tiny", "--base-url", model_server.url, "-s", "model.timeout_seconds=0.5")
    result = leed(*words, "--json")
    assert result.code == code
    told = json.loads(result.out)
    assert not told["ok"]
    assert told["error"] in result.err.replace("\n", "")
    assert len(model_server.requests) == 1


def test_a_server_that_is_not_there(leed, model_server: ModelServer):
    model_server.__exit__()
    result = leed("models", "ping", "openai:tiny", "--base-url", model_server.url)
    assert result.code == 3
    assert model_server.url in result.err


def test_replay_and_stand_in_need_nothing(leed):
    pong = json.loads(leed("models", "ping", "replay", "--json").out)
    assert pong["recorded_calls"] > 0
    assert pong["seconds"] is None
    assert "no LLM was called" in leed("models", "ping", "stand-in").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ping", "gpt-4o"), "write provider:name"),
        (("ping", "openai:gpt-4o"), "OPENAI_API_KEY"),
        (("ping", "replay", "-s", "model.replay=none.jsonl"), "none.jsonl"),
        (("list", "--model", "gpt"), "write provider:name"),
        (("ping", "stand-in", "-s", "model.max_cost=1"), "needs prices"),
    ],
)
def test_wrong_words(leed, words, said):
    result = leed("models", *words)
    assert result.code == 2
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1
