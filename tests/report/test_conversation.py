"""The conversation on the page: what is shown, what is left out, and what it cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leed_agentic.report import conversation
from leed_agentic.report.conversation import read_conversation
from leed_agentic.report.folder import RunFolder


@pytest.fixture
def record(tmp_path):
    """Write a calls.jsonl and read it back."""

    def read(*calls: dict, model: str = "openai:some", prices: dict | None = None):
        head = {"format": "leed-calls", "version": 1, "made_with": {}, "model": {"name": model}}
        (tmp_path / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (head, *calls)))
        return read_conversation(RunFolder(Path(tmp_path), "training"), [], prices or {})

    return read


def call(question: str = "q", reply: str = "r", **more) -> dict:
    messages = more.pop("messages", [{"role": "user", "content": question}])
    return {"messages": messages, "reply": reply, "input_tokens": 1000, "output_tokens": 10, "seconds": 0.5} | more


def test_none_without_calls(record):
    assert record() is None


def test_totals_and_unknown_cost(record):
    found = record(call(), call(error="HTTP 500", reply=None, input_tokens=None), call(attempt=1))
    assert found.totals["Calls"] == "3, 1 of them failed tries"
    assert found.totals["Tokens"] == "2,000 read and 20 written"
    assert found.totals["Cost"] == "unknown: no price is known for openai:some"


def test_cost_by_the_prices_in_the_settings(record):
    found = record(call(), prices={"price_input": 2.0, "price_output": 100.0, "price_as_of": "EUR, 1 May"})
    assert found.totals["Cost"] == "0.0030 (EUR, 1 May)"


def test_the_stand_in_is_never_taken_for_a_model(record):
    found = record(call(), model="stand-in")
    assert "no LLM was called" in found.totals["Model"]
    assert found.totals["Cost"] == "none: no LLM was called"


def test_long_texts_that_recur_are_shown_once(record):
    first = call(messages=[{"role": "system", "id": "a", "content": "long"}, {"role": "user", "content": "one"}])
    second = call(messages=[{"role": "system", "same_as": "a"}, {"role": "user", "content": "two"}])
    calls = record(first, second).groups[0].calls
    assert [(turn.text, turn.again) for turn in calls[1].turns] == [("long", 1), ("two", None)]


def test_of_many_calls_the_first_and_the_last_are_shown(record):
    found = record(*(call(f"question {k}") for k in range(501)))
    numbers = [c.number for group in found.groups for c in group.calls]
    assert numbers == [*range(1, 101), *range(402, 502)]
    assert "200 of 501 calls" in found.rule
    assert "calls.jsonl" in found.rule
    assert found.totals["Calls"] == "501"


def test_long_texts_are_cut_and_say_so(record, monkeypatch):
    monkeypatch.setattr(conversation, "MAX_ALL", 50_000)
    found = record(*(call("x" * 30_000) for _ in range(9)))
    shown = [c for group in found.groups for c in group.calls]
    assert 1 <= len(shown) <= 2
    assert shown[0].turns[0].text.endswith("cut after 20,000 of 30,000 characters")
