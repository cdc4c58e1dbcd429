"""The settings of a run that goes on: its own, which lie in its folder. The call may confirm them, not change them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.setting_groups import HOW_A_MODEL_IS_REACHED
from leed_agentic.settings import Settings, given_settings, leaf, settings_of

_FREE = {
    *(f"model.{name}" for name in (*HOW_A_MODEL_IS_REACHED, "max_calls", "max_tokens", "max_cost")),
    *("map.cache", "map.overpass_url", "map.download_timeout"),
}
"""Settings that change no reply and no drive: how the model is reached and what it may cost, where things lie here."""


def settings_to_go_on(
    tree: Mapping[str, Any], where: str, given: Mapping[str, Any] | None = None, trust: bool = False
) -> Settings:
    """The settings in a run's folder, which may come from anybody (see `settings_of`).

    Args:
        tree: what the file holds.
        where: the file, for messages.
        given: words of the call, dotted name to value; they vouch for code and addresses.
        trust: whether the file may name code to import and a server that gets this machine's key.

    Raises:
        UsageError: the words would change the run, or its settings name code that nobody vouched for.
    """
    words = given or {}
    # Variables stand for every command alike: one that says something else is not meant for this run.
    variables = {
        name: value for name, value in given_settings(environment=os.environ).items() if leaf(tree, name) == value
    }
    settings = settings_of(tree, where, {**variables, **words}, trust)
    made, now = settings_of(tree, where, trust=True).for_file(), settings.for_file()
    for name in words:
        before, after = leaf(made, name), leaf(now, name)
        if before != after and name not in _FREE:
            raise UsageError(
                f"{where} says {name}={before}, and a run stays as it began; leave {name}={after} out, or begin a "
                "new one."
            )
    return settings
