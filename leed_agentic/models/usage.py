"""What a run has asked of its model so far, and the caps that end it."""

from __future__ import annotations

from dataclasses import dataclass

from leed_agentic.errors import LeedError
from leed_agentic.settings import ModelSettings

# Only for the cap, and only where a server reports no usage: the usual rule of thumb for English and code.
CHARACTERS_PER_TOKEN = 4


class CapReached(LeedError):
    """The run's cap on calls or tokens; whoever asks ends cleanly with the best it has so far."""


@dataclass
class Usage:
    """Counts of one run. Tokens are those a model was really paid for: replayed calls add none."""

    calls: int = 0
    """Questions asked, replayed ones included."""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    """Time spent waiting for replies, failed tries and pauses between them included."""
    retries: int = 0
    """Further tries after a failed one."""
    replayed_calls: int = 0
    counted_tokens: int = 0
    """What the cap on tokens counts: also those of replayed calls, so that a replay ends where the recorded run ended,
    and an estimate where the server reports none."""

    def check(self, settings: ModelSettings) -> None:
        """Refuse the next try once a cap is reached; the last call before it may overshoot the cap on tokens.

        Raises:
            CapReached: the message names the setting to raise.
        """
        if self.calls + self.retries >= settings.max_calls:
            raise CapReached(f"The run's {settings.max_calls} model calls are used up; raise model.max_calls to go on.")
        if self.counted_tokens >= settings.max_tokens:
            raise CapReached(f"The run's {settings.max_tokens} tokens are used up; raise model.max_tokens to go on.")
