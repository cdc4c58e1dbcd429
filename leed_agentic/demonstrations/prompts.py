"""Prompt templates: Markdown files with $name placeholders, the user's folder first, then the packaged ones."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest
from leed_agentic.resources import resource_folder

PACKAGED = "prompts"
DEFAULT_VARIANT = "default"
LARGEST_TEMPLATE = 200_000

TEMPLATES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "system": (frozenset(), frozenset()),
    "fleet": (frozenset({"agents", "adjacency"}), frozenset({"junctions", "count"})),
    "agent": (frozenset({"agents", "adjacency"}), frozenset({"junctions", "count", "agent"})),
    "refine": (frozenset({"remarks"}), frozenset({"agents", "count"})),
    "junction": (frozenset({"choices"}), frozenset({"agent"})),
    "junction_examples": (frozenset(), frozenset()),
}
"""Template name to its (required, further allowed) variables; prompts/README.md explains each."""


@dataclass(frozen=True)
class PromptSet:
    """The templates of one run, checked before anything is called."""

    texts: Mapping[str, str]
    files: Mapping[str, Path]

    @classmethod
    def load(cls, folder: Path | None = None) -> PromptSet:
        """Read every template, from `folder` where it has it, else from the packaged default.

        Raises:
            UsageError: the folder is missing or holds a template with a wrong name, a wrong variable or no text.
        """
        packaged = resource_folder(PACKAGED) / DEFAULT_VARIANT
        if folder is not None:
            _check_folder(folder)
        files = {}
        for name in TEMPLATES:
            own = folder / f"{name}.md" if folder else None
            files[name] = own if own is not None and (own.exists() or own.is_symlink()) else packaged / f"{name}.md"
        texts = {name: _read(file, folder if file.parent == folder else packaged) for name, file in files.items()}
        for name, text in texts.items():
            _check_variables(files[name], name, text)
        return cls(texts, files)

    @property
    def hashes(self) -> dict[str, str]:
        """Template name to the SHA-256 of its text."""
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self.texts.items()}

    def render(self, name: str, **values: object) -> str:
        """The template's text with its variables filled in; values are inserted as they are, never interpreted."""
        return string.Template(self.texts[name]).substitute({key: str(value) for key, value in values.items()}).strip()


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"There is no prompt folder {folder}; copy prompts/default and edit the copy.")
    known = {f"{name}.md" for name in TEMPLATES} | {"README.md"}
    for file in sorted(folder.glob("*.md")):
        if file.name not in known:
            raise UsageError(f"{file} is no template's name; {nearest(file.name, known)}")


def _read(file: Path, folder: Path | None) -> str:
    try:
        if folder is not None and not file.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{file} leads out of the prompt folder; put a plain file there.")
        if file.stat().st_size > LARGEST_TEMPLATE:
            raise UsageError(f"{file} is larger than {LARGEST_TEMPLATE} bytes; a template is a page of text.")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the template {file} as UTF-8 text: {error}.") from error
    if not text.strip() or "\0" in text:
        raise UsageError(f"The template {file} holds no text; write a prompt or delete it to use the packaged one.")
    return text


def _check_variables(file: Path, name: str, text: str) -> None:
    template = string.Template(text)
    if not template.is_valid():
        raise UsageError(f"{file} has a '$' that starts no variable; write '$$' for a dollar sign.")
    used, (required, allowed) = set(template.get_identifiers()), TEMPLATES[name]
    for variable in sorted(used - required - allowed):
        known = nearest(variable, required | allowed) if required | allowed else "this template takes none."
        raise UsageError(f"{file} uses the unknown variable ${variable}; {known}")
    for variable in sorted(required - used):
        raise UsageError(f"{file} lacks the variable ${variable}; the model needs it to plan.")
