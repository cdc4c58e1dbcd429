"""What came back for a question: text, thoughts, refusal, tokens, and why there is no answer when there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leed_agentic.credentials import struck_out

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

# Providers' words for a reply that ran into the limit on tokens, and for one that was held back.
_CUT = {"length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"}
_HELD_BACK = {"content_filter", "SAFETY", "safety", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION", "guardrails"}
_QUOTED = 300


@dataclass(frozen=True)
class Reply:
    """What came back; tokens are None where the server reports none, and as recorded for a replayed call."""

    text: str
    input_tokens: int | None
    output_tokens: int | None
    seconds: float
    finish_reason: str
    """`length` when the reply was cut at the limit on tokens, `content_filter` when it was held back, whatever the
    provider calls these."""
    replayed: bool
    reasoning: str = ""
    """What the server sent as thoughts, apart from the text; where there is no text, an answer in them is the text."""
    refusal: str = ""

    @property
    def trouble(self) -> str | None:
        """Why there is no answer in the text, as far as the server says."""
        if self.refusal:
            return f"The model refused: {shortened(self.refusal)!r}"
        if self.finish_reason == "content_filter":
            return "The server's content filter held the reply back; choose another model, or other prompts."
        if self.finish_reason == "length":
            return "The reply was cut at the token limit; raise model.max_output_tokens or ask for fewer agents."
        if not self.text.strip() and self.reasoning:
            return "The reply holds thoughts only and no answer; raise model.max_output_tokens, or switch thinking off."
        return None if self.text.strip() else "The reply is empty."


def shortened(text: str) -> str:
    """A quotation for a sentence: one line, 300 characters at most."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 20 * _QUOTED]).split())
    return line if len(line) <= _QUOTED else line[: _QUOTED - 1] + "…"


def reply_of(message: AIMessage, seconds: float, tools: bool = False) -> Reply:
    """What a chat model's message says, whatever its provider. No key is in it.

    Args:
        tools: whether tools were offered; each call is then a line {"tool": name, "arguments": {...}} after the text.
    """
    from leed_agentic.models.completion import calls_of, count, parts_of

    text, reasoning, refusal, called = struck_out(parts_of(message))
    details = message.response_metadata
    reason = details.get("finish_reason") or details.get("stop_reason") or details.get("done_reason")
    incomplete = details.get("incomplete_details")
    reason = str(reason or (incomplete.get("reason") if isinstance(incomplete, Mapping) else None) or "stop")
    reason = "length" if reason in _CUT else "content_filter" if reason in _HELD_BACK else reason
    if tools:
        lines = [_call_line(name, arguments) for name, arguments in struck_out(calls_of(message))]
        text, called = "\n".join([*([text] if text.strip() else []), *lines]), []
    if not text.strip():
        # The answer is in a tool call, or a server that splits thoughts off took it for one.
        text = "\n".join(called) or (reasoning if reason != "length" and not refusal else "")
    usage: Mapping[str, Any] = message.usage_metadata or {}
    read, written = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    return Reply(
        text=text,
        # No prompt is read in no tokens, and no text is written in none.
        input_tokens=read or None,
        output_tokens=None if written == 0 and text else written,
        seconds=seconds,
        finish_reason=reason,
        replayed=False,
        reasoning=reasoning,
        refusal=refusal,
    )


def _call_line(name: str, arguments: str) -> str:
    try:
        given = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        given = arguments
    return json.dumps({"tool": name, "arguments": given}, ensure_ascii=False)
