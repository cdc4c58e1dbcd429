"""The estimate of tokens, beside what a real tokeniser counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.models.recording import Recording
from leed_agentic.models.tokens import TOKENS_PER_MESSAGE, estimated_tokens, prompt_tokens
from tests.conftest import JUNCTION


def test_it_is_above_what_a_real_model_counted_but_not_far() -> None:
    recording = Recording.load(JUNCTION)
    assert len(recording.calls) > 50
    for call in recording.calls:
        estimate, counted = prompt_tokens(call["messages"]), call["input_tokens"]
        assert counted <= estimate <= 1.3 * counted


def test_digits_marks_and_begun_words_count_one_each() -> None:
    assert estimated_tokens("-101176341#4") == 12
    assert estimated_tokens("at 23 s") == 5
    assert estimated_tokens("next edges\n") == 1 + 2 + 1
    assert estimated_tokens("香") == 3
    assert prompt_tokens([{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]) == (
        1 + 2 * TOKENS_PER_MESSAGE
    )


@given(st.text(), st.text())
def test_it_grows_with_the_text(one: str, other: str) -> None:
    assert estimated_tokens(f"{one}\n{other}") == estimated_tokens(one) + 1 + estimated_tokens(other)
