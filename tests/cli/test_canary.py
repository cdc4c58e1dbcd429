"""A key in the environment is in no file, log line, output or error of any command, whatever a server echoes."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.model_server import Answer, ModelServer, Say

KEY = "sk-CANARY-0123456789abcdef"
SECRETS = (b"CANARY", base64.b64encode(f"me:{KEY}".encode()), base64.b64encode(KEY.encode()))
ECHO = '{"error": {"message": "bad header Authorization: $authorization"}}'


@pytest.fixture
def silent(leed, model_server: ModelServer, monkeypatch, caplog, tmp_path) -> Callable[..., SimpleNamespace]:
    """Run a command with the key set and a server that repeats it; fails if the key is anywhere afterwards."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)

    def answer(body) -> Say:
        numbers = re.findall(r"(\d+\.\d+) \(", body["messages"][-1]["content"])
        return Say(f"{min(numbers, key=float) if numbers else '{}'} and your key is {KEY}")

    model_server.default = answer

    def run(*words: object, code: int) -> SimpleNamespace:
        result = leed(*words)
        assert result.code == code, result.err
        texts = [result.out.encode(), result.err.encode(), caplog.text.encode()]
        files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        names = [str(file.relative_to(tmp_path)).encode() for file in tmp_path.rglob("*")]
        for text in (*texts, *files, *names):
            assert not any(secret in text for secret in SECRETS)
        return result

    return run


@pytest.mark.slow
def test_commands_that_ask_a_model(silent, model_server):
    ask = ("--model", "openai:x", "--base-url", model_server.url, "--planning", "junction", "--agents", "2")
    assert "CANARY" not in silent("demo", "generate", *ask, "--dry-run", "--out", "dry", code=0).out
    silent("demo", "generate", *ask, "--out", "run", code=0)
    assert model_server.authorizations[-1] == f"Bearer {KEY}"
    assert "[key removed]" in Path("run", "calls.jsonl").read_text()
    silent("demo", "show", "run", "--json", code=0)
    silent("demo", "check", "run/demonstrations.json", code=0)
    silent("demo", "generate", "--model", "replay", "--replay", "run/calls.jsonl", "--out", "again", code=0)
    silent("models", "list", *ask[:4], code=0)
    silent("models", "ping", "openai:x", *ask[2:4], code=0)
    inside = model_server.url.replace("://", f"://me:{KEY}@")
    silent("demo", "generate", *ask[:2], "--base-url", inside, *ask[4:], "--out", "inside", code=0)
    silent("demo", "generate", *ask[:2], "--base-url", inside, *ask[4:], "--dry-run", "--out", "inside_dry", code=0)
    silent("models", "ping", "openai:x", "--base-url", inside, "--json", code=0)


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_commands_that_fail(silent, model_server, status):
    model_server.default = Answer(status, ECHO)
    server = ("--base-url", model_server.url, "-s", "model.retries=0")
    code = 2 if status in (400, 401, 404) else 3
    result = silent("demo", "generate", "--model", "openai:x", *server, "--agents", "2", "--out", "run", code=code)
    assert "[key removed]" in result.err
    silent("models", "ping", "openai:x", *server, "--json", code=code)
    again = ("--model", "replay", "--replay", "run/calls.jsonl", "--out", "again")
    silent("demo", "generate", *again, code=2)


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "generate", "--model", KEY),
        ("demo", "generate", "--map", KEY),
        ("demo", "generate", "-s", f"model.name={KEY}"),
        ("demo", "generate", "-s", f"model.max_calls={KEY}"),
        ("demo", "generate", "--model", "openai:x", "--base-url", f"me:{KEY}@host"),
        ("demo", "generate", "--model", "openai:x", "--base-url", f"ftp://host/{KEY}"),
        ("models", "ping", KEY),
        ("prompts", "show", KEY),
        ("prompts", "check", KEY),
    ],
)
def test_a_key_given_in_the_wrong_place(silent, words):
    error = silent(*words, code=2).err
    assert "[key removed]" in error or "host' must start with" in error


def test_commands_that_ask_nobody(silent):
    silent("prompts", "copy", "mine", code=0)
    silent("prompts", "check", "mine", code=0)
    silent("prompts", "list", "--prompts", "mine", "--json", code=0)
    silent("map", "list", code=0)


@pytest.mark.long
def test_training_evaluation_experiments_and_the_doctor(silent, few_references, model_server):
    server = ("--model", "openai:x", "--base-url", model_server.url)
    short = ("--agents", "2", "--episodes", "2")
    train = ("train", *server, *short, "--steps", "40", "--q", "1", "--planning", "junction")
    silent(*train, "--out", "run", code=0)
    assert model_server.requests
    inside = model_server.url.replace("://", f"://me:{KEY}@")
    silent(*train[:3], "--base-url", inside, *train[5:], "--out", "inside", code=0)
    silent("evaluate", "run", "--episodes", "1", code=0)
    silent("policy", "export", "run", "--agent", "0", code=0)
    silent("doctor", *server, code=0)
    tiny = ("-s", "environment.max_steps=40", "-s", "demonstration.planning=junction", "--jobs", "1", "--seeds", "1")
    silent("experiment", "run", "table2", *server, "--agents", "2", *tiny, code=0)
    model_server.default = Answer(401, ECHO)
    silent(*train, "--out", "failing", code=2)
    silent("train", "--model", KEY, *short, code=2)
    silent("experiment", "run", "table2", *server, "--agents", "2", *tiny, "--out", "failing_tables", code=2)
