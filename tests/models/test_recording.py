"""Calls recorded from a real server and played back with no server and no key."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.models.caller import CapReached, Message, ModelCaller
from leed_agentic.models.recording import Recording, call_key
from leed_agentic.setting_groups import ModelSettings
from tests.model_server import Answer, ModelServer, Say

Record = Callable[..., Path]
MADE_WITH = {"map": "braunschweig", "agents": 10, "planning": "junction", "scenario": {"seed": 0}}


def question(text: str) -> list[Message]:
    return [{"role": "system", "content": "You plan routes."}, {"role": "user", "content": text}]


@pytest.fixture
def record(model_server: ModelServer, tmp_path: Path) -> Record:
    """Ask a server the given questions with the given settings; the file of the calls."""

    def make(*texts: str, **changes: Any) -> Path:
        file = tmp_path / "calls.jsonl"
        options = {"name": "openai:tiny", "base_url": model_server.url, "retry_seconds": 0.0, **changes}
        caller = ModelCaller(ModelSettings(**options), file, MADE_WITH)
        for text in texts:
            caller.ask(question(text), purpose="junction")
        caller.close()
        return file

    return make


def replay(file: Path, calls_file: Path | None = None, **changes: Any) -> ModelCaller:
    return ModelCaller(ModelSettings(name="replay", replay=file, **changes), calls_file, {})


def test_a_replay_gives_the_recorded_replies_and_spends_nothing(model_server: ModelServer, record: Record) -> None:
    model_server.script = [Say("left"), Say("right", finish_reason="length")]
    file = record("first?", "second?")
    asked = len(model_server.requests)
    caller = replay(file)
    second, first = (caller.ask(question(q), purpose="junction") for q in ("second?", "first?"))
    assert (first.text, second.text, second.finish_reason) == ("left", "right", "length")
    assert first.replayed
    assert (first.input_tokens, first.output_tokens) == (4, 1)
    assert caller.label == "replay of openai:tiny"
    assert (caller.usage.calls, caller.usage.replayed_calls) == (2, 2)
    assert (caller.usage.input_tokens, caller.usage.output_tokens) == (0, 0)
    assert len(model_server.requests) == asked
    assert caller.recording is not None
    assert caller.recording.made_with == MADE_WITH


def test_the_same_question_gets_its_replies_in_order_then_the_last(model_server: ModelServer, record: Record) -> None:
    model_server.script = [Say("a"), Answer(500), Say("b")]
    caller = replay(record("same", "same"))
    assert [caller.ask(question("same"), purpose="x").text for _ in range(4)] == ["a", "b", "b", "b"]


def test_the_recordings_own_sampling_settings_count_not_the_current_ones(record: Record) -> None:
    file = record("q", temperature=0.7, seed=3, max_output_tokens=64)
    assert replay(file, temperature=0.0, seed=0, max_output_tokens=4096).ask(question("q"), purpose="x").text == "ok"


def test_another_limit_for_one_call_is_another_request(record: Record) -> None:
    with pytest.raises(UsageError, match="does not hold this request"):
        replay(record("q")).ask(question("q"), purpose="x", max_output_tokens=7)


def test_a_request_it_does_not_hold_says_what_it_was_made_with_and_what_to_do(record: Record) -> None:
    with pytest.raises(UsageError) as raised:
        replay(record("q")).ask(question("something else"), purpose="x")
    sentence = str(raised.value)
    for part in ("does not hold this request", "map braunschweig, agents 10", "openai:tiny", "--model stand-in"):
        assert part in sentence
    assert raised.value.exit_code == 2


def test_a_replayed_run_can_be_played_back_itself(record: Record, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    replay(record("q"), copy).ask(question("q"), purpose="x")
    again = replay(copy)
    assert again.ask(question("q"), purpose="x").text == "ok"
    assert again.label == "replay of openai:tiny"


def test_a_replay_ends_at_the_same_caps_as_the_recorded_run(record: Record) -> None:
    file = record("a", "b", "c")
    by_calls, by_tokens = replay(file, max_calls=2), replay(file, max_tokens=8)
    for caller in (by_calls, by_tokens):
        caller.ask(question("a"), purpose="x")
        caller.ask(question("b"), purpose="x")
        with pytest.raises(CapReached):
            caller.ask(question("c"), purpose="x")


def test_a_compressed_recording(record: Record, tmp_path: Path) -> None:
    packed = tmp_path / "calls.jsonl.gz"
    packed.write_bytes(gzip.compress(record("q").read_bytes()))
    assert replay(packed).ask(question("q"), purpose="x").text == "ok"


def test_a_last_line_that_a_kill_cut_short_is_left_out(record: Record) -> None:
    file = record("a", "b")
    file.write_bytes(file.read_bytes()[:-40])
    assert len(Recording.load(file).calls) == 1


def test_a_last_line_without_its_end_of_line_counts(record: Record) -> None:
    file = record("a", "b")
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    assert len(Recording.load(file).calls) == 2


def header(**changes: Any) -> str:
    return json.dumps({"format": "leed-calls", "version": 1, "made_with": {}, "model": {"name": "m"}, **changes}) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ('{"format": "something"}\n', "is not a recording"),
        ("[1]\n", "Line 1"),
        (header(version=2), "has version 2"),
        (header(made_with=None), "line 1"),
        (header(model={"name": 3}), "line 1"),
        (header() + "prose\n", "Line 2"),
        (header() + "[" * 100_000 + "\n", "Line 2"),
        (header() + '{"key": "k"}\n', "Line 2"),
        (header() + '{"key": 1, "reply": "x"}\n', "Line 2"),
        (header() + '{"key": "k", "reply": null, "error": null}\n', "Line 2"),
        (header() + '{"key": "k", "reply": "x", "input_tokens": "many"}\n', "Line 2"),
        (header() + '{"key": "k", "reply": "x", "seconds": -1}\n', "Line 2"),
    ],
)
def test_a_spoilt_recording_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        Recording.load(file)


def test_a_recording_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no recording"):
        Recording.load(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="Cannot read"):
        Recording.load(tmp_path)
    for name, data in (("a.jsonl", b"\xff\xfe\x00"), ("b.gz", b"no gzip"), ("c.gz", gzip.compress(b"x" * 99)[:20])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=r"Cannot read|damaged gzip"):
            Recording.load(tmp_path / name)


@pytest.mark.slow
@given(data=st.binary(max_size=300))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_break_the_reader(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "calls.jsonl"
    for content in (data, header().encode() + data):
        file.write_bytes(content)
        with contextlib.suppress(UsageError):
            Recording.load(file)


def test_keys_tell_requests_apart() -> None:
    sampling = {"temperature": 0.0, "seed": 0, "max_output_tokens": 9}
    asked = question("a")
    others = [
        call_key(question("b"), sampling),
        call_key(asked[::-1], sampling),
        *(call_key(asked, {**sampling, word: 5}) for word in sampling),
    ]
    assert call_key(asked, sampling) == call_key([dict(m) for m in asked], {**sampling})
    assert len({call_key(asked, sampling), *others}) == 6
