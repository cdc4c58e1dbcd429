"""calls.jsonl: one line a call of the model. `--model replay --replay FILE` plays such a file back."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from leed_agentic.runs.record import record


class ModelRecord(TypedDict):
    """What the model was really run with."""

    name: str
    base_url: str | None
    temperature: float | None
    seed: int | None
    max_output_tokens: int | None
    extra_body: NotRequired[dict[str, Any] | None]
    """Further fields of each request, without their secrets."""
    structured: NotRequired[bool | None]
    """Whether replies were held to a JSON schema; absent: no."""


@record
class CallsHeader(TypedDict):
    """What the run was made with. Keys are never written."""

    format: Literal["leed-calls"]
    version: Literal[1]
    made_with: dict[str, Any]
    """Scenario and settings that decide which questions are asked."""
    model: ModelRecord


class MessageRecord(TypedDict):
    """One turn of a chat. A long content that recurs is written once."""

    role: Literal["system", "user", "assistant", "tool"]
    content: NotRequired[str | None]
    """Left out where same_as stands."""
    id: NotRequired[str | None]
    """Name of a content that later lines refer to."""
    same_as: NotRequired[str | None]
    """The content is that of this id."""


class SamplingRecord(TypedDict):
    """How the reply was drawn."""

    temperature: float | None
    seed: int | None
    max_output_tokens: int | None


@record
class Call(TypedDict):
    """One try: a reply, or an error in its place."""

    key: str
    """SHA-256 of messages and sampling; a replay finds the call by it."""
    purpose: str
    """What it was for; not sent."""
    messages: list[MessageRecord]
    model: str
    settings: SamplingRecord
    attempt: int
    """0 is the first try."""
    error: str | None
    """Why there is no reply."""
    seconds: float
    reply: NotRequired[str | None]
    finish_reason: NotRequired[str | None]
    """length: cut at the limit on tokens."""
    input_tokens: NotRequired[int | None]
    """As the server reports; null where it does not."""
    output_tokens: NotRequired[int | None]
    reasoning: NotRequired[str | None]
    """Thoughts that the server sent apart from the reply."""
    refusal: NotRequired[str | None]
    """The model's words where it would not answer."""
    adapted: NotRequired[list[str] | None]
    """Settings left out or renamed because the server refused them."""
    extra_body: NotRequired[dict[str, Any] | None]
    """Further fields of the request, without their secrets."""
    replayed: NotRequired[bool | None]
    schema: NotRequired[dict[str, Any] | None]
    """JSON schema that was sent along."""
    tools: NotRequired[list[str] | None]
    """Names of the tools that were offered; a reply has a line {"tool": ..., "arguments": ...} for each it called."""
    status: NotRequired[int | None]
    """HTTP status of a failed try."""
