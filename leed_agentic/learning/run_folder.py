"""run.json of a training run: its settings, its scenario and the versions of what decides the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import read_json, write_json
from leed_agentic.runs.folder import check_links
from leed_agentic.settings import Settings, settings_of
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.versions import package_versions

FORMAT = "leed-run"
FORMAT_VERSION = 1


def write_run_file(folder: Path, settings: Settings, scenario: Scenario) -> None:
    """run.json: the resolved settings, the scenario and the versions of what decides the numbers."""
    data = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "settings": settings.for_file(),
        "scenario": scenario.to_json(),
        "versions": package_versions(),
    }
    write_json(folder / "run.json", data)


def read_run_file(
    folder: Path, given: Mapping[str, Any] | None = None, trust: bool = False
) -> tuple[Settings, Scenario]:
    """Settings and scenario of a training run, which may come from anybody (see `settings_of`).

    Raises:
        UsageError: the folder is not one, a link in it leaves it, or its settings name code that nobody vouched for.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; give one that `leed train` made.")
    check_links(folder)
    file = folder / "run.json"
    data = read_json(file, "a training run; give a folder of `leed train`")
    if data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
        raise UsageError(f"{file} is not of format {FORMAT} {FORMAT_VERSION}; give a folder of `leed train`.")
    try:
        return settings_of(dict(data["settings"]), str(file), given, trust), Scenario.from_json(data["scenario"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file} is damaged ({type(error).__name__}); give another folder of `leed train`.") from error


def read_versions(folder: Path) -> dict[str, str]:
    """Versions of what decided the numbers of a training run; `read_run_file` says whether it is one."""
    return dict(read_json(folder / "run.json", "a training run").get("versions", {}))
