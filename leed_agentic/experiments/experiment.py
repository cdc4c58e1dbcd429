"""What an experiment is: arms to compare, each a few settings, on some maps, over seeds; and the list of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leed_agentic import __version__
from leed_agentic.registry import Registry
from leed_agentic.settings import Settings, load_settings


@dataclass(frozen=True)
class Arm:
    """One thing that is compared: a label for figures, and the settings that make it."""

    label: str
    settings: Mapping[str, Any]
    """Dotted name to value."""


@dataclass(frozen=True)
class Experiment:
    """Arms that share everything but their own settings."""

    name: str
    question: str
    """What it answers, in one sentence; the title of its report."""
    arms: tuple[Arm, ...]
    maps: tuple[str, ...] = ("braunschweig", "berlin")
    common: Mapping[str, Any] = field(default_factory=dict)


experiments: Registry[Experiment] = Registry("experiment")


@dataclass(frozen=True)
class Run:
    """One training run of an experiment."""

    arm: str
    map: str
    seed: int
    settings: Settings

    @property
    def key(self) -> str:
        """Folder name; equal settings give the same one, so that experiments share runs."""
        content = {"version": __version__, **self.settings.model_dump(mode="json")}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
        where = re.sub(r"[^A-Za-z0-9-]+", "-", self.map.rsplit("/", 1)[-1])[:30]
        return f"{where}_{self.settings.learning.algorithm}_s{self.seed}_{digest}"


def runs_of(
    experiment: Experiment, maps: tuple[str, ...], seeds: int, changes: Mapping[str, Any], assignments: tuple[str, ...]
) -> list[Run]:
    """Every run an experiment needs: seeds first, so that all arms have their first result early.

    Args:
        changes: settings of the command line, such as `learning.episodes`; an arm's own settings go before them.
        assignments: `a.b=value` of the command line, for all arms.

    Raises:
        UsageError: a setting is unknown or out of range.
    """
    found = []
    for seed in range(seeds):
        for place in maps:
            for arm in experiment.arms:
                tree = {**experiment.common, **changes, **arm.settings, "map.name": place, "seed": seed}
                settings = load_settings(assignments=assignments, overrides=tree)
                found.append(Run(arm.label, place, seed, settings))
    return found
