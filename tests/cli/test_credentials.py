"""Secrets of every shape are struck out of whatever is shown or written, and addresses show no more than they may."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.credentials import plain_address, struck_out, without_anything_like_a_key, without_keys
from tests.model_server import ModelServer, Say

SECRET = "hunter2-Qx9vTz8LmN4"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("https://api.example.org/openai/v1/", "https://api.example.org/openai/v1"),
        ("https://host/v1beta", "https://host/v1beta"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("http://host", "http://host"),
        (f"http://me:{SECRET}@host:8/v1", "http://host:8/v1"),
        (f"http://{SECRET}@host/v1", "http://host/v1"),
        (f"http://host/v1?api-key={SECRET}", "http://host/v1"),
        (f"http://host/v1#{SECRET}", "http://host/v1"),
        (f"http://host/{SECRET}/v1", "http://host"),
        (f"http://host/v1;key={SECRET}", "http://host"),
        (f"me:{SECRET}@host/v1", "host/v1"),
        (f"//me:{SECRET}@host/v1", "[address removed]"),
        (f"http://me:{SECRET}/x@host/v1", "[address removed]"),
        (f"http://me:a#{SECRET}@host/v1", "[address removed]"),
        (f"http://me:a?{SECRET}@host/v1", "[address removed]"),
        (f"http://host/v1/@{SECRET}", "[address removed]"),
        (f"http://host:{SECRET}/v1", "[address removed]"),
        (f"http://[{SECRET}/v1", "[address removed]"),
        (f"http://{SECRET} host/v1", "[address removed]"),
    ],
)
def test_an_address_shows_scheme_host_port_and_the_path_of_an_api(address: str, shown: str) -> None:
    found = plain_address(address)
    assert found in (shown, "host/v1")
    assert SECRET.lower() not in found.lower()


@pytest.mark.slow
@given(st.text(max_size=80))
def test_no_address_breaks_the_reader(text: str) -> None:
    for address in (text, f"http://{text}", f"http://host/{text}"):
        assert isinstance(plain_address(address), str)


@pytest.mark.parametrize(
    "name",
    [
        *("MY_API_KEY", "OPENAI_API_KEY_2", "GITHUB_TOKEN", "HF_TOKEN1", "CLIENT_SECRET", "DB_PASSWORD", "AZURE_PAT"),
        *("GH_PAT_2", "AWS_ACCESS_KEY_ID", "AWS_SESSION", "KEY_OF_MINE", "gitlab_token", "GOOGLE_CREDENTIALS"),
    ],
)
@pytest.mark.parametrize("value", [SECRET, "a\"b\\c'd-12345", "pä55wörd-ünd-mehr", "tab\there-12345"])
def test_values_of_variables_that_look_like_credentials(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    forms = [value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]]
    forms += [quote(value, safe=""), base64.b64encode(value.encode()).decode()]
    for form in forms:
        cleared = without_keys(f"before {form} after")
        assert cleared.startswith("before [key removed]")
        assert cleared.endswith(" after")
        assert form not in cleared


@pytest.mark.parametrize("name", ["PATH_OF_IT", "PATTERN", "COMPATIBLE", "EDITOR"])
def test_other_variables_stay(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "some-words-here")
    assert without_keys("some-words-here") == "some-words-here"


def test_numbers_and_structure_outlive_a_secret_of_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIN_PASSWORD", "12345678")
    assert struck_out({"n": 12345678, "t": ["12345678", None]}) == {"n": 12345678, "t": ["[key removed]", None]}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "sk-proj-0123456789abcdefXYZ",
        "ghp_0123456789abcdefghij0123456789abcdef",
        "github_pat_0123456789abcdefghij_01",
        "hf_0123456789abcdefghij",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-1234567890-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-def",
    ],
)
def test_what_looks_like_a_key_in_an_error(text: str) -> None:
    assert "[key removed]" in without_anything_like_a_key(f"bad: {text}!")
    assert text.rpartition(" ")[2] not in without_anything_like_a_key(f"bad: {text}!")


PLANTED = {
    "OPENAI_API_KEY": "sk-planted-0001-abcdefghijk",
    "ANTHROPIC_API_KEY": "sk-ant-planted-0002-abcdef",
    "OPENAI_API_KEY_2": "planted-0003-numbered",
    "GITHUB_TOKEN": "ghp_planted0004abcdefghijklmnop",
    "HF_TOKEN": "hf_planted0005abcdefghijk",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTED0006EXAMP",
    "AWS_SECRET_ACCESS_KEY": "planted/0007+abc/def=",
    "AWS_SESSION_TOKEN": "planted-0008-session",
    "DB_PASSWORD": "planted\"0009\\quote's",
    "AZURE_DEVOPS_PAT": "planted-0010-pat",
    "GL_PAT_3": "planted-0011-pat3",
    "CLIENT_SECRET": "planted-0012-sécrét-ü",
    "LANGSMITH_API_KEY": "lsv2_planted_0013_abc",
    "my_service_token": "planted-0014-lowercase",
    "SIGNING_KEY_PEM": "-----BEGIN planted-0015-----",
    "PIN_PASSWORD": "0016001600160016",
}
IN_ADDRESS = ("planted-0017-user", "planted-0018-password", "planted-0019-query")
IN_BODY = "planted-0020-extra-body"


@pytest.mark.slow
def test_twenty_planted_secrets_are_nowhere(leed, model_server: ModelServer, monkeypatch, tmp_path: Path) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    secrets = [*PLANTED.values(), *IN_ADDRESS, IN_BODY]
    said = "; ".join([*secrets, *(json.dumps(s) for s in secrets), *(quote(s, safe="") for s in secrets)])
    model_server.default = Say(json.dumps({"note": said, "0": [secrets[0]], secrets[1]: ["a"]}))
    user, password, query = IN_ADDRESS
    url = model_server.url.replace("://", f"://{user}:{password}@") + f"?api-key={query}"
    words = ("--model", "openai:x", "--base-url", url, "-s", f"model.extra_body={{api_key: {IN_BODY}, top_k: 1}}")
    shown = ""
    for command in (("demo", "generate", "--agents", "2", *words, "--rounds", "1", "--out", "run"), ("report", "run")):
        result = leed(*command)
        shown += result.out + result.err
    for command in (("demo", "show", "run"), ("demo", "show", "run", "--json"), ("models", "list", *words, "--json")):
        result = leed(*command)
        shown += result.out + result.err
    assert model_server.requests[0]["api_key"] == IN_BODY
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "report.html" for file in files)
    for secret in secrets:
        forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
        for form in forms:
            assert form not in shown
            assert not [file.name for file in files if form.encode() in file.read_bytes()]
