"""From a model's name to a chat model, without asking it anything."""

from __future__ import annotations

import sys

import pytest

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.connect import connect
from leed_agentic.models.providers import split_name
from leed_agentic.setting_groups import ModelSettings


@pytest.mark.parametrize("name", ["gpt-4o", "", ":", "openai:", ":gpt-4o", "stand in", "Replay"])
def test_a_name_without_provider_names_the_form(name: str) -> None:
    with pytest.raises(UsageError, match="write provider:name, such as openai:gpt-4o-mini") as raised:
        connect(ModelSettings(name=name))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "variable"),
    [("openai:gpt-4o-mini", "OPENAI_API_KEY"), ("anthropic:claude-sonnet-4-5", "ANTHROPIC_API_KEY")],
)
@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str, key: str | None
) -> None:
    monkeypatch.delenv(variable, raising=False)
    if key is not None:
        monkeypatch.setenv(variable, key)
    with pytest.raises(UsageError, match=f"set the variable {variable}") as raised:
        ModelCaller(ModelSettings(name=name), None, {})
    assert raised.value.exit_code == 2


def test_a_key_with_characters_that_fit_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-…canary…")
    with pytest.raises(UsageError, match="OPENAI_API_KEY holds characters") as raised:
        connect(ModelSettings(name="openai:gpt-4o-mini"))
    assert "canary" not in str(raised.value)


def test_hosted_openai_and_ones_own_server_get_the_limit_in_their_own_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef0123")
    hosted = connect(ModelSettings(name="openai:gpt-4o-mini", max_output_tokens=50))
    own = connect(ModelSettings(name="openai:gpt-4o-mini", max_output_tokens=50, base_url="http://127.0.0.1:1/v1"))
    assert hosted._get_request_payload("hi")["max_completion_tokens"] == 50
    assert own._get_request_payload("hi")["max_tokens"] == 50
    assert hosted.max_retries == own.max_retries == 0


def test_the_record_says_when_a_client_drops_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef0123")
    caller = ModelCaller(ModelSettings(name="openai:gpt-5", temperature=0.2), None, {})
    assert caller.model["temperature"] is None


@pytest.mark.parametrize("url", ["127.0.0.1:8080/v1", "ftp://host/v1", "user:secret-word@host/v1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="must start with http:// or https://") as raised:
        connect(ModelSettings(name="openai:tiny", base_url=url))
    assert "secret-word" not in str(raised.value)


def test_another_provider_without_its_packages_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-0123456789abcdef0123")
    monkeypatch.setitem(sys.modules, "langchain", None)
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    with pytest.raises(UsageError, match=r'pip install "leed-agentic\[providers\]" langchain-anthropic'):
        connect(ModelSettings(name="anthropic:claude-sonnet-4-5"))


@pytest.mark.parametrize(
    ("name", "meant"), [("opnai:gpt-4o", "'openai'"), ("antropic:x", "'anthropic'"), ("standin", "'stand-in'")]
)
def test_a_slip_in_the_provider_is_told_and_no_package_is_named(name, meant):
    with pytest.raises(UsageError, match=f"did you mean {meant}") as told:
        connect(ModelSettings(name=name))
    assert "pip install" not in str(told.value)


@pytest.mark.parametrize(
    "provider", ["ollama", "azure_openai", "azure_ai", "bedrock", "google_vertexai", "huggingface"]
)
def test_providers_without_a_key_of_ours_are_no_slips(provider):
    assert split_name(f"{provider}:model") == (provider, "model")


def test_a_chat_model_of_ones_own_is_asked_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from langchain_core.language_models import FakeListChatModel\n"
        "def make():\n    return FakeListChatModel(responses=['a', 'b'])\n"
        "made = make()\nnothing = 3\n"
        "def broken():\n    raise ValueError('no such\\ncard')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from mine import make

    for caller in (
        ModelCaller(ModelSettings(), tmp_path / "calls.jsonl", {}, chat=make()),
        ModelCaller(ModelSettings(name="mine.make"), None, {}),
        ModelCaller(ModelSettings(name="mine.made"), None, {}),
    ):
        replies = [caller.ask([{"role": "user", "content": "x"}], purpose="t", max_output_tokens=5) for _ in "ab"]
        assert [(r.text, r.input_tokens) for r in replies] == [("a", None), ("b", None)]
        assert caller.label in ("FakeListChatModel", "mine.make", "mine.made")
    again = ModelCaller(ModelSettings(name="replay", replay=tmp_path / "calls.jsonl"), None, {})
    assert again.ask([{"role": "user", "content": "x"}], purpose="t", max_output_tokens=5).text == "a"
    for name, why in (
        ("mine.nothing", "no LangChain chat model"),
        ("mine.broken", "no such card"),
        ("no.such", "Cannot import"),
    ):
        with pytest.raises(UsageError, match=why):
            connect(ModelSettings(name=name))


def test_a_chat_model_of_ones_own_has_the_same_time_limit(tmp_path, monkeypatch):
    (tmp_path / "sleepy.py").write_text(
        "import threading\n"
        "from langchain_core.language_models import FakeListChatModel\n"
        "class Sleepy(FakeListChatModel):\n"
        "    responses: list[str] = ['never']\n"
        "    def _generate(self, *a, **k):\n        threading.Event().wait()\n"
        "    def _call(self, *a, **k):\n        threading.Event().wait()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    caller = ModelCaller(ModelSettings(name="sleepy.Sleepy", timeout_seconds=0.1, retries=1, retry_seconds=0), None, {})
    with pytest.raises(UnavailableError, match=r"sleepy.Sleepy .* gave no whole reply in 0.1 s") as raised:
        caller.ask([{"role": "user", "content": "x"}], purpose="t")
    assert raised.value.exit_code == 3
    assert caller.usage.retries == 1
