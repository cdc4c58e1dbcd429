"""Counts and lists on the command line that mean nothing, or that nobody can mean."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("demo compare --model stand-in --trials 0", "--trials must be 1 or more, not 0"),
        (f"demo compare --model stand-in --trials {10**24}", "--trials must be 100,000 or less"),
        (f"demo compare --model stand-in --samples {10**12}", "--samples must be 100,000 or less"),
        ("demo compare --model stand-in --jobs 1001", "--jobs must be 1,000 or less, not 1001"),
        ("demo compare --model stand-in --maps ,", "--maps is empty"),
        (f"experiment run fig3 --seeds {10**24}", "--seeds must be 100,000 or less"),
        ("experiment run fig3 --seeds 0", "--seeds must be 1 or more, not 0"),
        (f"experiment run tuning --trials {10**12}", "--trials must be 100,000 or less"),
        ("experiment run fig3 --policy-episodes -1", "--policy-episodes must be 0 or more, not -1"),
        ("experiment run fig3 --maps ,", "--maps is empty"),
        ("experiment run fig3 --agents 5,x", "--agents takes a number, or several separated by commas, not '5,x'"),
    ],
)
def test_count_that_cannot_be_meant_is_refused_before_anything_is_made(leed, words, said):
    ran = leed(*words.split())
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert not list(Path().iterdir())
