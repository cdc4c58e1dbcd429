"""The checks of an environment pass what keeps its promises and name what does not."""

from __future__ import annotations

import itertools

import pytest

from leed_agentic import check_env, make_env
from leed_agentic.errors import UsageError

_calls = itertools.count()


def drifting(env, agent, change):
    """A reward that depends on how often it was asked."""
    return float(next(_calls))


def endless(env, agent, change):
    return float("nan")


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"mask_in_observation": True}, {"arrived": "keep"}], ids=str)
def test_the_environment_passes(settings):
    check_env(lambda: make_env(agents=3, max_steps=30, **settings))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reward", "words"), [("drifting", "must tell the same"), ("endless", "must give finite rewards")]
)
def test_a_broken_promise_is_named(reward, words):
    with pytest.raises(UsageError, match=words):
        check_env(lambda: make_env(agents=3, max_steps=30, reward=f"{__name__}.{reward}"))
