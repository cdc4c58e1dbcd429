"""OpenStreetMap files that the tests write themselves, and a server that answers as Overpass does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ORLANDO_CORNER = (-81.3860, 28.5350)
STEP = 0.0015


def grid_osm(size: int = 5, corner: tuple[float, float] = ORLANDO_CORNER, tags: str = "") -> bytes:
    """A town of size x size crossings; every street is two-way and named."""
    lines = ["<?xml version='1.0' encoding='UTF-8'?>", '<osm version="0.6" generator="test">']
    for row in range(size):
        for column in range(size):
            lon, lat = corner[0] + column * STEP, corner[1] + row * STEP
            lines.append(f'<node id="{1 + row * size + column}" lat="{lat:.6f}" lon="{lon:.6f}" version="1"/>')
    for k in range(size):
        for way, nodes in (
            (100 + k, [1 + k * size + column for column in range(size)]),
            (200 + k, [1 + row * size + k for row in range(size)]),
        ):
            points = "".join(f'<nd ref="{node}"/>' for node in nodes)
            lines.append(
                f'<way id="{way}" version="1">{points}<tag k="highway" v="residential"/>'
                f'<tag k="name" v="Street {way} äöü 街"/>{tags}</way>'
            )
    return "\n".join([*lines, "</osm>", ""]).encode()


def osm(body: str) -> bytes:
    return f'<?xml version="1.0"?><osm version="0.6">{body}</osm>'.encode()


class Overpass:
    """A server on 127.0.0.1 that records each query and answers as it is told."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.sends(grid_osm())
        self.let_go = threading.Event()
        overpass = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                overpass.queries.append(parse_qs(body)["data"][0])
                overpass.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/interpreter"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def sends(body: bytes, status: int = 200, promised: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            request.send_header("Content-Type", "application/osm3s+xml")
            request.send_header("Content-Length", str(promised or len(body)))
            request.end_headers()
            request.wfile.write(body)

        return answer

    def hang(self, request: BaseHTTPRequestHandler) -> None:
        self.let_go.wait(30)

    def trickle(self, request: BaseHTTPRequestHandler) -> None:
        """A byte now and then: no single read ever times out."""
        request.send_response(200)
        request.end_headers()
        try:
            while not self.let_go.wait(0.05):
                request.wfile.write(b"<")
                request.wfile.flush()
        except OSError:
            return
