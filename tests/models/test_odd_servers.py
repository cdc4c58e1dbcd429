"""Servers of every make: errors in a 200, usage that is none, settings they refuse, bodies without end, proxies."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import resource
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.models.caller import CapReached, Message, ModelCaller
from leed_agentic.models.recording import Recording
from leed_agentic.models.transport import is_loopback
from leed_agentic.setting_groups import ModelSettings
from tests.model_server import Answer, ModelServer, Raw, Reset, Say

HELLO: list[Message] = [{"role": "user", "content": "Hello there"}]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SECRET = "hunter2-Qx9vTz8LmN4"


def caller(server: ModelServer, file: Path | None = None, **changes: Any) -> ModelCaller:
    options = {"name": "openai:tiny", "base_url": server.url, "retry_seconds": 0.0, **changes}
    return ModelCaller(ModelSettings(**options), file, {})


def completion(message: Any = None, usage: Any = None, **choice: Any) -> Answer:
    choice = {"index": 0, "message": message, "finish_reason": "stop"} | choice
    body = {"id": None, "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return Answer(200, json.dumps(body | ({} if usage is None else {"usage": usage})))


@pytest.mark.parametrize(
    ("message", "text", "reasoning", "refusal"),
    [
        ({"content": "yes"}, "yes", "", ""),
        ({"role": "assistant", "content": [{"type": "text", "text": "a"}, "b"]}, "ab", "", ""),
        ({"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"text": "a"}]}, "a", "hm", ""),
        ({"content": "a", "reasoning_content": "hm"}, "a", "hm", ""),
        ({"content": None, "reasoning": '{"0": []}'}, '{"0": []}', '{"0": []}', ""),
        ({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"0": []}'}}]}, '{"0": []}', "", ""),
        ({"content": "", "tool_calls": [{"id": 7, "function": {"arguments": {"0": ["a"]}}}]}, '{"0": ["a"]}', "", ""),
        ({"content": None, "function_call": {"arguments": "{}"}}, "{}", "", ""),
        ({"content": None, "refusal": "No."}, "", "", "No."),
        ({"content": 7, "tool_calls": "none", "refusal": []}, "", "", ""),
    ],
)
def test_messages_of_every_make_and_the_record_keeps_all_of_it(
    model_server: ModelServer, tmp_path: Path, message: Any, text: str, reasoning: str, refusal: str
) -> None:
    model_server.default = completion(message)
    file = tmp_path / "calls.jsonl"
    reply = caller(model_server, file).ask(HELLO, purpose="plan")
    assert (reply.text, reply.reasoning, reply.refusal) == (text, reasoning, refusal)
    again = ModelCaller(ModelSettings(name="replay", replay=file), None, {}).ask(HELLO, purpose="plan")
    assert (again.text, again.reasoning, again.refusal, again.trouble) == (text, reasoning, refusal, reply.trouble)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (completion({"content": None, "refusal": "I\u2028cannot."}), "refused: 'I cannot.'"),
        (completion({"content": ""}, finish_reason="content_filter"), "content filter"),
        (completion({"content": "{"}, finish_reason="length"), "cut at the token limit"),
        (completion({"content": "", "reasoning_content": "hm"}, finish_reason="length"), "cut at the token limit"),
        (completion({"content": "  "}), "reply is empty"),
        (completion({}, finish_reason="stop"), "reply is empty"),
    ],
)
def test_why_there_is_no_answer(model_server: ModelServer, answer: Answer, words: str) -> None:
    model_server.default = answer
    assert words in (caller(model_server).ask(HELLO, purpose="plan").trouble or "")


def test_number_of_more_digits_than_python_reads_is_not_reported(model_server: ModelServer) -> None:
    answer = completion({"content": "four by four"}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    model_server.default = Answer(200, answer.body.replace('_tokens": 0', '_tokens": ' + "9" * 6000))
    reply = caller(model_server).ask(HELLO, purpose="plan")
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("four by four", None, None)


@pytest.mark.parametrize(
    "count", ["many", [9], -1, 9.5, float("nan"), None, {}, 10**30], ids=lambda count: repr(count)[:9]
)
def test_usage_that_is_none_is_not_reported_and_the_caps_count_the_estimate(
    model_server: ModelServer, tmp_path: Path, count: Any
) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    model_server.default = completion({"content": "four by four"}, usage)
    file = tmp_path / "calls.jsonl"
    asker = caller(model_server, file, price_input=1.0, price_output=1.0, max_tokens=5)
    reply = asker.ask(HELLO, purpose="plan")
    assert (reply.input_tokens, reply.output_tokens, asker.cost) == (None, None, None)
    assert asker.usage.reported == (None, None)
    with pytest.raises(CapReached):
        asker.ask(HELLO, purpose="plan")
    assert Recording.load(file).calls[0]["input_tokens"] is None


def test_no_tokens_for_a_prompt_are_none_reported(model_server: ModelServer) -> None:
    model_server.default = completion({"content": "a"}, {"prompt_tokens": 0, "completion_tokens": 0})
    reply = caller(model_server).ask(HELLO, purpose="plan")
    assert (reply.input_tokens, reply.output_tokens) == (None, None)


def test_a_prompt_that_was_cut_is_told_once(model_server: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    model_server.default = completion({"content": "a"}, {"prompt_tokens": 100, "completion_tokens": 1})
    asker = caller(model_server)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            asker.ask([{"role": "user", "content": "street 12, " * 1000}], purpose="plan")
    told = [record.getMessage() for record in caplog.records if "seems to have cut it" in record.getMessage()]
    assert len(told) == 1
    assert "read 100 tokens of a prompt of 11000 characters" in told[0]
    assert "demonstration.prompt_tokens" in told[0]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Slow down", "code": 429}, "choices": None},
        {"error": {"message": "Overloaded", "code": "503"}},
        {"choices": [{"index": 0, "error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}]},
    ],
)
def test_an_error_within_a_200_is_tried_again(model_server: ModelServer, body: Any) -> None:
    model_server.script = [Answer(200, json.dumps(body))]
    assert caller(model_server).ask(HELLO, purpose="plan").text == "ok"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, '{"error": "no such\\nplan"}'), "no such plan"),
        (Answer(200, '{"choices": []}'), "no choices"),
        (Answer(200, '{"choices": [{"index": 0}]}'), "no message"),
        (Answer(200, '{"detail": "Not here"}'), "Not here"),
        (Answer(200, "<html><h1>Sign in</h1></html>", {"content-type": "text/html"}), r"\(Sign in\)"),
        (Answer(502, "<html><style>h1 {}</style><h1>502 Bad&nbsp;Gateway</h1>"), ": 502 Bad Gateway"),
        (Answer(500, '{"detail": [{"loc": ["body", "x"], "msg": "broken"}]}'), ": body.x: broken"),
        (Answer(500, "x" * 5000), "x{299}…"),
    ],
)
def test_the_servers_own_words_are_shown(model_server: ModelServer, answer: Answer, words: str) -> None:
    model_server.default = answer
    with pytest.raises(UnavailableError, match=words) as raised:
        caller(model_server, retries=0).ask(HELLO, purpose="plan")
    assert not any(name in str(raised.value) for name in ("KeyError", "NoneType", "subscript", "dict"))


REFUSALS = {
    "max_tokens": (400, {"error": {"message": "Unsupported parameter: 'max_tokens'.", "param": "max_tokens"}}),
    "max_completion_tokens": (400, {"error": {"message": "Unrecognized request argument: max_completion_tokens"}}),
    "temperature": (400, {"error": {"message": "'temperature' does not support 0.0 with this model.", "param": None}}),
    "seed": (422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}),
}


@pytest.mark.parametrize("unknown", [["max_tokens"], ["temperature"], ["seed"], list(REFUSALS)])
def test_what_a_server_does_not_know_is_left_out_from_then_on(
    model_server: ModelServer, tmp_path: Path, unknown: list[str]
) -> None:
    def answer(body: dict[str, Any]) -> Any:
        bad = next((word for word in unknown if word in body), None)
        return Answer(REFUSALS[bad][0], json.dumps(REFUSALS[bad][1])) if bad else Say("ok")

    model_server.default = answer
    file = tmp_path / "calls.jsonl"
    asker = caller(model_server, file, retries=0)
    for limit in (None, 5):
        assert asker.ask(HELLO, purpose="plan", max_output_tokens=limit).text == "ok"
    assert len(model_server.requests) == 2 + len(unknown)
    assert not any(word in model_server.requests[-1] for word in unknown)
    assert ("max_completion_tokens" in model_server.requests[-1]) == (unknown == ["max_tokens"])
    assert all(call["adapted"] for call in Recording.load(file).calls)


def test_a_value_that_is_too_large_is_refused_and_not_left_out(model_server: ModelServer) -> None:
    model_server.default = Answer(400, '{"error": {"message": "max_tokens is too large: 4096. At most 100."}}')
    with pytest.raises(UsageError, match="too large"):
        caller(model_server).ask(HELLO, purpose="plan")
    assert len(model_server.requests) == 1


def test_settings_that_are_null_are_not_sent_and_further_fields_are(model_server: ModelServer, tmp_path: Path) -> None:
    extra = {"top_k": 1, "max_tokens_per_step": 3, "auth": {"api_key": SECRET}}
    changes = {"temperature": None, "seed": None, "max_output_tokens": None, "extra_body": extra}
    file = tmp_path / "calls.jsonl"
    model_server.default = Say(f"your key is {SECRET}")
    asker = caller(model_server, file, **changes)
    reply = asker.ask(HELLO, purpose="plan", max_output_tokens=8)
    sent = model_server.requests[0]
    assert not {"temperature", "seed", "max_tokens", "max_completion_tokens"} & set(sent)
    assert (sent["top_k"], sent["auth"]) == (1, {"api_key": SECRET})
    assert asker.longest_reply == 4096
    written = file.read_text() + json.dumps(asker.settings.for_file()) + reply.text
    assert SECRET not in written
    assert '"max_tokens_per_step": 3' in written
    replay = ModelCaller(ModelSettings(name="replay", replay=file), None, {})
    assert replay.ask(HELLO, purpose="plan", max_output_tokens=8).text == reply.text


def test_the_word_for_the_limit_is_a_choice(model_server: ModelServer) -> None:
    caller(model_server, limit_word="max_completion_tokens", max_output_tokens=9).ask(HELLO, purpose="plan")
    assert model_server.requests[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in model_server.requests[0]


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"retry-after-ms": "150"}, 0.15),
        ({"retry-after": "150ms"}, 0.15),
        ({"retry-after": "0.15"}, 0.15),
        ({"retry-after": formatdate(0, usegmt=True)}, 0),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "Wed, 99 Foo 2199"}, 0),
    ],
)
def test_retry_after_in_every_form(model_server: ModelServer, headers: dict[str, str], least: float) -> None:
    model_server.script = [Answer(429, headers=headers)]
    asker = caller(model_server)
    assert asker.ask(HELLO, purpose="plan").text == "ok"
    assert least <= asker.usage.seconds < least + 5


def test_a_model_that_is_being_loaded_is_waited_for(model_server: ModelServer) -> None:
    loading = Answer(503, '{"error": {"message": "Loading model"}}')
    model_server.script = [loading] * 5
    assert caller(model_server, retries=0).ask(HELLO, purpose="plan").text == "ok"
    model_server.default = loading
    with pytest.raises(UnavailableError, match="Loading model"):
        caller(model_server, retries=0, timeout_seconds=0.3, retry_seconds=0.1).ask(HELLO, purpose="plan")


def _bomb() -> bytes:
    return gzip.compress(b" " * 100_000_000, 9) * 10


ENDLESS = {
    "a gigabyte": lambda: itertools.chain([HEAD + b"\r\n"], itertools.repeat(b" " * 1_000_000, 1000)),
    "gzip": lambda: [HEAD + b"content-encoding: gzip\r\n\r\n", _bomb()],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_body_without_end_is_not_read_to_it(model_server: ModelServer, kind: str) -> None:
    model_server.default = Raw(ENDLESS[kind])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnavailableError, match="more than 32 MB"):
        caller(model_server).ask(HELLO, purpose="plan")
    assert len(model_server.requests) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def _slowly(head: bytes, piece: bytes) -> Iterator[bytes]:
    yield head
    while True:
        time.sleep(0.05)
        yield piece


@pytest.mark.parametrize(
    ("head", "piece"), [(HEAD + b"\r\n", b" "), (HEAD, b"x-more: 1\r\n"), (b"", b"H")], ids=["body", "head", "status"]
)
def test_the_threads_of_a_late_call_end_with_it(model_server: ModelServer, head: bytes, piece: bytes) -> None:
    model_server.default = Raw(lambda: _slowly(head, piece))
    asker = caller(model_server, timeout_seconds=0.4, retries=0)
    before = set(threading.enumerate())
    with pytest.raises(UnavailableError, match=r"no whole reply in 0\.4 s|Cannot reach"):
        asker.ask(HELLO, purpose="plan")
    left = [t for t in threading.enumerate() if t not in before and "process_request" not in t.name]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
def test_this_machine_needs_no_proxy(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert caller(model_server).ask(HELLO, purpose="plan").text == "ok"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", f"socks5://me:{SECRET}@127.0.0.1:9"),
        ("SSL_CERT_FILE", "/no/such.pem"),
        ("HTTPS_PROXY", "gopher://x"),
    ],
)
def test_a_proxy_or_certificate_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    settings = ModelSettings(name="openai:tiny", base_url="https://model.invalid/v1", retries=0)
    with pytest.raises(UnavailableError) as raised:
        ModelCaller(settings, None, {}).ask(HELLO, purpose="plan")
    assert raised.value.exit_code == 3
    assert SECRET not in str(raised.value)


def test_a_connection_that_breaks_in_the_body_is_tried_again(model_server: ModelServer) -> None:
    model_server.script = [Raw(lambda: [HEAD + b"content-length: 500\r\n\r\n{"]), Reset()]
    assert caller(model_server).ask(HELLO, purpose="plan").text == "ok"


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.8.0.1", True),
        ("http://[::1]:8/v1", True),
        ("http://0.0.0.0:1", True),
        ("http://127.0.0.1.example.org", False),
        ("https://example.org/v1", False),
        (None, False),
    ],
)
def test_addresses_of_this_machine(address: str | None, ours: bool) -> None:
    assert is_loopback(address) is ours
