"""A page on this machine that follows a training run: read-only, no third party, beside the run in a thread."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from leed_agentic.errors import UnavailableError
from leed_agentic.report.content import Content, gather
from leed_agentic.report.folder import RunFolder
from leed_agentic.report.page import render
from leed_agentic.roads.network import RoadNetwork

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
WATCHED = (
    "metrics.csv",
    "triggers.csv",
    "trajectories.json",
    "demonstrations",
    "checkpoints",
    "summary.json",
)


class LivePage:
    """Serves the run's report, and its figures as JSON, while the run goes on.

    Everything shown is read from the run folder; the training itself is not touched.

    Args:
        network: the run's map, so that it is not read again.
        port: 0 lets the system choose.

    Raises:
        UnavailableError: the port is taken.
    """

    def __init__(self, folder: Path, network: RoadNetwork, port: int = 0) -> None:
        self.folder, self.network = folder, network
        self._lock = threading.Lock()
        self._news: tuple[str, bytes] = "", b""
        try:
            self._server = _Server((LOOPBACK, port), _handler(self))
        except OSError as error:
            raise UnavailableError(
                f"Cannot serve the live page on port {port} ({error.strerror}); choose another --live-port, or 0."
            ) from error
        self._server.daemon_threads = True
        self.address = f"http://{LOOPBACK}:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving; a page that is open says that the run has ended."""
        self._server.shutdown()
        self._server.server_close()

    def page(self) -> bytes:
        """The HTML page."""
        # One at a time: Python 3.11 counts the depth of all threads' literals together, and templates hold literals.
        with self._lock:
            return render(self._content(), live=True).encode("utf-8", "replace")

    def news(self) -> tuple[str, bytes]:
        """A tag that changes whenever the run wrote something, and everything the page draws, as JSON."""
        tag = self._tag()
        with self._lock:
            if tag != self._news[0]:
                content = self._content()
                told = {"data": content.data(), "tiles": content.tiles, "state": _state(content.tiles)}
                self._news = tag, json.dumps(told, allow_nan=False).encode("ascii")
            return self._news

    def _content(self) -> Content:
        return gather(RunFolder(self.folder, "training"), self.network, with_conversation=False)

    def _tag(self) -> str:
        """Sizes and times of what the run writes; an episode a moment ago is news enough once per second."""
        marks = []
        for name in WATCHED:
            try:
                found = (self.folder / name).stat()
            except OSError:
                continue
            marks.append(f"{found.st_mtime_ns // 1_000_000_000:x}.{found.st_size // 4096:x}")
        return f'"{"-".join(marks)}"'


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hangs up is no news on the training's terminal; any other fault of a page is a line."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.warning("The live page could not be made (%s: %s).", type(error).__name__, error)


def _state(tiles: Sequence[tuple[str, str]]) -> str:
    return f"{dict(tiles).get('episodes', '0')} episodes so far."


def _handler(page: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            # A name that a foreign page points at this machine is not ours.
            host = self.headers.get("Host", "")
            if host.partition(":")[0] not in (LOOPBACK, "localhost"):
                self._answer(403, b"This page is for this machine only.\n", "text/plain")
            elif self.path == "/":
                self._answer(200, page.page(), "text/html; charset=utf-8")
            elif self.path == "/data.json":
                tag, body = page.news()
                if self.headers.get("If-None-Match") == tag:
                    self._answer(304, b"", "application/json", tag)
                else:
                    self._answer(200, body, "application/json", tag)
            else:
                self._answer(404, b"There is only / and /data.json.\n", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str, tag: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            if tag:
                self.send_header("ETag", tag)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: the terminal belongs to the training."""

    return Handler
