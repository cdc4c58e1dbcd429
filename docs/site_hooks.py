"""What MkDocs needs beside the pages: files of the repository that they link to, and the reference from docstrings."""

from __future__ import annotations

import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

import leed_agentic

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BESIDE = PurePosixPath("repository")
"""Where pages of files outside docs/ stand in the site."""
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".mmd": "text", ".json": "json", ".toml": "toml"}


def on_files(files: Files, config: Any) -> Files:
    """Add a page for every file outside docs/ that a page links to, and the reference."""
    made: dict[str, str] = {"reference.md": _reference()}
    waiting = [DOCS / file.src_uri for file in files.documentation_pages() if file.src_uri.endswith(".md")]
    while waiting:
        source = waiting.pop()
        for target in _targets(source):
            name = str(_page_of(target))
            if name not in made and _needs_a_page(target):
                made[name] = _page(target)
                waiting += [target] if target.suffix == ".md" else []
    notebooks = [file for file in files if file.src_uri.endswith(".ipynb")]
    # Most of their time is SUMO's: two at a time.
    with ThreadPoolExecutor(2) as pool:
        for file, (text, pictures) in zip(notebooks, pool.map(_executed, notebooks), strict=True):
            made[file.src_uri.replace(".ipynb", ".md")] = text
            folder = PurePosixPath(file.src_uri).parent
            for name, picture in pictures.items():
                files.append(File.generated(config, str(folder / name), content=picture))
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def _executed(file: File) -> tuple[str, dict[str, bytes]]:
    """A notebook, run in an empty folder, as Markdown, and its pictures by name."""
    notebook = nbformat.read(DOCS / file.src_uri, as_version=4)
    title = PurePosixPath(file.src_uri).stem
    with tempfile.TemporaryDirectory(prefix="leed-notebook-") as folder:
        # A cell that fails ends the build.
        NotebookClient(notebook, timeout=300, coalesce_streams=True, resources={"metadata": {"path": folder}}).execute()
    text, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": title, "output_files_dir": title})
    note = f"*A notebook, run when this page was built: [{title}.ipynb]({title}.ipynb).*"
    head, _, rest = text.lstrip().partition("\n")
    return f"{head}\n\n{note}\n{rest}", resources.get("outputs", {})


def on_post_page(output: str, page: Any, config: Any) -> str:
    """The theme would fetch what a search in a folder needs; here it stands beside the pages."""
    return re.sub(r"https://unpkg\.com/iframe-worker/shim", get_relative_url("site/iframe-worker.js", page.url), output)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to files outside docs/ lead to their pages in the site."""
    name = PurePosixPath(page.file.src_uri)
    if str(name) == "README.md":
        # The site opens as the repository does.
        head = (ROOT / "README.md").read_text(encoding="utf-8").partition("Two commands")[0]
        markdown = head.replace("](docs/", "](") + markdown.replace("# Documentation", "## All pages")
    source = ROOT / name.relative_to(BESIDE) if name.is_relative_to(BESIDE) else DOCS / name
    if name.is_relative_to(BESIDE) and not source.exists():
        # The page of `graph.py` is `graph.py.md`.
        source = source.with_suffix("")

    def led(match: re.Match[str]) -> str:
        target = (source.parent / match[2]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return match[0]
        inside = _page_of(target) if _needs_a_page(target) else PurePosixPath(target.relative_to(DOCS).as_posix())
        return f"{match[1]}{os.path.relpath(inside, name.parent).replace(os.sep, '/')}{match[3] or ''})"

    return _LINK.sub(led, markdown)


def _targets(page: Path) -> list[Path]:
    found = [(page.parent / target).resolve() for _, target, _ in _LINK.findall(page.read_text(encoding="utf-8"))]
    return [target for target in found if target.exists() and target.is_relative_to(ROOT)]


def _needs_a_page(target: Path) -> bool:
    return target.is_dir() or not target.is_relative_to(DOCS) or target.suffix in (".py", ".csv")


def _page_of(target: Path) -> PurePosixPath:
    name = BESIDE / target.relative_to(ROOT).as_posix()
    return name if name.suffix == ".md" else name.with_name(f"{name.name}.md")


def _page(target: Path) -> str:
    title = target.relative_to(ROOT).as_posix()
    if target.suffix == ".md":
        return target.read_text(encoding="utf-8")
    if target.is_dir():
        shown = sorted(p for p in target.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
        return f"# {title}\n\n" + "\n".join(f"- `{file.name}`" for file in shown) + "\n"
    text = target.read_text(encoding="utf-8")
    return f"# {title}\n\n```{_LANGUAGES.get(target.suffix, 'text')}\n{text}\n```\n"


def _reference() -> str:
    parts = ["# Public face", "Made from the docstrings. Everything below these names is internal and may move."]
    parts += [f"::: leed_agentic.{name}" for name in leed_agentic.__all__]
    return "\n\n".join(parts) + "\n"
