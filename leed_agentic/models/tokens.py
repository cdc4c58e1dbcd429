"""How many tokens a text is, without the model's tokeniser: an estimate that is rather too large than too small."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leed_agentic.models.caller import Message

LETTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 8
"""What a chat template puts around a message."""

# Street networks are mostly digits, and some tokenisers (Qwen, Llama 2) give every digit, and a space before one, a
# token of its own.
_PIECES = re.compile(rf"\d| (?=\d)|[A-Za-z]{{1,{LETTERS_PER_TOKEN}}}|[^\sA-Za-z\d]|\n")


def estimated_tokens(text: str) -> int:
    """One per digit, space before it, mark, line break and 4 letters begun; other letters count by their bytes."""
    beyond = len(text.encode("utf-8", "replace")) - len(text) if not text.isascii() else 0
    return sum(1 for _ in _PIECES.finditer(text)) + beyond


def prompt_tokens(messages: Sequence[Message]) -> int:
    """The estimate for a whole question, with what the chat format adds."""
    return sum(estimated_tokens(m["content"]) + TOKENS_PER_MESSAGE for m in messages)
