"""What tests in one process need once at most: the command line's tree, a network's file as read, certificates."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any

import certifi
import pytest
import typer.main

from leed_agentic.roads import network
from leed_agentic.roads.net_file import NetFile, read_net


def keep(patch: pytest.MonkeyPatch) -> None:
    """A process builds the tree once, and seldom reads a map twice; the tests do both a thousand times."""
    patch.setattr(typer.main, "get_command", lru_cache(typer.main.get_command))

    @lru_cache(maxsize=8)
    def read(file: Path, _inode: int, _changed: int, _size: int) -> NetFile:
        return read_net(file)

    def read_once(file: Path) -> NetFile:
        try:
            found = file.stat()
        except OSError:
            return read_net(file)
        return read(file, found.st_ino, found.st_mtime_ns, found.st_size)

    patch.setattr(network, "read_net", read_once)

    load = ssl.SSLContext.load_verify_locations

    def others(context: ssl.SSLContext, cafile: Any = None, *more: Any, **named: Any) -> None:
        # Every client of a server reads the world's authorities, and no server of the tests has a certificate.
        if cafile != certifi.where():
            load(context, cafile, *more, **named)

    patch.setattr(ssl.SSLContext, "load_verify_locations", others)
