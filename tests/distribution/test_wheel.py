"""The wheel holds all that the product needs: installed without its checkout it plans routes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Its dependencies are those of this test run: only the product comes from the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return folder


def files(folder: str, inside: str) -> set[str]:
    """Names that the files below a folder of the checkout have in the wheel."""
    found = (p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {f"{inside}/{p.relative_to(ROOT / folder).as_posix()}" for p in found}


@pytest.mark.slow
def test_contents(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = files("leed_agentic", "leed_agentic")
    assert {"leed_agentic/models/recordings/default.jsonl", "leed_agentic/py.typed"} <= package
    prompts, maps = files("prompts", "leed_agentic/prompts"), files("maps", "leed_agentic/maps")
    assert package | prompts | maps <= names
    assert {name for name in names if not name.startswith("leed_agentic")} == set()


@pytest.mark.slow
def test_the_readme_has_no_link_that_leads_nowhere_on_pypi(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        readme = archive.read(name).decode().partition("\n\n")[2]
    targets = re.findall(r"\]\(([^)]+)\)", readme)
    assert targets
    assert all(target.startswith(("https://", "#")) for target in targets)


@pytest.mark.long
def test_it_works_without_the_checkout(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed), "LEED_MAP__CACHE": str(tmp_path / "cache")}

    def ran(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    places = (
        "import leed_agentic.resources as r; print(r.__file__, r.resource_folder('prompts'), r.resource_folder('maps'))"
    )
    assert all(Path(place).is_relative_to(installed) for place in ran(sys.executable, "-c", places).split())

    leed = str(installed / "bin" / "leed")
    assert {"braunschweig", "berlin", "grid"} <= {
        m["name"] for m in json.loads(ran(leed, "map", "list", "--json"))["maps"]
    }
    # The shipped recording says how routes are planned.
    assert json.loads(ran(leed, "demo", "generate", "--json"))["planning"] == "alternatives"
    summary = json.loads(ran(leed, "demo", "generate", "--model", "stand-in", "--agents", "2", "--json"))
    assert summary["validity_final"] == 1.0
