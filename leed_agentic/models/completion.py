"""A chat completion as servers of every make write it, into one message; what is no completion says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from leed_agentic.models.failure import NoReply, said_in

LARGEST_COUNT = 1_000_000_000
_REASONING = ("reasoning_content", "reasoning", "thinking", "thoughts")


def message_of(body: Any) -> AIMessage:
    """The first choice's message: text, and in `additional_kwargs` reasoning, refusal and tool calls where there are.

    Args:
        body: the response as JSON.

    Raises:
        NoReply: an error came in place of a reply, or nothing that could be one.
    """
    if not isinstance(body, Mapping):
        raise NoReply(said_in(body) or f"it sent {type(body).__name__}")
    _raise_error(body)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        told = {word: body[word] for word in ("message", "detail", "msg") if body.get(word)}
        raise NoReply(said_in(told) or "the reply has no choices")
    choice = choices[0]
    _raise_error(choice)
    message = choice.get("message") or {"content": choice.get("text")}
    if not isinstance(message, Mapping) or not any(isinstance(v, str | list | Mapping) for v in message.values()):
        if choice.get("finish_reason") is None:
            raise NoReply("the reply has no message")
        message = {}
    text, reasoning = _texts(message.get("content"))
    extra = {
        "reasoning": reasoning or next((m for word in _REASONING if isinstance(m := message.get(word), str)), ""),
        "refusal": message.get("refusal") if isinstance(message.get("refusal"), str) else "",
        "tool_calls": _arguments(message),
    }
    finish = choice.get("finish_reason")
    return AIMessage(
        text,
        additional_kwargs={word: value for word, value in extra.items() if value},
        response_metadata={"finish_reason": finish if isinstance(finish, str) else None},
        usage_metadata=_usage(body.get("usage")),
    )


def parts_of(message: AIMessage) -> tuple[str, str, str, list[str]]:
    """Text, reasoning, refusal and the arguments of tool calls of any LangChain chat model's reply."""
    text, reasoning = _texts(message.content)
    more = message.additional_kwargs
    reasoning = reasoning or next((m for word in _REASONING if isinstance(m := more.get(word), str)), "")
    refusal = more.get("refusal") if isinstance(more.get("refusal"), str) else ""
    calls = more.get("tool_calls")
    called = [call for call in calls if isinstance(call, str)] if isinstance(calls, list) else []
    return text, reasoning, refusal or "", called or [json.dumps(call["args"]) for call in message.tool_calls]


def count(value: Any) -> int | None:
    """A number of tokens as a server reports it; None where that can be none."""
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None


def _raise_error(holder: Mapping[str, Any]) -> None:
    error = holder.get("error")
    if error:
        code = error.get("code") or error.get("status") if isinstance(error, Mapping) else holder.get("code")
        number = int(code) if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3 else code
        status = number if type(number) is int and 400 <= number <= 599 else None
        raise NoReply(said_in(error) or "an error without words", status)


def _texts(content: Any) -> tuple[str, str]:
    """What a content says, and what of it is thinking."""
    if isinstance(content, str):
        return content, ""
    said: list[str] = []
    thought: list[str] = []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, Mapping):
            inner = part.get("thinking") or part.get("reasoning")
            if inner:
                thought.append(inner if isinstance(inner, str) else _texts(inner)[0])
            elif isinstance(part.get("text"), str):
                said.append(part["text"])
    return "".join(said), "".join(thought)


def _arguments(message: Mapping[str, Any]) -> list[str]:
    """The arguments of every tool call, as JSON."""
    calls = message.get("tool_calls")
    found = []
    for call in [*(calls if isinstance(calls, list) else []), {"function": message.get("function_call")}]:
        function = call.get("function") if isinstance(call, Mapping) else None
        arguments = function.get("arguments") if isinstance(function, Mapping) else None
        if isinstance(arguments, str):
            found.append(arguments)
        elif isinstance(arguments, Mapping | list):
            found.append(json.dumps(arguments))
    return found


def _usage(usage: Any) -> UsageMetadata | None:
    if not isinstance(usage, Mapping):
        return None
    read, written = (
        next((n for word in words if (n := count(usage.get(word))) is not None), None)
        for words in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )
    if read is None or written is None:
        return None
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
