"""What a run has asked of its model so far, what that cost, and the caps that end it."""

from __future__ import annotations

from dataclasses import dataclass, field

from leed_agentic.errors import LeedError, UsageError
from leed_agentic.models.providers import STAND_IN
from leed_agentic.setting_groups import ModelSettings

# Only for caps, and only where a server reports no usage: the usual rule of thumb for English and code.
CHARACTERS_PER_TOKEN = 4
MILLION = 1_000_000


class CapReached(LeedError):
    """The run's cap on calls, tokens or cost; whoever asks ends cleanly with the best it has so far."""


@dataclass
class Usage:
    """Counts of one run. Tokens are those that a model really took: replayed calls add none, those that the run itself
    made before it was stopped count."""

    calls: int = 0
    """Questions asked, replayed ones included."""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    """Time spent waiting for replies, failed tries and pauses between them included."""
    retries: int = 0
    """Further tries after a failed one."""
    replayed_calls: int = 0
    unreported_calls: int = 0
    """Replies for which the server reported no tokens."""
    counted_input: int = 0
    """What the caps count: also tokens of replayed calls, so that a replay ends where the recorded run ended, and an
    estimate where the server reports none."""
    counted_output: int = 0

    @property
    def reported(self) -> tuple[int | None, int | None]:
        """Input and output tokens, None where a server did not report those of every reply."""
        return (None, None) if self.unreported_calls else (self.input_tokens, self.output_tokens)

    def check(self, settings: ModelSettings) -> None:
        """Refuse the next call once a cap is reached; calls under way may overshoot tokens and cost.

        Raises:
            CapReached: the message names the setting to raise.
        """
        if self.tries_left(settings) < 1:
            raise CapReached(f"The run's {settings.max_calls} model calls are used up; raise model.max_calls to go on.")
        if self.counted_input + self.counted_output >= settings.max_tokens:
            raise CapReached(f"The run's {settings.max_tokens} tokens are used up; raise model.max_tokens to go on.")
        if settings.max_cost is not None:
            cost = price_of(self.counted_input, self.counted_output, settings)
            if cost is not None and cost >= settings.max_cost:
                raise CapReached(f"The run's cost has reached {settings.max_cost:g}; raise model.max_cost to go on.")

    def tries_left(self, settings: ModelSettings) -> int:
        """Requests that the cap on calls still allows; further tries count."""
        return settings.max_calls - self.calls - self.retries

    def cost(self, settings: ModelSettings) -> float | None:
        """What the tokens cost by the settings' prices, in their currency; None where it is unknown, because a price
        is unset or the server reports no tokens. A failed try reports none, whatever its provider charges."""
        unpaid = settings.name == STAND_IN and settings.price_input is None and settings.price_output is None
        if unpaid or self.calls == self.replayed_calls:
            return 0.0
        return None if self.unreported_calls else price_of(self.input_tokens, self.output_tokens, settings)


@dataclass
class Totals:
    """Sums over replies. One from a record counts as when it was made, so that a replay shows what the run showed;
    failed tries and waiting for a turn are left out."""

    calls: int = 0
    input_tokens: int | None = 0
    """None once a server did not report them; likewise below."""
    output_tokens: int | None = 0
    seconds: float = 0.0
    """Of the model, one reply after the other, however many were asked for at a time."""
    each: list[float] = field(default_factory=list)
    """Seconds of every reply."""

    def add(self, input_tokens: int | None, output_tokens: int | None, seconds: float) -> None:
        """Count one more reply; seconds as the record holds them."""
        self.calls += 1
        self.input_tokens = _sum(self.input_tokens, input_tokens)
        self.output_tokens = _sum(self.output_tokens, output_tokens)
        self.seconds += seconds
        self.each.append(seconds)


def _sum(so_far: int | None, more: int | None) -> int | None:
    return None if so_far is None or more is None else so_far + more


def price_of(input_tokens: int, output_tokens: int, settings: ModelSettings) -> float | None:
    """The tokens' price in the currency of the settings; None where a price is unset."""
    if settings.price_input is None or settings.price_output is None:
        return None
    return (input_tokens * settings.price_input + output_tokens * settings.price_output) / MILLION


def check_caps(settings: ModelSettings) -> None:
    """Raises UsageError for a cap on cost that no price lets anybody reach."""
    if settings.max_cost is not None and (settings.price_input is None or settings.price_output is None):
        raise UsageError(
            f"A cap of {settings.max_cost:g} on the cost needs prices; set model.price_input and model.price_output, "
            "per million tokens, or leave model.max_cost out."
        )


def check_first(characters: int, settings: ModelSettings) -> None:
    """Raises UsageError when the first prompt alone breaks a cap: such a run could only ask and throw away."""
    tokens = characters // CHARACTERS_PER_TOKEN
    if tokens > settings.max_tokens:
        raise UsageError(
            f"The first prompt alone has about {tokens} tokens, more than model.max_tokens={settings.max_tokens} "
            "allows the whole run; raise it, or make the prompt smaller (fewer agents, another map or planning)."
        )
    cost = price_of(tokens, 0, settings)
    if settings.max_cost is not None and cost is not None and cost > settings.max_cost:
        raise UsageError(
            f"The first prompt alone costs about {cost:.2g}, more than model.max_cost={settings.max_cost:g} allows the "
            "whole run; raise it, or make the prompt smaller (fewer agents, another map or planning)."
        )
