"""The folder a run writes to: new, never overwritten, readable without our code."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import RoadNetwork

DEFAULT_PARENT = Path("runs")


def create_run_folder(out: Path | None, map_name: str, model: str) -> Path:
    """Make `out`, or runs/<time>_<map>_<model>/ when it is None.

    Raises:
        UsageError: the folder exists and is not empty, or cannot be written.
    """
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise UsageError(f"The run folder {out} is not empty; give a new one with --out.")
            _try_to_write(out)
            return out
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}_{_safe(map_name)}_{_safe(model)}"
        for attempt in range(1000):
            folder = DEFAULT_PARENT / (f"{stem}-{attempt}" if attempt else stem)
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if DEFAULT_PARENT.is_dir():
                    continue
                raise
            return folder
    except OSError as error:
        raise UsageError(
            f"Cannot write the run folder {out or DEFAULT_PARENT} ({error.strerror}); give a writable one with --out."
        ) from error
    raise UsageError(f"There are 1000 run folders named {stem}; give a new one with --out.")


def write_json(file: Path, data: Any) -> None:
    """Indented JSON under a temporary name, then renamed."""
    temporary = file.with_name(file.name + ".partial")
    temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(file)


def copy_network(network: RoadNetwork, folder: Path) -> str:
    """Copy the SUMO network into the run, so that its routes can be driven anywhere; returns the file's name."""
    name = "map.net.xml.gz" if network.net_file.name.endswith(".gz") else "map.net.xml"
    shutil.copyfile(network.net_file, folder / name)
    return name


def _try_to_write(folder: Path) -> None:
    probe = folder / ".write-test"
    probe.touch()
    probe.unlink()


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")[:40] or "run"
