"""One training run of an experiment: the arm it stands for, and the folder that its settings name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leed_agentic import __version__
from leed_agentic.errors import UsageError
from leed_agentic.models.providers import REPLAY
from leed_agentic.registry import Registry, is_dotted, nearest
from leed_agentic.setting_groups import HOW_A_MODEL_IS_REACHED
from leed_agentic.settings import Settings, load_settings, read_yaml

REFERENCE_EPISODES = 20
"""Of random driving, and of every other reference driver where there is driver noise."""

_ASKS_NO_MODEL = ("none", "file", "lights", "logit", "shortest-path")


# -- arms --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Arm:
    """One thing that is compared: a label for figures, and the settings that make it."""

    label: str
    settings: Mapping[str, Any]
    """Dotted name to value."""


def choose_arms(experiment: str, known: Sequence[Arm], words: Sequence[str]) -> tuple[Arm, ...]:
    """The arms that are named, an experiment's own in its own order, then the others; all its own when none is named.

    Args:
        words: labels, dotted paths to an `Arm`, or YAML files that map labels to settings.

    Raises:
        UsageError: a word is none of these, or two arms have one label.
    """
    if not words:
        return tuple(known)
    labels = [arm.label for arm in known]
    others = [arm for word in words if word not in labels for arm in _arms_elsewhere(experiment, word, labels)]
    chosen = [*(arm for arm in known if arm.label in words), *others]
    taken = [*labels, *(arm.label for arm in others)]
    if twice := next((arm.label for arm in others if taken.count(arm.label) > 1), None):
        raise UsageError(f"Two arms are called {twice!r}; give yours another label.")
    return tuple(chosen)


def is_elsewhere(word: str) -> bool:
    """Whether a word names an arm outside the experiment: a file or a dotted path."""
    return word.endswith((".yaml", ".yml")) or is_dotted(word)


def leaves(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested groups of settings as dotted names."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        dotted = f"{above}{name}"
        found |= leaves(value, f"{dotted}.") if isinstance(value, Mapping) else {dotted: value}
    return found


def _arms_elsewhere(experiment: str, word: str, labels: Sequence[str]) -> list[Arm]:
    if not is_elsewhere(word):
        raise UsageError(f"Experiment {experiment} has no arm {word!r}: {nearest(word, labels)}")
    if word.endswith((".yaml", ".yml")):
        return _arms_in(Path(word))
    arm = Registry[Arm]("arm").get(word)
    if not isinstance(arm, Arm):
        raise UsageError(f"{word} is not an arm; write it as Arm(label, {{'group.name': value}}).")
    return [arm]


def _arms_in(file: Path) -> list[Arm]:
    tree = read_yaml(file, "file of arms")
    shape = "write it as 'label: {group.name: value}'"
    if not tree:
        raise UsageError(f"{file} holds no arms; {shape}.")
    if wrong := next((label for label, settings in tree.items() if not isinstance(settings, dict)), None):
        raise UsageError(f"{file}: arm {wrong!r} has no settings; {shape}.")
    arms = [Arm(str(label), leaves(settings)) for label, settings in tree.items()]
    for arm in arms:
        # A file may come from anybody: it runs no code.
        if code := load_settings(overrides=arm.settings, environment={}).code():
            name, path = code[0]
            raise UsageError(
                f"{file}: arm {arm.label!r} names code to run ({name}={path}); make it an Arm in a Python file of "
                "yours and give --arm its dotted path."
            )
    return arms


# -- what is asked for -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Request:
    """What the caller of an experiment decides; an experiment's own settings go before `changes`."""

    maps: tuple[str, ...] = ()
    """Empty: the experiment's own; likewise below."""
    seeds: int | None = None
    fleets: tuple[int, ...] = ()
    arms: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the command line, such as `learning.episodes`."""
    assignments: tuple[str, ...] = ()
    """`a.b=value`, for every arm."""
    policy_episodes: int = 0
    """Of training before a policy is compared with demonstrations (table2)."""
    trials: int = 8
    """Of each arm's search (tuning)."""
    scenarios: int = 50
    """That training never drew (held-out)."""


# -- runs --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Run:
    """One training run of an experiment."""

    arm: str
    map: str
    seed: int
    settings: Settings
    by_fleet: bool = False
    """Whether the experiment compares numbers of agents."""

    @property
    def key(self) -> str:
        """Folder name; runs that differ in nothing that matters share it, whichever experiment they are of."""
        return self.folder(self.settings.learning.algorithm.rsplit(".", 1)[-1], _run_content(self.settings))

    @property
    def demonstrated(self) -> bool:
        """Whether it learns from demonstrations."""
        return self.settings.learning.source != "none"

    @property
    def reference_key(self) -> str:
        """Folder name of the drivers that learn nothing, in this run's world."""
        return self.folder("references", {**world_content(self.settings), "episodes": REFERENCE_EPISODES})

    def folder(self, what: str, content: Mapping[str, Any]) -> str:
        """A name for people, told apart by a digest of the content."""
        where = re.sub(r"[^A-Za-z0-9-]+", "-", self.map.rsplit("/", 1)[-1])[:30]
        return f"{where}_{what}_s{self.seed}_{digest({'version': __version__, **content})}"

    @property
    def place(self) -> str:
        """What the run's figures are pooled by: its map, with the number of agents where that is compared."""
        name = Path(self.map).name.split(".")[0]
        return f"{name}_{self.settings.scenario.agents}_agents" if self.by_fleet else name


# -- what a folder is named by -----------------------------------------------------------------------------------------
# Only what differs from the defaults: a setting that is added later, and off by default, renames no folder.
def digest(content: Any) -> str:
    """Ten hexadecimal digits of JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def world_content(settings: Settings) -> dict[str, Any]:
    """What decides a scenario and how it is driven."""
    include = {"seed": True, "map": {"name", "lefthand"}, "scenario": True, "environment": True}
    return settings.model_dump(mode="json", exclude_defaults=True, include=include)  # type: ignore[arg-type]


def model_content(settings: Settings) -> dict[str, Any]:
    """What decides a model's replies: not how it is reached, nor what it costs."""
    found = settings.model.model_dump(mode="json", exclude_defaults=True, exclude={*HOW_A_MODEL_IS_REACHED, "replay"})
    if settings.model.base_url:
        found["base_url"] = settings.model.base_url
    if settings.model.name == REPLAY and settings.model.replay:
        found["replay"] = str(settings.model.replay)
    return found


def demonstration_content(settings: Settings, *without: str) -> dict[str, Any]:
    """How routes are planned, judged and refined."""
    return settings.demonstration.model_dump(mode="json", exclude_defaults=True, exclude=set(without))


def _run_content(settings: Settings) -> dict[str, Any]:
    """The world, how agents learn in it, and who demonstrates."""
    from leed_agentic.learning.algorithms import algorithm_class, options_of

    learning = settings.learning
    groups = set(learning.model_extra or {})
    shared = learning.model_dump(mode="json", exclude_defaults=True, exclude={"trackers", "checkpoint_every", *groups})
    options = options_of(algorithm_class(learning.algorithm), learning)
    chosen = {**shared, "options": options.model_dump(mode="json", exclude_defaults=True)}
    content = {"world": world_content(settings), "learning": {"algorithm": learning.algorithm, **chosen}}
    if learning.source not in _ASKS_NO_MODEL:
        content |= {"model": model_content(settings), "demonstration": demonstration_content(settings)}
    return content
