"""The HTTP client for OpenAI-compatible servers: a limit on a body's size, and one deadline for the whole of a call."""

from __future__ import annotations

import math
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx2

from leed_agentic.errors import UnavailableError
from leed_agentic.models.failure import Overdue, TooLarge, short

LARGEST_BODY = 32_000_000
"""Bytes of a reply, unpacked. The longest that is read as routes has 2 million characters."""
_PACKED = {"gzip", "x-gzip", "deflate"}


def http_client(seconds: float, address: str | None) -> httpx2.Client:
    """A client whose calls end within `seconds`, connecting included; one call a connection.

    Proxies of the environment are used, but never for an address of this machine.

    Raises:
        UnavailableError: the environment names a proxy or certificates that cannot be used.
    """
    try:
        return _Client(
            seconds,
            trust_env=not is_loopback(address),
            # A connection of its own for each call is what lets the deadline close it at any moment.
            limits=httpx2.Limits(max_keepalive_connections=0),
            headers={"accept-encoding": "identity"},
        )
    except Exception as error:  # noqa: BLE001 - ssl, proxies and their packages complain in classes of their own
        raise UnavailableError(
            f"The model cannot be asked with the proxy and certificates that the environment names ({short(error)}); "
            "correct HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and their kin, or unset them."
        ) from None


def is_loopback(address: str | None) -> bool:
    """Whether an address is of this machine."""
    host = (urlsplit(address or "").hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return False


class _Response(httpx2.Response):
    def json(self, **options: Any) -> Any:
        """As httpx does; a number of more digits than Python reads is infinite, as JSON's own floats are."""
        return super().json(parse_int=_whole, **options)


def _whole(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return math.inf


class _Client(httpx2.Client):
    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._seconds = seconds

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """As httpx does, with the body read here. Raises Overdue and TooLarge."""
        deadline = time.monotonic() + self._seconds
        with _cut_at(deadline, self._seconds) as trace:
            request.extensions = {**request.extensions, "trace": trace}
            try:
                response = super().send(request, stream=True, **options)
                with closing(response):
                    body = b"".join(_unpacked(_in_time(response.iter_raw(), deadline), response.headers))
                # A connection that was cut looks like the end of a body without a length.
                if time.monotonic() >= deadline:
                    raise Overdue
            except (httpx2.HTTPError, OSError):
                if time.monotonic() >= deadline:
                    raise Overdue from None
                raise
        headers = [(k, v) for k, v in response.headers.raw if k.lower() not in (b"content-encoding", b"content-length")]
        return _Response(response.status_code, headers=headers, content=body, request=request)


@contextmanager
def _cut_at(deadline: float, seconds: float) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """What httpx is to tell of its connections; they are closed at the deadline, whoever waits for them then."""
    connections: list[Any] = []

    def cut() -> None:
        for connection in connections:
            # Of the plain socket below TLS: a farewell would need the other side.
            with suppress(OSError, AttributeError):
                socket.socket.shutdown(connection.get_extra_info("socket"), socket.SHUT_RDWR)

    def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            connections.append(info["return_value"])
            if time.monotonic() >= deadline:
                cut()

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


def _in_time(chunks: Iterable[bytes], deadline: float) -> Iterator[bytes]:
    for chunk in chunks:
        if time.monotonic() >= deadline:
            raise Overdue
        yield chunk


def _unpacked(chunks: Iterable[bytes], headers: httpx2.Headers) -> Iterator[bytes]:
    """The body's bytes, though nobody asked for a packed one."""
    packing = headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"", "identity", *_PACKED}:
        raise httpx2.DecodingError(f"the reply is packed as {packing[:20]!r}, which was not asked for")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32) if packing in _PACKED else None
    size = 0
    for chunk in chunks:
        try:
            part = chunk if unpacker is None else unpacker.decompress(chunk, LARGEST_BODY - size + 1)
        except zlib.error as error:
            raise httpx2.DecodingError(f"the reply cannot be unpacked: {error}") from None
        size += len(part)
        if size > LARGEST_BODY:
            raise TooLarge
        yield part
