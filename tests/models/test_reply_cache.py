"""Recorded replies in a run that may also ask: its own first, then others', each as often as it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.models.caller import CapReached, Message, ModelCaller
from leed_agentic.models.failure import RefusedError
from leed_agentic.models.recording import Recording, ReplyCache
from leed_agentic.setting_groups import ModelSettings
from tests.model_server import Answer, ModelServer, Say


def question(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def caller(model_server: ModelServer, tmp_path: Path):
    """A caller that records in a file of this name and plays what it and the others hold."""

    def make(name: str, others: Sequence[str] = (), only: bool = False, **changes: object) -> ModelCaller:
        own = tmp_path / name
        options = {"name": "openai:tiny", "base_url": model_server.url, "retry_seconds": 0.0, **changes}
        cache = ReplyCache(own, [tmp_path / other for other in others], only)
        return ModelCaller(ModelSettings.model_validate(options), None if only else own, {}, cache)

    return make


def asked(caller: ModelCaller, *texts: str) -> list[str]:
    try:
        return [caller.ask(question(text), purpose="test").text for text in texts]
    finally:
        caller.close()


def test_what_is_recorded_is_not_asked_again(caller, model_server: ModelServer, tmp_path: Path):
    model_server.script = [Say("one"), Answer(500), Say("two"), Say("three")]
    first = caller("a.jsonl")
    assert asked(first, "x", "x") == ["one", "two"]
    before = (tmp_path / "a.jsonl").read_bytes()
    again = caller("a.jsonl")
    assert asked(again, "x", "x") == ["one", "two"]
    assert (tmp_path / "a.jsonl").read_bytes() == before
    # The run itself has paid for them.
    assert (again.totals, again.usage.input_tokens) == (first.totals, first.usage.input_tokens)
    # The failed try counts for the cap on calls as it did then.
    with pytest.raises(CapReached):
        asked(caller("a.jsonl", max_calls=3), "x", "x", "x")
    # A third time is one more than recorded.
    assert asked(caller("a.jsonl"), "x", "x", "x") == ["one", "two", "three"]
    assert len(model_server.requests) == 4
    assert [call["reply"] for call in Recording.load(tmp_path / "a.jsonl").calls] == ["one", "two", "three"]


def test_another_run_helps_out_and_its_reply_becomes_ones_own(caller, model_server: ModelServer, tmp_path: Path):
    model_server.script = [Say("theirs"), Say("mine")]
    asked(caller("b.jsonl"), "x")
    (tmp_path / "spoilt.jsonl").write_text("not a recording\n")
    assert asked(caller("a.jsonl", ["b.jsonl", "spoilt.jsonl", "none.jsonl"]), "x", "y") == ["theirs", "mine"]
    assert asked(caller("a.jsonl", only=True), "x", "y") == ["theirs", "mine"]
    assert len(model_server.requests) == 2


def test_only_never_asks(caller, model_server: ModelServer, tmp_path: Path):
    model_server.script = [Say("one"), Answer(400, '{"error": {"message": "too long"}}'), Answer(401)]
    with pytest.raises(RefusedError, match="too long"):
        asked(caller("a.jsonl"), "x", "long")
    with pytest.raises(UsageError, match="refused the key"):
        asked(caller("a.jsonl"), "y")
    number = len(model_server.requests)
    assert asked(caller("a.jsonl", only=True), "x") == ["one"]
    with pytest.raises(RefusedError, match="too long"):
        asked(caller("a.jsonl", only=True), "long")
    for text in ("y", "z"):
        with pytest.raises(UsageError, match="--record auto"):
            asked(caller("a.jsonl", only=True), text)
    with pytest.raises(UsageError, match="Nothing is recorded"):
        caller("nothing.jsonl", only=True)
    assert len(model_server.requests) == number


@pytest.mark.parametrize("cut", [5, 100, -20, -3, -1])
def test_a_kill_while_writing_loses_one_call_at_most(caller, model_server: ModelServer, tmp_path: Path, cut: int):
    model_server.script = [Say("one"), Say("zwölf €"), *[Say("again")] * 3]
    asked(caller("a.jsonl"), "x", "y")
    file = tmp_path / "a.jsonl"
    file.write_bytes(file.read_bytes()[:cut])
    kept = 1 if cut < 0 else 0
    assert asked(caller("a.jsonl"), "x", "y") == (["one", "again"] if kept else ["again", "again"])
    assert len(Recording.load(file).calls) == 2
