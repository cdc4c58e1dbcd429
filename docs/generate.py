"""Write the pages that come from the code: docs/commands.md, docs/formats.md and docs/schemas/. No arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from pydantic import TypeAdapter

from leed_agentic.cli.main import app
from leed_agentic.demonstrations.records import DemonstrationSummary, TrafficRecord
from leed_agentic.experiments.report import Manifest
from leed_agentic.learning.algorithms import algorithms, group_of
from leed_agentic.learning.records import (
    EvaluationFile,
    MetricsLine,
    RunFile,
    TimingLine,
    TrainingSummary,
    TriggerLine,
)
from leed_agentic.models.records import Call, CallsHeader
from leed_agentic.settings import Settings
from leed_agentic.traffic.records import DemonstrationsFile, TrajectoriesFile

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Made by `python docs/generate.py` from the code; do not edit. -->"
KINDS = {bool: "", str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}

FILES: dict[str, tuple[str, Any]] = {
    "settings": ("settings.json", Settings),
    "demonstrations": ("demonstrations.json", DemonstrationsFile),
    "trajectories": ("trajectories.json", TrajectoriesFile),
    "traffic": ("traffic.json", TrafficRecord),
    "demonstration_summary": ("summary.json of leed demo generate", DemonstrationSummary),
    "calls_header": ("calls.jsonl, first line", CallsHeader),
    "call": ("calls.jsonl, every further line", Call),
    "run": ("run.json", RunFile),
    "training_summary": ("summary.json of leed train", TrainingSummary),
    "metrics": ("metrics.csv, a line", MetricsLine),
    "timing": ("timing.csv, a line", TimingLine),
    "triggers": ("triggers.csv, a line", TriggerLine),
    "evaluation": ("evaluation.json", EvaluationFile),
    "manifest": ("manifest.json of an experiment", Manifest),
}
"""Name of the schema to the file it describes and its record type."""


def pages() -> dict[Path, str]:
    """Every generated file and its text."""
    schemas = {DOCS / "schemas" / f"{name}.json": _schema(kind) for name, (_, kind) in FILES.items()}
    return {DOCS / "commands.md": commands_page(), DOCS / "formats.md": formats_page(), **schemas}


# -- commands ----------------------------------------------------------------------------------------------------------
def commands_page() -> str:
    """Every command with its arguments, options and defaults, in the words of its --help."""
    commands = list(_commands(typer.main.get_command(app), "leed"))
    parts = [
        NOTE,
        "# Commands",
        "Every command ends with exit code 0: done; 1: it ran, and the result is not acceptable; 2: a wrong word, "
        "setting or file; 3: something it needs cannot be used; 130: Ctrl-C. Results go to stdout, progress to stderr.",
        "\n".join(f"- [`{words}`](#{words.replace(' ', '-')})" for words, _ in commands),
    ]
    for words, command in commands:
        shown = [p for p in command.params if not p.hidden]
        arguments = [p for p in shown if p.param_type_name == "argument"]
        kinds = get_type_hints(command.callback)
        rows = [(f"`{_argument(p)}`", p.help, "") for p in arguments]
        rows += [(_option(p, kinds), p.help, _default(p)) for p in shown if p.param_type_name == "option"]
        parts += [
            f"## {words}",
            _text(command.help),
            f"    {' '.join([words, *map(_argument, arguments), '[OPTIONS]'])}",
        ]
        parts.append(_table(("option", "meaning", "default"), rows))
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, child in sorted(getattr(command, "commands", {}).items()):
        if not child.hidden:
            yield from _commands(child, f"{words} {name}")
    if not hasattr(command, "commands"):
        yield words, command


def _argument(parameter: Any) -> str:
    return parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]"


def _option(parameter: Any, kinds: dict[str, Any]) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    word = parameter.metavar or _word(kinds[parameter.name])
    return f"{names} {word}".rstrip() + (" (required)" if parameter.required else "")


def _word(kind: Any) -> str:
    """What an option takes; str | None and list[str] | None come down to TEXT."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(str(choice.value) for choice in kind)
    parts = [part for part in get_args(kind) if part is not type(None)]
    return _word(parts[0]) if parts else KINDS[kind]


def _default(parameter: Any) -> str:
    value = parameter.default
    return "" if value is None or value is False or parameter.required else f"`{value}`"


# -- formats -----------------------------------------------------------------------------------------------------------
def formats_page() -> str:
    """Every file format as a table, with its schema."""
    parts = [
        NOTE,
        "# File formats",
        "Everything a run writes is JSON, CSV, safetensors, PNG or SUMO's own XML, and can be read without this "
        "program. `format` and `version` come first in files that the program reads again; another version is refused. "
        "Files are written under a temporary name and renamed. The schemas in [schemas/](schemas) are JSON Schema "
        "2020-12; that of a CSV file is of one line, with null for an empty cell.",
        "\n".join(f"- [{file}](#{name})" for name, (file, _) in FILES.items()),
    ]
    described: set[str] = set()
    for name, (file, kind) in FILES.items():
        schema = _json_schema(kind)
        parts += [f"## {name}", f"`{file}` ([schema](schemas/{name}.json)). {_text(schema['description'])}"]
        parts.append(_fields(schema, kind is Settings))
        for title, inner in schema.get("$defs", {}).items():
            if title not in described and "properties" in inner:
                parts += [f"**{title}**: {_text(inner['description'])}", _fields(inner, kind is Settings)]
                described.add(title)
    return "\n\n".join(parts) + "\n"


def _json_schema(kind: Any) -> dict[str, Any]:
    """The kind's schema; of the settings with the groups of the algorithms, which that layer does not know."""
    schema = TypeAdapter(kind).json_schema()
    if kind is Settings:
        for algorithm in map(algorithms.get, algorithms.names()):
            own = algorithm.Settings.model_json_schema()
            schema["$defs"][own["title"]] = own
            group = {"$ref": f"#/$defs/{own['title']}"}
            schema["$defs"]["LearningSettings"]["properties"][group_of(algorithm)] = group
    return schema


def _schema(kind: Any) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_json_schema(kind)}
    return json.dumps(schema, indent=1) + "\n"


def _fields(record: dict[str, Any], with_defaults: bool) -> str:
    rows = []
    for name, field in record["properties"].items():
        value = field.get("default")
        default = "" if value is None or isinstance(value, dict) else f"`{json.dumps(value)}`"
        may_lack = "" if with_defaults or name in record.get("required", ()) else " (may be left out)"
        rows.append(
            (f"`{name}`{may_lack}", _kind(field), field.get("description", ""), *([default] if with_defaults else []))
        )
    return _table(("field", "type", "meaning", *(["default"] if with_defaults else [])), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str | None]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _kind(field: dict[str, Any]) -> str:
    """A JSON Schema's type in words."""
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    if "const" in field:
        return f'"{field["const"]}"' if isinstance(field["const"], str) else str(field["const"])
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " or ".join(_kind(choice) for choice in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_kind(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"object of {_kind(field['additionalProperties'])}"
    return field.get("type", "any")


def _text(text: str) -> str:
    """A docstring's paragraphs, each on one line: how wide a terminal is plays no part."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for file, text in pages().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(DOCS.parent))
