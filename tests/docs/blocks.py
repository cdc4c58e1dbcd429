"""The code blocks, commands and links of the pages, read from their Markdown."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "prompts/README.md", "maps/README.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "results").glob("*.md")),
]
GENERATED = {ROOT / "docs" / name for name in ("commands.md", "formats.md")}
_FENCE = re.compile(r"^(<!-- not run: .+ -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`((?:leed|python) [^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLANK = re.compile(r"<[^<>|]+>")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    language: str
    text: str
    run: bool
    """Whether it is run on a page whose blocks are run: `<!-- not run: reason -->` stands above those that are not."""

    @property
    def saved_as(self) -> str | None:
        """`# name.py` in the first line: the reader saves it under this name."""
        found = re.match(r"# (\w+\.(?:py|yaml))\n", self.text)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(page, m[2], m[3], run=m[1] is None) for m in found]


def commands(text: str) -> list[list[str]]:
    """Words of each command of a bash block; what stands in <brackets> for something of the reader's is one word.

    A backslash continues a line, && separates commands, # begins a comment, NAME=value in front sets a variable.
    """
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in [*shlex.split(_BLANK.sub("X", line), comments=True), "&&"]:
            if word != "&&":
                words.append(word)
            elif words:
                found.append(words)
                words = []
    return found


def spoken_commands(page: Path) -> list[list[str]]:
    """Commands in running text; they may be the beginning of one only. Brackets inside a fenced block are no text."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    spans = [" ".join(span.split()) for span in _INLINE.findall(text)]
    return [shlex.split(_BLANK.sub("X", span).replace("'", "")) for span in spans]


def indented_commands(page: Path) -> list[list[str]]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return commands("\n".join(re.findall(r"^ {4}(leed .+)$", text, re.MULTILINE)))


def links(page: Path) -> list[str]:
    """Targets inside the repository, without what stands behind #."""
    found = _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target.partition("#")[0] for target in found if not re.match(r"https?:|mailto:|#", target)]
