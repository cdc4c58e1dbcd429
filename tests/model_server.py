"""A real HTTP server on 127.0.0.1 that speaks /v1/chat/completions and follows a script of replies and failures."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Say:
    """An ordinary reply."""

    text: str | None
    finish_reason: str = "stop"
    reports_usage: bool = True
    calls: tuple[tuple[str, str], ...] = ()
    """Tools it calls: name and arguments as JSON."""


@dataclass(frozen=True)
class Answer:
    """Any status, headers and body; `$authorization` in the body becomes the request's own header."""

    status: int
    body: str = '{"error": {"message": "scripted failure"}}'
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Bytes as they are, head included, piece by piece until the client hangs up."""

    pieces: Callable[[], Iterable[bytes]]


class Hang:
    """Read the request and say nothing."""


class Trickle:
    """Start a reply and send a byte every now and then, for ever."""


class Reset:
    """Break the connection."""


Step = Say | Answer | Raw | Hang | Trickle | Reset


class ModelServer:
    """Takes one step of `script` for each request; when it is used up, `default` answers.

    Attributes:
        script: steps still to come.
        default: a reply, or a function from the request's body to one.
        requests: bodies received, in order.
        authorizations: their Authorization headers.
        reported: input and output tokens of each reply that said them.
        arrived: set once there was a request.
    """

    def __init__(self, *script: Step) -> None:
        self.script: list[Step] = list(script)
        self.default: Step | Callable[[dict[str, Any]], Step] = Say("ok")
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.reported: list[tuple[int, int]] = []
        self.closing = threading.Event()
        self.arrived = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def next_step(self, body: dict[str, Any], authorization: str) -> Step:
        with self._lock:
            self.requests.append(body)
            self.authorizations.append(authorization)
            self.arrived.set()
            if self.script:
                return self.script.pop(0)
        # Outside the lock: several requests may be answered at the same time.
        return self.default(body) if callable(self.default) else self.default

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                authorization = self.headers.get("authorization", "")
                if not self.path.partition("?")[0].endswith("/v1/chat/completions"):
                    return self._send(404, '{"error": {"message": "no such path"}}', JSON)
                step = server.next_step(body, authorization)
                if isinstance(step, Say):
                    text, tokens = _completion(step, body)
                    if step.reports_usage:
                        server.reported.append(tokens)
                    self._send(200, text, JSON)
                elif isinstance(step, Answer):
                    text = step.body.replace("$authorization", authorization)
                    self._send(step.status, text, {**JSON, **step.headers})
                elif isinstance(step, Hang):
                    server.closing.wait()
                elif isinstance(step, Raw):
                    self._pour(step.pieces())
                elif isinstance(step, Trickle):
                    self._trickle()
                else:
                    # Linger 0 makes the close a reset instead of an orderly end.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()

            def _send(self, status: int, text: str, headers: dict[str, str]) -> None:
                data = text.encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def _pour(self, pieces: Iterable[bytes]) -> None:
                self.close_connection = True
                for piece in pieces:
                    try:
                        self.wfile.write(piece)
                    except OSError:
                        return
                    if server.closing.is_set():
                        return

            def _trickle(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                while not server.closing.wait(0.02):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        return

            def finish(self) -> None:
                try:
                    super().finish()
                except (OSError, ValueError):
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Quiet: the tests read `requests`."""

        return Handler


def _completion(step: Say, body: dict[str, Any]) -> tuple[str, tuple[int, int]]:
    # One token a word is enough for tests that add tokens up.
    read = sum(len((m["content"] or "").split()) for m in body["messages"])
    written = len((step.text or "").split())
    message = {"role": "assistant", "content": step.text}
    if step.calls:
        functions = ({"name": name, "arguments": arguments} for name, arguments in step.calls)
        message["tool_calls"] = [{"id": f"c{i}", "type": "function", "function": f} for i, f in enumerate(functions)]
    completion = {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": step.finish_reason}],
    }
    if step.reports_usage:
        completion["usage"] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return json.dumps(completion), (read, written)
