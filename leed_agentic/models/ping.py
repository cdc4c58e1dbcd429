"""One tiny question to a model: does it answer, how fast, and does it say how many tokens that took."""

from __future__ import annotations

from dataclasses import dataclass

from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.providers import REPLAY
from leed_agentic.models.tracing import traced
from leed_agentic.setting_groups import ModelSettings

# Somebody waits at the terminal: less than the settings allow a run.
LONGEST_WAIT = 30.0
ANSWER_TOKENS = 16


@dataclass(frozen=True)
class Pong:
    """What came back."""

    label: str
    seconds: float | None
    """None where nothing was asked: a recording answers only the questions it was made with."""
    usage_reported: bool
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    """In the currency of the settings' prices; None where it is unknown."""
    recorded_calls: int | None = None


def ping(settings: ModelSettings) -> Pong:
    """Ask once, without further tries; at most a few tokens are spent.

    Raises:
        UsageError: the settings name no usable model, key or recording, or the server refuses the key or the model.
        UnavailableError: the model cannot be reached or fails.
    """
    patience = min(settings.timeout_seconds, LONGEST_WAIT)
    caller = ModelCaller(settings.model_copy(update={"timeout_seconds": patience, "retries": 0}), None, {})
    if settings.name == REPLAY and caller.recording is not None:
        return Pong(caller.label, None, False, None, None, 0.0, len(caller.recording.calls))
    with traced(settings):
        reply = caller.ask([{"role": "user", "content": "Say yes."}], purpose="ping", max_output_tokens=ANSWER_TOKENS)
    reported = reply.input_tokens is not None and reply.output_tokens is not None
    return Pong(caller.label, reply.seconds, reported, reply.input_tokens, reply.output_tokens, caller.cost)
