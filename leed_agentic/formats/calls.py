"""calls.jsonl: one line a call of the model. `--model replay --replay FILE` plays such a file back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leed_agentic.formats.part import Free, Part


class ModelPart(Part):
    """What the model was really run with."""

    name: str
    base_url: str | None
    temperature: float | None
    seed: int | None
    max_output_tokens: int | None
    extra_body: Free | None = Field(None, description="Further fields of each request, without their secrets.")
    structured: bool | None = Field(None, description="Whether replies were held to a JSON schema; absent: no.")


class CallsHeader(Part):
    """What the run was made with. Keys are never written."""

    format: Literal["leed-calls"]
    version: Literal[1]
    made_with: Free = Field(description="Scenario and settings that decide which questions are asked.")
    model: ModelPart


class MessagePart(Part):
    """One turn of a chat. A long content that recurs is written once."""

    role: Literal["system", "user", "assistant"]
    content: str | None = Field(None, description="Left out where same_as stands.")
    id: str | None = Field(None, description="Name of a content that later lines refer to.")
    same_as: str | None = Field(None, description="The content is that of this id.")


class Sampling(Part):
    """How the reply was drawn."""

    temperature: float | None
    seed: int | None
    max_output_tokens: int | None


class Call(Part):
    """One try: a reply, or an error in its place."""

    key: str = Field(description="SHA-256 of messages and sampling; a replay finds the call by it.")
    purpose: str = Field(description="What it was for; not sent.")
    messages: list[MessagePart]
    model: str
    settings: Sampling
    attempt: int = Field(description="0 is the first try.")
    error: str | None = Field(description="Why there is no reply.")
    seconds: float
    reply: str | None = None
    finish_reason: str | None = Field(None, description="length: cut at the limit on tokens.")
    input_tokens: int | None = Field(None, description="As the server reports; null where it does not.")
    output_tokens: int | None = None
    reasoning: str | None = Field(None, description="Thoughts that the server sent apart from the reply.")
    refusal: str | None = Field(None, description="The model's words where it would not answer.")
    adapted: list[str] | None = Field(None, description="Settings left out or renamed because the server refused them.")
    extra_body: Free | None = Field(None, description="Further fields of the request, without their secrets.")
    replayed: bool | None = None
    held_to: Free | None = Field(None, alias="schema", description="JSON schema that was sent along.")
    status: int | None = Field(None, description="HTTP status of a failed try.")
