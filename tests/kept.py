"""What tests in one process need once at most: the command line's tree, a network's file as read, certificates."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

import httpcore2
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

    # The world's authorities, which every client of a server would read for itself.
    trusted = httpcore2.default_ssl_context

    @lru_cache
    def trust(trust_env: bool, *_files: str | None) -> ssl.SSLContext:
        return trusted(_trust_env=trust_env)

    def trust_once(*, _trust_env: bool = True) -> ssl.SSLContext:
        return trust(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    patch.setattr(httpcore2, "default_ssl_context", trust_once)
