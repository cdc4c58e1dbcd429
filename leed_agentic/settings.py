"""Every setting of the product in one tree, from a YAML file, LEED_ variables and `-s a.b=value`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from leed_agentic.errors import UsageError
from leed_agentic.registry import is_dotted, nearest
from leed_agentic.setting_groups import (
    DemonstrationSettings,
    EnvironmentSettings,
    Group,
    LearningSettings,
    MapSettings,
    ModelSettings,
    Named,
    ScenarioSettings,
)

ENVIRONMENT_PREFIX = "LEED_"
LONGEST_FILE = 1_000_000
"""Bytes of a settings file; all settings together need a hundredth."""


class Settings(Group):
    """The whole tree. Same seed and same settings give the same scenario, prompts and drives."""

    seed: int = Field(0, ge=0, description="Seed of the scenario and of everything random.")
    map: MapSettings = MapSettings()
    scenario: ScenarioSettings = ScenarioSettings()
    environment: EnvironmentSettings = EnvironmentSettings()
    model: ModelSettings = ModelSettings()
    demonstration: DemonstrationSettings = DemonstrationSettings()
    learning: LearningSettings = LearningSettings()

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some others, by dotted name, such as {"scenario.agents": 5}.

        Raises:
            UsageError: unknown setting or a value out of range.
        """
        tree = self.model_dump(exclude_unset=True)
        for name, value in changes.items():
            _assign(tree, name, value, name)
        return _validated(tree)

    def code(self) -> list[tuple[str, str]]:
        """Dotted name and value of every setting that names code outside the package, by its dotted path."""
        return list(_code_in(self))

    def vouched_for(self) -> dict[str, Any]:
        """The code and the server that these settings name, as `settings_of` takes what a caller vouches for."""
        tree = self.model_dump()
        return {name: leaf(tree, name) for name in ("model.base_url", *(name for name, _ in self.code()))}

    def for_file(self) -> dict[str, Any]:
        """The tree as JSON, fit to be written: no secrets of the model's."""
        return {**self.model_dump(mode="json"), "model": self.model.for_file()}


def _code_in(group: BaseModel, above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in group:
        field = type(group).model_fields.get(name)
        if isinstance(value, BaseModel):
            yield from _code_in(value, f"{above}{name}.")
        elif isinstance(value, Mapping):
            # The settings of an algorithm: only it knows which of them are names.
            yield from ((f"{above}{name}.{key}", v) for key, v in value.items() if is_dotted(v))
        elif field and any(isinstance(mark, Named) for mark in field.metadata):
            values = value if isinstance(value, tuple) else (value,)
            yield from ((f"{above}{name}", v) for v in values if is_dotted(v))


def leaf(tree: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted name in nested groups; None where there is none."""
    found: Any = tree
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def load_settings(
    file: Path | None = None,
    assignments: Iterable[str] = (),
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    trust: bool = False,
    uses: str | None = None,
) -> Settings:
    """Settings from, in rising precedence: defaults, YAML file, LEED_ variables, `a.b=value` assignments, overrides.

    Args:
        overrides: dotted name to value; entries whose value is None are left out (an option that was not given).
        environment: variables such as LEED_MODEL__NAME=stand-in; the process's own when None.
        trust: whether the file may name code to import and a server that gets this machine's key.
        uses: the one group that the caller uses: code that the file names elsewhere is nobody's concern. None: all.

    Raises:
        UsageError: unreadable file, unknown key or a value out of range; the message names the key.
    """
    given = given_settings(assignments, overrides or {}, os.environ if environment is None else environment)
    return settings_of(read_yaml(file, "settings file") if file else {}, str(file), given, trust, uses)


def settings_of(
    tree: Mapping[str, Any],
    where: str,
    given: Mapping[str, Any] | None = None,
    trust: bool = False,
    uses: str | None = None,
) -> Settings:
    """Settings that lie in a file, which may come from anybody: it neither runs code nor sends a key by itself.

    Args:
        tree: what the file holds.
        where: the file, for messages.
        given: dotted name to value, said by the user on this very call; goes before the file's.
        trust: whether the file may name code to import and a server that gets this machine's key.
        uses: as for `load_settings`.

    Raises:
        UsageError: the file names code that the user has not named again, an unknown key, or a value out of range.
    """
    from_file = _validated(dict(tree), where)
    given = given or {}
    settings = from_file.changed(given)
    code = [named for named in settings.code() if uses is None or named[0].startswith(f"{uses}.")]
    known = [(name, path) for name, path in code if path in _listed(given.get(name))]
    if known and os.getcwd() not in sys.path:
        # An installed command does not look into the folder it is run in, where a user's own file lies.
        sys.path.append(os.getcwd())
    unknown = [f"{name}={path}" for name, path in code if (name, path) not in known]
    if unknown and not trust:
        raise UsageError(
            f"{where} names code to run ({', '.join(unknown)}): say --trust if you know it, or name it again with "
            f"-s {unknown[0]}."
        )
    address = settings.model.base_url
    if address and address != given.get("model.base_url") and not trust:
        return settings.changed({"model.send_key": False})
    return settings


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def given_settings(
    assignments: Iterable[str] = (),
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the user says on this call, dotted name to value; the arguments are those of `load_settings`.

    Raises:
        UsageError: an assignment without '='.
    """
    given: dict[str, Any] = {}
    for name, text in sorted((environment or {}).items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            given[name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")] = _value(text)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"-s {assignment!r} has no '='; write -s group.name=value, such as -s scenario.agents=5.")
        given[name.strip()] = _value(text)
    return {**given, **{name: value for name, value in (overrides or {}).items() if value is not None}}


def _validated(tree: Mapping[str, Any], where: str = "") -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise UsageError(
            f"{where}: {one_sentence(error, Settings)}" if where else one_sentence(error, Settings)
        ) from error


class _PlainLoader(yaml.SafeLoader):
    """Without aliases: ten lines of them expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"line {self.peek_event().start_mark.line + 1} holds an alias (*name); write it out")
        return super().compose_node(parent, index)


def read_yaml(file: Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file of anybody's; {} for an empty one.

    Args:
        what: what the file is, for messages, such as "settings file".

    Raises:
        UsageError: it is missing, unreadable, too large, has aliases, or holds anything but a mapping.
    """
    try:
        if not file.is_file() and not file.is_dir() and file.exists():
            # A pipe or a device may never end.
            raise UsageError(f"Cannot read the {what} {file}: it is no plain file.")
        with file.open("rb") as stream:
            content = stream.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise UsageError(f"The {what} {file} is larger than {LONGEST_FILE} bytes; give a shorter one.")
        tree = yaml.load(content.decode("utf-8-sig"), _PlainLoader)  # noqa: S506 - a SafeLoader
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise UsageError(f"Cannot read the {what} {file}: {why}.") from error
    if tree is not None and not isinstance(tree, dict):
        raise UsageError(f"The {what} {file} must hold a mapping such as 'scenario: {{agents: 5}}'.")
    return tree or {}


def _value(text: str) -> Any:
    try:
        return yaml.load(text, _PlainLoader) if text.strip() else None  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _assign(tree: dict[str, Any], dotted: str, value: Any, source: str) -> None:
    *groups, last = dotted.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
        if not isinstance(tree, dict):
            raise UsageError(f"{source}: {group!r} is not a group of settings.")
    tree[last] = value


def one_sentence(error: ValidationError, tree: type[BaseModel], above: str = "") -> str:
    """What pydantic found wrong first; `above` is the dotted name of the tree, with a dot behind."""
    first = error.errors()[0]
    # Of one that may be a word or a number, pydantic also says which of the two it tried.
    path = [str(part) for part in first["loc"] if not str(part).startswith("literal[")]
    where = f"{above}{'.'.join(path)}".rstrip(".")
    if first["type"] == "extra_forbidden":
        group: Any = tree
        for part in first["loc"][:-1]:
            group = group.model_fields[str(part)].annotation
        name = str(first["loc"][-1])
        homes = [path for path in _names(Settings) if path.rpartition(".")[2] == name]
        hint = nearest(name, group.model_fields) if group.model_fields else "it has no settings."
        if homes:
            hint = f"did you mean {' or '.join(map(repr, homes))}?"
        return f"Unknown setting {where!r}: {hint}"
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        known = re.findall(r"'([^']+)'", first["ctx"]["expected"])
        return f"Setting {where}: unknown value {first['input'][:80]!r}, {nearest(first['input'], known)}"
    return f"Setting {where}: {first['msg']} (got {str(first['input'])[:80]!r})."


def _names(group: type[BaseModel], above: str = "") -> Iterator[str]:
    """The dotted names of all settings of a group and those in it."""
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{above}{name}.")
        else:
            yield above + name
