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
    called = _calls(message)
    extra = {
        "reasoning": reasoning or next((m for word in _REASONING if isinstance(m := message.get(word), str)), ""),
        "refusal": message.get("refusal") if isinstance(message.get("refusal"), str) else "",
        "tool_calls": [arguments for _, arguments in called],
        "tool_names": [name for name, _ in called],
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


def calls_of(message: AIMessage) -> list[tuple[str, str]]:
    """Name and arguments of every tool call of any LangChain chat model's reply; the arguments as it wrote them, which
    may be no JSON."""
    names, more = message.additional_kwargs.get("tool_names"), message.additional_kwargs.get("tool_calls")
    if isinstance(names, list) and isinstance(more, list):
        return [(str(name), str(arguments)) for name, arguments in zip(names, more, strict=False)]
    invalid = [(str(call["name"] or ""), str(call["args"] or "")) for call in message.invalid_tool_calls]
    return [(call["name"], json.dumps(call["args"])) for call in message.tool_calls] + invalid


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


def _calls(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and arguments of every tool call, the latter as JSON."""
    calls = message.get("tool_calls")
    found = []
    for call in [*(calls if isinstance(calls, list) else []), {"function": message.get("function_call")}]:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(arguments, str | Mapping | list):
            written = arguments if isinstance(arguments, str) else json.dumps(arguments)
            found.append((name if isinstance(name, str) else "", written))
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
