"""What the replies of a run took, whether they were asked for or played from a record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Spent:
    """Sums over replies. One from a record counts as when it was made, so that a replay shows what the run showed;
    failed tries and waiting for a turn are left out."""

    calls: int = 0
    input_tokens: int | None = 0
    """None once a server did not report them; likewise below."""
    output_tokens: int | None = 0
    seconds: float = 0.0
    """Of the model, one reply after the other, however many were asked for at a time."""

    def add(self, input_tokens: int | None, output_tokens: int | None, seconds: float) -> None:
        """Count one more reply; seconds as the record holds them."""
        self.calls += 1
        self.input_tokens = _sum(self.input_tokens, input_tokens)
        self.output_tokens = _sum(self.output_tokens, output_tokens)
        self.seconds += seconds


def _sum(so_far: int | None, more: int | None) -> int | None:
    return None if so_far is None or more is None else so_far + more
