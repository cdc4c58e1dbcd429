"""ModelCaller against a real server on 127.0.0.1: replies, failures, retries, caps, the record and the keys."""

from __future__ import annotations

import base64
import json
import socket
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.models import failure
from leed_agentic.models.caller import CapReached, Message, ModelCaller
from leed_agentic.setting_groups import ModelSettings
from tests.model_server import Answer, Hang, ModelServer, Reset, Say, Trickle

HELLO: list[Message] = [{"role": "system", "content": "You plan routes."}, {"role": "user", "content": "Hello there"}]
CANARY = "sk-CANARY-0123456789abcdef"


def caller(server: ModelServer, file: Path | None = None, **changes: Any) -> ModelCaller:
    options = {"name": "openai:tiny", "base_url": server.url, "retry_seconds": 0.0, **changes}
    return ModelCaller(ModelSettings(**options), file, {"map": "braunschweig", "agents": 10})


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_reply_with_its_tokens_and_the_settings_that_were_sent(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.script = [Say('{"0": ["a", "b"]}')]
    file = tmp_path / "new" / "calls.jsonl"
    asker = caller(model_server, file, temperature=0.3, seed=7, max_output_tokens=99)
    reply = asker.ask(HELLO, purpose="plan")
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ('{"0": ["a", "b"]}', 5, 3)
    assert (reply.finish_reason, reply.replayed, asker.label) == ("stop", False, "openai:tiny")
    assert (asker.usage.calls, asker.usage.input_tokens, asker.usage.output_tokens) == (1, 5, 3)
    sent = model_server.requests[0]
    assert [sent["model"], sent["temperature"], sent["seed"], sent["max_tokens"]] == ["tiny", 0.3, 7, 99]
    assert sent["messages"] == HELLO
    header, call = lines(file)
    assert (header["format"], header["version"]) == ("leed-calls", 1)
    assert header["made_with"] == {"map": "braunschweig", "agents": 10}
    assert header["model"] == {
        "name": "openai:tiny",
        "base_url": model_server.url,
        "temperature": 0.3,
        "seed": 7,
        "max_output_tokens": 99,
    }
    assert (call["purpose"], call["messages"], call["reply"]) == ("plan", HELLO, reply.text)
    assert (call["input_tokens"], call["output_tokens"], call["error"]) == (5, 3, None)


def test_a_tighter_limit_for_one_call(model_server: ModelServer) -> None:
    asker = caller(model_server)
    asker.ask(HELLO, purpose="plan", max_output_tokens=5)
    asker.ask(HELLO, purpose="plan")
    assert [r["max_tokens"] for r in model_server.requests] == [5, 4096]


def test_a_reply_cut_at_the_limit_says_length(model_server: ModelServer) -> None:
    model_server.script = [Say('{"0": ["a",', finish_reason="length")]
    assert caller(model_server).ask(HELLO, purpose="plan").finish_reason == "length"


@pytest.mark.parametrize("text", ["", None])
def test_an_empty_reply_is_a_reply(model_server: ModelServer, text: str | None) -> None:
    model_server.script = [Say(text)]
    assert caller(model_server).ask(HELLO, purpose="plan").text == ""


def test_a_reply_of_5_megabytes(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.script = [Say("[" * 5_000_000)]
    file = tmp_path / "calls.jsonl"
    assert len(caller(model_server, file).ask(HELLO, purpose="plan").text) == 5_000_000
    assert len(lines(file)[1]["reply"]) == 5_000_000


def test_text_that_utf8_cannot_hold_is_still_recorded_and_replayed(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.script = [Say("half a pair \ud83d and a line\u2028separator")]
    file = tmp_path / "calls.jsonl"
    text = caller(model_server, file).ask(HELLO, purpose="plan").text
    again = ModelCaller(ModelSettings(name="replay", replay=file), None, {})
    assert again.ask(HELLO, purpose="plan").text == text


@pytest.mark.parametrize(
    "trouble",
    [Answer(500), Answer(503), Answer(429), Answer(429, headers={"retry-after": "0.01"}), Reset()],
    ids=["500", "503", "429", "429-retry-after", "reset"],
)
def test_passing_trouble_is_tried_again_and_each_try_is_a_line(
    model_server: ModelServer, tmp_path: Path, trouble: Any
) -> None:
    model_server.script = [trouble, Say("fine")]
    file = tmp_path / "calls.jsonl"
    asker = caller(model_server, file)
    assert asker.ask(HELLO, purpose="plan").text == "fine"
    assert (asker.usage.calls, asker.usage.retries) == (1, 1)
    _, failed, good = lines(file)
    assert failed["error"]
    assert "reply" not in failed
    assert (good["reply"], good["error"], good["key"]) == ("fine", None, failed["key"])


def test_retry_after_is_waited_for(model_server: ModelServer) -> None:
    model_server.script = [Answer(429, headers={"retry-after": "0.2"})]
    asker = caller(model_server)
    asker.ask(HELLO, purpose="plan")
    assert asker.usage.seconds >= 0.2


@pytest.mark.parametrize(("year", "at_least"), [(2015, 0.0), (2199, 0.2)])
def test_a_retry_after_that_is_a_date_is_waited_for_at_most_so_long(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, year: int, at_least: float
) -> None:
    monkeypatch.setattr(failure, "LONGEST_PAUSE", 0.2)
    model_server.script = [Answer(429, headers={"retry-after": f"Wed, 21 Oct {year} 07:28:00 GMT"})]
    asker = caller(model_server)
    assert asker.ask(HELLO, purpose="plan").text == "ok"
    assert asker.usage.seconds >= at_least


def test_a_server_that_keeps_failing_is_unavailable_after_the_retries(model_server: ModelServer) -> None:
    model_server.default = Answer(500)
    with pytest.raises(UnavailableError, match=r"failed with status 500.*scripted failure") as raised:
        caller(model_server, retries=2).ask(HELLO, purpose="plan")
    assert len(model_server.requests) == 3
    assert raised.value.exit_code == 3
    assert model_server.url in str(raised.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again(model_server: ModelServer, status: int) -> None:
    model_server.default = Answer(status)
    with pytest.raises(UsageError, match=f"refused the key for openai:tiny \\({status}\\)"):
        caller(model_server).ask(HELLO, purpose="plan")
    assert len(model_server.requests) == 1


def test_an_account_without_quota_is_not_tried_again(model_server: ModelServer) -> None:
    model_server.default = Answer(429, '{"error": {"message": "You exceeded", "code": "insufficient_quota"}}')
    with pytest.raises(UnavailableError, match="no quota left"):
        caller(model_server).ask(HELLO, purpose="plan")
    assert len(model_server.requests) == 1


@pytest.mark.parametrize(("status", "words"), [(404, "knows no openai:tiny"), (400, "refused the request")])
def test_a_request_that_can_never_work_is_a_usage_error(model_server: ModelServer, status: int, words: str) -> None:
    model_server.default = Answer(status)
    with pytest.raises(UsageError, match=words):
        caller(model_server).ask(HELLO, purpose="plan")
    assert len(model_server.requests) == 1


@pytest.mark.parametrize(
    "body",
    ["<html>Welcome</html>", "[]", "null", '{"choices": []}', '{"choices": null}', '{"choices": [{}]}', "7", "["],
)
def test_a_200_that_is_no_chat_reply(model_server: ModelServer, body: str) -> None:
    model_server.default = Answer(200, body)
    with pytest.raises(UnavailableError, match="not a chat reply"):
        caller(model_server).ask(HELLO, purpose="plan")


@pytest.mark.parametrize("trouble", [Hang(), Trickle()], ids=["hang", "trickle"])
def test_the_time_limit_holds_for_a_silent_and_for_a_trickling_server(
    model_server: ModelServer, tmp_path: Path, trouble: Any
) -> None:
    model_server.default = trouble
    file = tmp_path / "calls.jsonl"
    started = time.perf_counter()
    with pytest.raises(UnavailableError, match=r"no whole reply in 0\.3 s"):
        caller(model_server, file, timeout_seconds=0.3, retries=1).ask(HELLO, purpose="plan")
    assert time.perf_counter() - started < 3
    assert len(lines(file)) == 3


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        asker = ModelCaller(ModelSettings(name="openai:tiny", base_url=url, retry_seconds=0.0), None, {})
        with pytest.raises(UnavailableError, match="Cannot reach openai:tiny") as raised:
            asker.ask(HELLO, purpose="plan")
    assert url in str(raised.value)
    assert asker.usage.retries == 2


def test_the_cap_on_calls_counts_further_tries(model_server: ModelServer) -> None:
    model_server.script = [Answer(500)]
    asker = caller(model_server, max_calls=3)
    asker.ask(HELLO, purpose="plan")
    asker.ask(HELLO, purpose="plan")
    with pytest.raises(CapReached, match=r"model\.max_calls"):
        asker.ask(HELLO, purpose="plan")
    assert len(model_server.requests) == 3


@pytest.mark.parametrize("reports_usage", [True, False])
def test_the_cap_on_tokens_holds_even_where_none_are_reported(model_server: ModelServer, reports_usage: bool) -> None:
    model_server.default = Say("one two three", reports_usage=reports_usage)
    asker = caller(model_server, max_tokens=8)
    reply = asker.ask(HELLO, purpose="plan")
    assert reply.input_tokens == (5 if reports_usage else None)
    with pytest.raises(CapReached, match=r"model\.max_tokens"):
        asker.ask(HELLO, purpose="plan")


def test_a_long_message_is_written_once(model_server: ModelServer, tmp_path: Path) -> None:
    long: list[Message] = [{"role": "system", "content": "street " * 1000}, {"role": "user", "content": "1"}]
    file = tmp_path / "calls.jsonl"
    asker = caller(model_server, file)
    for _ in range(3):
        asker.ask(long, purpose="junction")
    assert (
        file.read_text(encoding="utf-8").count("street street")
        == file.read_text(encoding="utf-8").count("street " * 1000) * 500
    )
    first, second, _ = lines(file)[1:]
    assert second["messages"][0] == {"role": "system", "same_as": first["messages"][0]["id"]}


def test_every_line_is_on_disk_as_soon_as_the_call_is_over(model_server: ModelServer, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    asker = caller(model_server, file)
    for count in range(1, 4):
        asker.ask(HELLO, purpose="plan")
        assert len(lines(file)) == count + 1


def test_going_on_in_a_file_that_a_kill_cut_short(model_server: ModelServer, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    caller(model_server, file).ask(HELLO, purpose="plan")
    with file.open("a", encoding="utf-8") as stream:
        stream.write('{"key": "half a li')
    caller(model_server, file).ask(HELLO, purpose="plan")
    assert [line.get("reply") for line in lines(file)] == [None, "ok", "ok"]


def test_a_calls_file_that_cannot_be_written(model_server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder is needed", encoding="utf-8")
    with pytest.raises(UsageError, match="Cannot write"):
        caller(model_server, tmp_path / "taken" / "calls.jsonl")


@pytest.mark.parametrize("in_address", [False, True])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_the_key_is_nowhere_even_when_the_server_echoes_it(
    model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, in_address: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    model_server.script = [Say(f"Your key is {CANARY}.")]
    model_server.default = Answer(status, '{"error": {"message": "bad header Authorization: $authorization"}}')
    file = tmp_path / "calls.jsonl"
    url = model_server.url.replace("://", f"://user:{CANARY}@") if in_address else model_server.url
    asker = caller(model_server, file, base_url=url)
    reply = asker.ask([*HELLO, {"role": "user", "content": CANARY}], purpose="plan")
    with pytest.raises((UsageError, UnavailableError)) as raised:
        asker.ask(HELLO, purpose="plan")
    shown = "".join(traceback.format_exception(raised.value))
    written = "".join(p.read_text(encoding="utf-8") for p in tmp_path.rglob("*") if p.is_file())
    for text in (shown, written, repr(reply), repr(asker.usage), asker.label, repr(asker.model)):
        assert "CANARY" not in text
        assert base64.b64encode(f"user:{CANARY}".encode()).decode() not in text
    assert "[key removed]" in str(raised.value)


def test_the_key_of_the_environment_is_sent_and_none_is_needed_for_a_server_of_ones_own(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller(model_server).ask(HELLO, purpose="plan")
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    caller(model_server).ask(HELLO, purpose="plan")
    assert model_server.authorizations == ["Bearer no-key-needed", f"Bearer {CANARY}"]
