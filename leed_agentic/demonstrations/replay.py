"""The settings of a run, with what a recording was made with filled in: a replay asks the same questions again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.prompts import variants
from leed_agentic.errors import UsageError
from leed_agentic.models.recording import Recording, shipped_recording
from leed_agentic.roads.catalogue import map_names, open_map
from leed_agentic.settings import Settings, load_settings, settings_of
from leed_agentic.traffic.demand import in_traffic

REPLAY = "replay"


def settings_for_run(
    file: Path | None = None,
    assignments: Iterable[str] = (),
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
    wishes: bool = False,
) -> Settings:
    """Settings as `load_settings` reads them, `resolved`. Raises UsageError as these two."""
    return resolved(load_settings(file, assignments, overrides, trust=trust), trust, wishes=wishes)


def resolved(settings: Settings, trust: bool = False, replayed: bool = True, wishes: bool = False) -> Settings:
    """The way of planning filled in; the replay model brings the recording's own settings, which may not be changed.

    Args:
        trust: whether the recording may name code to run that `settings` do not name.
        replayed: False where another model answers than the settings name.
        wishes: whether a person has some; alternatives keep to these.

    Raises:
        UsageError: a setting was given that differs from the recording's, or the recording names code.
    """
    if settings.model.name != REPLAY or not replayed:
        wishes = wishes or settings.demonstration.rules is not None
        planning = "alternatives" if wishes or in_traffic(settings) else "fleet"
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
    return settings_of(_merge(settings, made_with, given), str(file), settings.vouched_for(), trust)


def _merge(settings: Settings, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    tree = settings.model_dump(mode="json")
    for group in _RECORDED & recorded.keys():
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


def _refuse_change(name: str, recorded: Any, given: Any) -> None:
    group, _, field = name.partition(".")
    if given != recorded and (group, field) not in _FREE:
        raise UsageError(
            f"The recording was made with {name}={recorded} and cannot answer for {given}; leave that out, "
            "or choose another model, such as --model stand-in."
        )
