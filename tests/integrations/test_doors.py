"""Doors to other people's trainers: the committed scripts train through each library that is installed here."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.integrations import tried

SCRIPTS = Path(__file__).parents[2] / "examples" / "integrations"
DOORS = {
    "sb3_ppo": ("sb3_contrib", "sb3"),
    "torchrl_ppo": ("torchrl", "torchrl"),
    "benchmarl_mappo": ("benchmarl", "benchmarl"),
    "rllib_ppo": ("ray.rllib", "rllib"),
    "supersuit_rows": ("supersuit", "supersuit"),
}


@pytest.mark.long
@pytest.mark.parametrize("script", DOORS)
def test_two_thousand_steps(script, capsys, tmp_path, monkeypatch):
    pytest.importorskip(DOORS[script][0])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(SCRIPTS / f"{script}.py"))
    steps = int(capsys.readouterr().out.rsplit(" steps")[0].split()[-1])
    assert 2_000 <= steps < 2_600


@pytest.mark.parametrize(("module", "door"), DOORS.values())
def test_a_missing_library_is_one_sentence(module, door, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    sys.modules.pop(f"leed_agentic.integrations.{door}", None)
    with pytest.raises(UsageError, match=rf'pip install "leed-agentic\[{door}\]"\.$'):
        importlib.import_module(f"leed_agentic.integrations.{door}")


@pytest.fixture
def installed(monkeypatch):
    """A function: from now on this module is there, in this version of its distribution."""

    def there(module: str, found: str) -> None:
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        monkeypatch.setattr(tried, "version", lambda distribution: found)

    return there


@pytest.mark.parametrize("module", tried.TRIED)
def test_a_version_that_was_not_tried_is_warned_of_by_every_door(module, installed, caplog):
    wheel, versions, _ = tried.TRIED[module]
    for found in versions:
        installed(module, found)
        tried.need(module)
    assert not caplog.text
    installed(module, "99.1.0")
    tried.need(module)
    assert f"{wheel} 99.1.0 was not tried with this package, {versions[0]}" in caplog.text
    assert f"pip install {wheel}=={versions[0]}" in caplog.text


@pytest.mark.parametrize(("found", "warned"), [("1.1.7", False), ("1.2.0", True)])
def test_another_patch_of_a_tried_version_is_no_other(found, warned, installed, monkeypatch, caplog):
    monkeypatch.setitem(tried.TRIED, "json", tried.Tried("json", ("1.1.0", "0.9.3"), "json"))
    installed("json", found)
    tried.need("json")
    assert ("was not tried" in caplog.text) == warned


def test_every_door_has_an_extra_and_a_script():
    import tomllib

    root = SCRIPTS.parents[1]
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for module, door in DOORS.values():
        assert any(line.startswith(tried.TRIED[module].distribution) for line in extras[door])
    assert {module for module, _ in DOORS.values()} == set(tried.TRIED)
    assert {file.stem for file in SCRIPTS.glob("*.py")} == set(DOORS)
