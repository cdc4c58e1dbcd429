"""LangChain's client for OpenAI and compatible servers, made to bear what such servers really send."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI

from leed_agentic.models.completion import message_of

_LIMIT_WORDS = ("max_tokens", "max_completion_tokens")


class ServerChat(BaseChatOpenAI):
    """For servers of one's own. It says max_tokens, which all of them know; many ignore max_completion_tokens, which
    OpenAI wants, and run on to the end of their context."""

    limit_word: str | None = None
    """What the limit on tokens is called in a request; None: as the client has it."""

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        return _renamed(payload, self.limit_word)

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        return _result(response)


class HostedChat(ChatOpenAI):
    """For OpenAI itself."""

    limit_word: str | None = None

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        return _renamed(payload, self.limit_word)

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        return _result(response)


def _renamed(payload: dict[str, Any], word: str | None) -> dict[str, Any]:
    limit = next((payload[name] for name in _LIMIT_WORDS if payload.get(name) is not None), None)
    if word is None or limit is None:
        return payload
    return {**{name: value for name, value in payload.items() if name not in _LIMIT_WORDS}, word: limit}


def _result(response: Any) -> ChatResult:
    """Raises NoReply as `message_of`. The client passes on what it cannot make a completion of as it came."""
    body = response.model_dump(warnings=False) if hasattr(response, "model_dump") else response
    return ChatResult(generations=[ChatGeneration(message=message_of(body))])
