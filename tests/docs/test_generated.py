"""Pages made from the code are those in the repository: commands, formats, schemas."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_generated_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    # How wide a terminal is must play no part.
    monkeypatch.setenv("COLUMNS", "40")
    pages = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
    kept = {file: file.read_text(encoding="utf-8") for file in pages if file.is_file()}
    stale = [file.name for file, text in pages.items() if kept.get(file) != text]
    assert not stale, "run: python docs/generate.py"
    assert set((DOCS / "schemas").iterdir()) <= set(pages)


def test_every_command_is_listed() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    for words in ("demo generate", "train", "evaluate", "map list", "policy export", "experiment run", "doctor"):
        assert f"\n## leed {words}\n" in page
