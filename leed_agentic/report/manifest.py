"""How a run was made, so that it can be made again: command, settings, versions, seeds, files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leed_agentic.report.folder import RunFolder
from leed_agentic.runs.files import PARTIAL
from leed_agentic.settings import Settings

MAX_FILES = 60


@dataclass
class Manifest:
    """What the last section of a report shows."""

    command: str
    settings: list[tuple[str, str, bool]]
    """Name, value, and whether it differs from the default."""
    versions: dict[str, str]
    facts: dict[str, str]
    files: list[tuple[str, str]]
    """Name and size."""


def manifest_of_run(folder: RunFolder, settings: Mapping[str, Any], versions: Mapping[str, Any]) -> Manifest:
    """Of a run that has settings. The command is made from those that differ from the defaults."""
    flat, default = _flat(settings), _flat(_defaults(settings))
    rows = [(name, _shown(value), default.get(name) != value) for name, value in flat.items()]
    changed = [f"-s {shlex.quote(f'{name}={_shown(flat[name])}')}" for name, _, differs in rows if differs]
    words = "leed train" if folder.kind == "training" else "leed demo generate"
    seed = flat.get("seed")
    return Manifest(
        command=" ".join([words, *changed]) if settings else "",
        settings=rows,
        versions={str(name): str(version) for name, version in versions.items()},
        facts={"Folder": str(folder.path), **({"Seed": str(seed)} if seed is not None else {})},
        files=files_of(folder),
    )


def _defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings at their defaults, with those of the algorithms of this package that the run has a group of."""
    tree = Settings().model_dump(mode="json")
    learning = settings.get("learning")
    if isinstance(learning, Mapping) and not learning.keys() <= tree["learning"].keys():
        # Only then: it loads torch.
        from leed_agentic.learning.algorithms import algorithms

        for name in learning.keys() & set(algorithms.names()):
            tree["learning"][name] = algorithms.get(name).Settings().model_dump(mode="json")
    return tree


def manifest_of_collection(folder: RunFolder) -> Manifest:
    """Of an experiment or a comparison, from its own manifest.json, whatever else that holds."""
    data = folder.json("manifest.json", lack="the command and the versions are not known")
    command, versions = data.pop("command", ""), data.pop("versions", {})
    flat = {name: value for name, value in _flat(data).items() if value not in (None, "", [], {})}
    return Manifest(
        command=command if isinstance(command, str) else shlex.join(map(str, command)),
        settings=[(name, _shown(value), False) for name, value in flat.items()],
        versions={str(n): str(v) for n, v in versions.items()} if isinstance(versions, dict) else {},
        facts={"Folder": str(folder.path)},
        files=files_of(folder),
    )


def files_of(folder: RunFolder) -> list[tuple[str, str]]:
    """Files of the folder with their sizes; a folder inside counts as one."""
    rows = []
    for entry in sorted(folder.path.iterdir()):
        if entry.name.startswith(PARTIAL):
            folder.note(f"{entry.name} is the beginning of a file: the run was killed while writing it.")
        if entry.is_dir():
            inside = [file for file in entry.rglob("*") if file.is_file()]
            rows.append((f"{entry.name}/ ({len(inside)} files)", size_text(sum(f.stat().st_size for f in inside))))
        elif entry.is_file():
            rows.append((entry.name, size_text(entry.stat().st_size)))
    return rows[:MAX_FILES] + ([(f"... and {len(rows) - MAX_FILES} more", "")] if len(rows) > MAX_FILES else [])


def size_text(size: int) -> str:
    """Bytes in the unit people would choose."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
