"""The chat model behind the calls, without what its server turns out not to know."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leed_agentic.models.connect import connect
from leed_agentic.models.providers import STAND_IN
from leed_agentic.models.threads import within
from leed_agentic.models.tool_turns import turns_of
from leed_agentic.setting_groups import ModelSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

_TOOL_WORDS = {"tools", "tool choice", "tool_choice"}
_OTHER_WORD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


class Connection:
    """Invokes the model that the settings name, from any thread.

    Args:
        chat: a chat model of one's own in its place; its sampling and its limit on tokens are its own.
    """

    def __init__(self, settings: ModelSettings, chat: BaseChatModel | None = None) -> None:
        self._settings = settings
        self._chat = chat
        self._models: dict[Any, BaseChatModel] = {}
        self._adapted: dict[str, Any] = {}
        """Settings changed because the server does not know them."""
        self._lock = threading.Lock()

    def left_out(self) -> list[str]:
        """What is no longer sent as the settings have it."""
        with self._lock:
            return sorted(self._adapted)

    def chat(self, limit: int | None) -> BaseChatModel:
        """The model whose replies have at most `limit` tokens. Raises UsageError as `connect`."""
        if self._chat is not None:
            return self._chat
        # The limit goes in when the model is made, because providers agree on no word for it in a single call.
        with self._lock:
            changed = {"max_output_tokens": limit, **self._adapted}
            changed.pop("tools", None)
            named = tuple(sorted(changed.items()))
            if named not in self._models:
                self._models[named] = connect(self._settings.model_copy(update=changed))
            return self._models[named]

    def adapt(self, field: str | None) -> bool:
        """Do without a field that the server does not know, for good; whether that changes anything."""
        with self._lock:
            if field in ("temperature", "seed") and field not in self._adapted:
                self._adapted[field] = None
            elif field in _OTHER_WORD and "limit_word" not in self._adapted:
                self._adapted["limit_word"] = _OTHER_WORD[field]
            elif field in _OTHER_WORD and "max_output_tokens" not in self._adapted:
                self._adapted["max_output_tokens"] = None
            elif field in _TOOL_WORDS and "tools" not in self._adapted:
                self._adapted["tools"] = None
            else:
                return False
        return True

    def invoke(
        self,
        messages: Sequence[Mapping[str, Any]],
        limit: int | None,
        schema: Mapping[str, Any] | None,
        tools: Sequence[Mapping[str, Any]],
    ) -> AIMessage:
        """One request; whatever the provider's client raises passes through.

        Args:
            schema: what the reply is asked to be like; None: anything.
            tools: what the model may call; dropped where the server knows no tools.
        """
        model = self.chat(limit)
        offered = bool(tools) and "tools" not in self.left_out() and self._settings.name != STAND_IN
        turns = turns_of(messages, offered)
        if self._settings.name == STAND_IN:
            return model.invoke(turns)
        if offered:
            bound = model.bind_tools([{"type": "function", "function": dict(tool)} for tool in tools])
            return within(self._settings.timeout_seconds, lambda: bound.invoke(turns))
        if schema is None:
            return within(self._settings.timeout_seconds, lambda: model.invoke(turns))
        # Not as the client's own response_format, which raises on a reply cut short and loses its text and tokens.
        wanted = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}
        body = {**self._settings.extra_body, "response_format": wanted}
        return within(self._settings.timeout_seconds, lambda: model.invoke(turns, extra_body=body))
