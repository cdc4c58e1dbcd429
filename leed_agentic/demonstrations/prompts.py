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
from leed_agentic.runs.files import check_plain, copy_file, write_text

PACKAGED = "prompts"
DEFAULT_VARIANT = "default"
README = "README.md"
LARGEST_TEMPLATE = 200_000
NO_VARIABLE = "this template takes none."
COPY = "copy the templates with `leed prompts copy`"
_TEXT_ENDINGS = {"", ".md", ".markdown", ".txt"}

GRAPHS = ("adjacency", "links")
"""Two ways to write the streets; a template for the fleet or an agent needs one of them."""
SECONDS = ("seconds", "hundreds")
"""Two ways to write the seconds of routes, likewise."""
BLOCKS = (*GRAPHS, "junctions", "example")

TEMPLATES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "system": (frozenset(), frozenset()),
    "fleet": (frozenset({"agents"}), frozenset({*BLOCKS, "count"})),
    "agent": (frozenset({"agents"}), frozenset({*BLOCKS, "count", "agent"})),
    "refine": (frozenset({"remarks"}), frozenset({"agents", "count"})),
    "junction": (frozenset({"choices"}), frozenset({"agent"})),
    "junction_examples": (frozenset(), frozenset()),
    "alternatives": (frozenset(), frozenset(SECONDS)),
    "alternatives_examples": (frozenset(), frozenset()),
    "alternatives_group": (frozenset({"agents"}), frozenset({"streets"})),
    "instructions": (frozenset({"digest"}), frozenset({"last"})),
    "instructions_examples": (frozenset(), frozenset()),
    "tools": (frozenset({"digest"}), frozenset({"last", "tools", "commands", "turns", "drives"})),
    "brief": (frozenset({"brief"}), frozenset()),
}
"""Template name to its (required, further allowed) variables; prompts/README.md explains each."""

USED_BY: dict[str, tuple[str, ...]] = {
    "system": ("fleet", "agent"),
    "fleet": ("fleet",),
    "agent": ("agent",),
    "refine": ("fleet", "agent"),
    "junction": ("junction",),
    "junction_examples": ("junction",),
    "alternatives": ("alternatives",),
    "alternatives_examples": ("alternatives",),
    "alternatives_group": ("alternatives",),
    "instructions": ("instructions",),
    "instructions_examples": ("instructions",),
    "tools": ("tools",),
    "brief": ("--brief",),
}
"""Template name to the ways of planning that use it; one of the user's own may use any."""


def uses(planning: str | None, name: str) -> bool:
    """Whether a way of planning uses a template."""
    return planning in USED_BY[name] or all(planning not in ways for ways in USED_BY.values())


@dataclass(frozen=True)
class PromptSet:
    """The templates of one run, checked before anything is called."""

    texts: Mapping[str, str]
    files: Mapping[str, Path]

    @classmethod
    def load(cls, folder: Path | None = None) -> PromptSet:
        """Read every template, from `folder` where it has it, else from the packaged default.

        Args:
            folder: of templates, or the name of a packaged variant; a folder of that name goes first.

        Raises:
            UsageError: the folder is missing or holds a template with a wrong name, a wrong variable or no text.
        """
        texts, files, problems = _look_through(folder)
        if problems:
            raise UsageError(problems[0])
        return cls(texts, files)

    @property
    def hashes(self) -> dict[str, str]:
        """Template name to the SHA-256 of its text."""
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self.texts.items()}

    def changed_in_vain(self, planning: str) -> list[str]:
        """Templates that differ from the packaged ones, when this way of planning uses none that does."""
        packaged = PromptSet.load()
        changed = [name for name, text in self.texts.items() if text != packaged.texts[name]]
        return [] if any(uses(planning, name) for name in changed) else changed

    def save(self, run: Path, planning: str | None) -> None:
        """Keep the text of each template that this way of planning uses under `run`/prompts, named as it was.

        A run that goes on with another text keeps both: the later one has its hash in its name.
        """
        folder = run / PACKAGED
        for name, text in self.texts.items():
            if not uses(planning, name):
                continue
            file = folder / f"{name}.md"
            if file.exists() and file.read_text(encoding="utf-8") != text:
                file = folder / f"{name}_{self.hashes[name][:8]}.md"
            write_text(file, text)

    def save_one(self, run: Path, name: str) -> None:
        """Keep the text of one template, likewise."""
        write_text(run / PACKAGED / f"{name}.md", self.texts[name])

    def variables(self, name: str) -> set[str]:
        """The variables that a template fills in."""
        return set(string.Template(self.texts[name]).get_identifiers())

    def render(self, name: str, **values: object) -> str:
        """The template's text with its variables filled in; values are inserted as they are, never interpreted."""
        return string.Template(self.texts[name]).substitute({key: str(value) for key, value in values.items()}).strip()


def packaged_folder(variant: str = DEFAULT_VARIANT) -> Path:
    """The templates that come with the package."""
    return resource_folder(PACKAGED) / variant


def variants() -> list[str]:
    """Names of the packaged sets of templates."""
    return sorted(folder.name for folder in resource_folder(PACKAGED).iterdir() if folder.is_dir())


def template_folder(named: Path) -> Path:
    """The folder itself, or the packaged variant of that name.

    Raises:
        UsageError: there is neither.
    """
    if named.is_dir():
        return named
    if str(named) in variants():
        return packaged_folder(str(named))
    raise UsageError(
        f"There is no prompt folder {named}, and packaged are {', '.join(variants())}; {COPY}, edit the copy."
    )


def problems_of(folder: Path) -> list[str]:
    """Everything that is wrong with a user's templates, a sentence each; empty when a run can use them.

    Raises:
        UsageError: there is no such folder.
    """
    return _look_through(folder)[2]


def copy_templates(folder: Path, variant: str = DEFAULT_VARIANT) -> list[Path]:
    """Copy a packaged variant's templates and the README into a new or empty folder, to be edited there.

    Raises:
        UsageError: there is no such variant, the folder holds something, or it cannot be written.
    """
    if variant not in variants():
        raise UsageError(f"There are no packaged templates {variant!r}; {nearest(variant, variants())}")
    sources = [*PromptSet.load(packaged_folder(variant)).files.values(), packaged_folder().parent / README]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty; name a new folder, so that nothing of yours is overwritten.")
        for source in sources:
            copy_file(source, folder / source.name)
    except OSError as error:
        raise UsageError(f"Cannot copy the templates to {folder} ({error.strerror}); name another folder.") from error
    return [folder / source.name for source in sources]


def _look_through(folder: Path | None) -> tuple[dict[str, str], dict[str, Path], list[str]]:
    """Texts and files by name, the user's first, and what is wrong with them."""
    packaged = packaged_folder()
    folder = template_folder(folder) if folder is not None else None
    problems = _strangers(folder) if folder is not None else []
    texts, files = {}, {}
    for name in TEMPLATES:
        own = folder / f"{name}.md" if folder else None
        use_own = own is not None and (own.exists() or own.is_symlink())
        files[name] = own if own is not None and use_own else packaged / f"{name}.md"
        try:
            texts[name] = _read(files[name], files[name].parent)
            problems += _variable_problems(files[name], name, texts[name])
        except UsageError as error:
            problems.append(str(error))
    return texts, files, problems


def _strangers(folder: Path) -> list[str]:
    """Files that somebody may believe to be used, but that are no template."""
    known = {f"{name}.md" for name in TEMPLATES} | {README}
    problems = []
    for file in sorted(folder.iterdir()):
        ending = file.suffix.lower()
        meant = ending == ".md" or (ending in _TEXT_ENDINGS and file.stem.lower() in TEMPLATES)
        if meant and file.name not in known:
            problems.append(f"{file} is no template's name; {nearest(file.name, known)}")
    return problems


def _read(file: Path, folder: Path) -> str:
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{file} leads out of the prompt folder; put a plain file there.")
        if file.exists() and not file.is_file():
            # Reading a pipe would wait for ever.
            raise UsageError(f"{file} is not a plain file; put a page of text there.")
        if file.stat().st_size > LARGEST_TEMPLATE:
            raise UsageError(f"{file} is larger than {LARGEST_TEMPLATE} bytes; a template is a page of text.")
        text = check_plain(file).read_text(encoding="utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the template {file} as UTF-8 text: {error}.") from error
    if not text.strip() or "\0" in text:
        raise UsageError(f"The template {file} holds no text; write a prompt or delete it to use the packaged one.")
    return text


def _variable_problems(file: Path, name: str, text: str) -> list[str]:
    template = string.Template(text)
    if not template.is_valid():
        return [f"{file} has a '$' that starts no variable; write '$$' for a dollar sign."]
    used, (required, allowed) = set(template.get_identifiers()), TEMPLATES[name]
    unknown = {
        v: nearest(v, required | allowed) if required | allowed else NO_VARIABLE for v in used - required - allowed
    }
    problems = [f"{file} uses the unknown variable ${v}; {hint}" for v, hint in sorted(unknown.items())]
    # A misspelt variable is one problem, not two.
    there = used | {v for v in required | allowed if any(repr(v) in hint for hint in unknown.values())}
    for pair, what in ((GRAPHS, "the streets"), (SECONDS, "the seconds")):
        if pair[0] in allowed and there.isdisjoint(pair):
            one_of = " or ".join(f"${variable}" for variable in pair)
            problems.append(f"{file} lacks the variable {one_of}; the model needs {what} to plan.")
    missing = sorted(required - there)
    return problems + [f"{file} lacks the variable ${v}; the model needs it to plan." for v in missing]
