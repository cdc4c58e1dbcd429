"""The settings of a run, with what a recording was made with filled in: a replay asks the same questions again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.prompts import PromptSet, uses, variants
from leed_agentic.errors import UsageError
from leed_agentic.models.providers import STAND_IN
from leed_agentic.models.recording import Recording, shipped_recording
from leed_agentic.roads.catalogue import map_names, open_map
from leed_agentic.settings import Settings, load_settings, settings_of
from leed_agentic.traffic.demand import in_traffic
from leed_agentic.traffic.scenario import Scenario

REPLAY = "replay"
_log = logging.getLogger(__name__)


def settings_for_run(
    file: Path | None = None,
    assignments: Iterable[str] = (),
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
    wishes: bool = False,
) -> Settings:
    """Settings as `load_settings` reads them, `resolved`. Raises UsageError as these two."""
    return resolved(load_settings(file, assignments, overrides, trust=trust), trust, wishes=wishes)


def resolved(
    settings: Settings,
    trust: bool = False,
    replayed: bool = True,
    wishes: bool = False,
    scenario: Scenario | None = None,
) -> Settings:
    """The way of planning filled in; the replay model brings the recording's own settings, which may not be changed.

    Where nobody chose the replay model, it being the default, the stand-in plans what the recording does not hold.

    Args:
        trust: whether the recording may name code to run that `settings` do not name.
        replayed: False where another model answers than the settings name.
        wishes: whether a person has some; alternatives keep to these.
        scenario: where it is made already; traffic is looked for there.

    Raises:
        UsageError: a setting was given that differs from the recording's, or the recording names code.
    """
    if settings.model.name != REPLAY or not replayed:
        wishes = wishes or settings.demonstration.rules is not None
        planning = "alternatives" if wishes or in_traffic(settings, scenario) else "fleet"
        unset = settings.demonstration.planning is None
        return settings.changed({"demonstration.planning": planning}) if unset else settings
    if settings.map.name not in map_names(settings.map) and not Path(settings.map.name).exists():
        # A slip in the map's name is told as that, not as a change of the recording's map.
        open_map(settings.map.name, settings.map)
    file = settings.model.replay or shipped_recording()
    made_with = Recording.made_with_of(file).get("settings", {})
    if not isinstance(made_with, Mapping):
        raise UsageError(f"The recording {file} does not say on line 1 which settings it was made with.")
    given = settings.model_dump(mode="json", exclude_unset=True)
    way = settings.demonstration.planning
    try:
        merged = _merge(settings, made_with, given)
        if not _is_chosen(settings):
            way = merged["demonstration"]["planning"]
            _refuse_templates(settings, merged["demonstration"]["planning"])
    except AnotherRunError as error:
        if _is_chosen(settings):
            raise
        _log.warning("%s, so the stand-in plans: no LLM is called; name a model with --model provider:name.", error.why)
        return resolved(settings.changed({"model.name": STAND_IN, "demonstration.planning": way}), scenario=scenario)
    return settings_of(merged, str(file), settings.vouched_for(), trust)


def _is_chosen(settings: Settings) -> bool:
    """Whether somebody asked for the replay model, in place of getting it by default."""
    return "name" in settings.model.model_fields_set or settings.model.replay is not None


def _refuse_templates(settings: Settings, planning: str) -> None:
    """Raises AnotherRunError where templates of this way of planning are others than the packaged ones."""
    folder = settings.demonstration.prompts
    if folder is None:
        return
    packaged = PromptSet.load().texts
    if any(uses(planning, name) and text != packaged[name] for name, text in PromptSet.load(folder).texts.items()):
        raise AnotherRunError("demonstration.prompts", "default", folder)


def _merge(settings: Settings, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    tree = settings.model_dump(mode="json")
    for group in sorted(_RECORDED & recorded.keys(), key=list(recorded).index):
        values = recorded[group]
        if not isinstance(values, Mapping):
            _refuse_change(group, values, given.get(group, values))
            tree[group] = values
            continue
        for name, value in values.items():
            if group in tree and name in tree[group]:
                _refuse_change(f"{group}.{name}", value, (given.get(group) or {}).get(name, value))
                # Packaged templates are the same everywhere: their name is the recording's, unless others are named.
                packaged = name == "prompts" and value in variants() and tree[group][name] is None
                if (group, name) not in _FREE or packaged:
                    tree[group][name] = value
    return tree


_RECORDED = {"seed", "map", "scenario", "environment", "demonstration"}
"""The groups that a recording brings (`parts.made_with`): not how the model is reached, nor who watches."""
_FREE = {("demonstration", "prompts"), ("map", "cache"), ("map", "overpass_url"), ("map", "download_timeout")}
"""Settings that do not belong to a recording: where things lie on this machine."""


class AnotherRunError(UsageError):
    """A setting differs from the recording's.

    Attributes:
        why: which one, without what to do about it.
    """

    def __init__(self, name: str, recorded: Any, given: Any) -> None:
        self.why = f"The recording was made with {name}={recorded} and cannot answer for {given}"
        super().__init__(f"{self.why}; leave that out, or choose another model, such as --model stand-in.")


def _refuse_change(name: str, recorded: Any, given: Any) -> None:
    group, _, field = name.partition(".")
    if given != recorded and (group, field) not in _FREE:
        raise AnotherRunError(name, recorded, given)
