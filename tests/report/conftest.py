"""Real runs to report, the command in an empty folder, and a browser where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import JUNCTION, made


@pytest.fixture(scope="session")
def _planned_once(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("planned") / "run", "demo", "generate", "--replay", JUNCTION)


@pytest.fixture
def planned(leed, _planned_once, tmp_path) -> Path:
    """A run of ten agents, replayed; a copy, so that it may be damaged."""
    return Path(shutil.copytree(_planned_once, tmp_path / "planned")).relative_to(tmp_path)


@pytest.fixture
def experiment(leed) -> Path:
    """What an experiment leaves: manifest, tables, curves and pictures."""
    folder = Path("experiment")
    folder.mkdir()
    (folder / "manifest.json").write_text(
        '{"experiment": "demo", "question": "Does it help?", "command": "leed experiment run demo",'
        ' "versions": {"numpy": "2"}, "seeds": [0, 1], "failed": {}}'
    )
    (folder / "table.md").write_text("# Does it help?\n\n| map | arm |\n|---|---|\n| berlin | leed |\n")
    (folder / "scores.csv").write_text("arm,iqm\nleed,0.5\n")
    (folder / "curves_berlin.csv").write_text(
        "arm,episode,reward_low,reward_high,reward_mean,arrival_rate\nleed,0,1,3,2,0.5\nleed,1,2,4,3,\nippo,0,,,1,0\n"
    )
    (folder / "figure.csv").write_text(
        "panel,x,y,line,x_value,y_value,low,high\nberlin,agents,reward,leed,5,1,0,2\nberlin,agents,reward,leed,10,2,1,3\n"
    )
    for name in ("figure.png", "curves_berlin.png", "other.png"):
        Image.new("L", (2, 2)).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def _chromium() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        yield playwright.chromium.launch(executable_path=found, args=flags)


@pytest.fixture
def browse(_chromium) -> Iterator[Any]:
    """Open a file or an address; complaints of the page and requests to elsewhere fail the test at its end."""
    contexts, complaints = [], []

    def open_page(target: Path | str, width: int = 1280, scheme: str = "light") -> Any:
        context = _chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        address = target.resolve().as_uri() if isinstance(target, Path) else target
        origin = address if isinstance(target, Path) else target.rstrip("/")
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((origin, "data:")) else complaints.append(f"request: {request.url}")
            ),
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
