"""Checkpoints: safetensors and JSON in one folder, written under a temporary name and then renamed, so always whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from leed_agentic.errors import UnwritableError, UsageError

FORMAT = "leed-checkpoint"
FORMAT_VERSION = 2
KEPT = 2
"""Older checkpoints than this many are deleted."""


def save_checkpoint(
    folder: Path,
    episode: int,
    tensors: Mapping[str, torch.Tensor],
    state: Mapping[str, Any],
    files: Mapping[str, Callable[[Path], Any]],
) -> Path:
    """Write `folder`/<episode>/ with tensors.safetensors, state.json and further files.

    Args:
        episode: how many episodes are done.
        files: name to a function that writes the file to the path it is given.

    Raises:
        UnwritableError: the disk is full or cannot be written; earlier checkpoints are untouched.
    """
    if not folder.parent.is_dir():
        raise UnwritableError(f"The run folder {folder.parent} was removed; put it back, or train anew in another one.")
    target = folder / f"{episode:06d}"
    partial = folder / f".partial-{episode:06d}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        save_file(plain, partial / "tensors.safetensors")
        for name, write in files.items():
            write(partial / name)
        data = {"format": FORMAT, "version": FORMAT_VERSION, "episode": episode, **state}
        data["sha256"] = {file.name: _sha256(file.read_bytes()) for file in sorted(partial.iterdir())}
        data["digest"] = _digest(data)
        (partial / "state.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        for file in partial.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
        for old in checkpoints(folder)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        whole = "the one before is whole: " if checkpoints(folder) else ""
        raise UnwritableError(f"Cannot write the checkpoint {target} ({reason}); {whole}free some space.") from error
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(p for p in folder.glob("[0-9]*") if p.is_dir()) if folder.is_dir() else []


def load_checkpoint(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and state of one checkpoint.

    Raises:
        UsageError: files are missing, truncated, changed since they were written, or of another format version.
    """
    advice = f"delete {folder} to resume from the one before"
    try:
        data = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise UsageError(f"{folder} is not a checkpoint of format {FORMAT}; {advice}.")
        if data.get("version") != FORMAT_VERSION:
            raise UsageError(
                f"{folder} has version {data.get('version')} of the checkpoint format, this program reads "
                f"{FORMAT_VERSION}; train with the version that wrote it."
            )
        whole = data.get("digest") == _digest(data) and all(
            _sha256((folder / name).read_bytes()) == sum_ for name, sum_ in data["sha256"].items()
        )
        if not whole:
            raise UsageError(f"The checkpoint {folder} was truncated or changed after it was written; {advice}.")
        return load_file(folder / "tensors.safetensors"), data
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise UsageError(f"Cannot read the checkpoint {folder} ({type(error).__name__}: {error}); {advice}.") from error


def _digest(data: Mapping[str, Any]) -> str:
    content = {name: value for name, value in data.items() if name != "digest"}
    return _sha256(json.dumps(content, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
