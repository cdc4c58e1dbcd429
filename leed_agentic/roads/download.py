"""Download a box of OpenStreetMap, as it was on a given day, from an Overpass server."""

from __future__ import annotations

import contextlib
import http.client
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from leed_agentic import __version__
from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.roads.definition import DownloadedMap
from leed_agentic.roads.osm import check_osm
from leed_agentic.setting_groups import MapSettings

MAX_BYTES = 1 << 30
"""A named map is a few megabytes; a server that sends a thousand times that is not answering the question."""

_CHUNK = 1 << 16
_FIX = "try again later, or name another Overpass server with -s map.overpass_url=URL or LEED_MAP__OVERPASS_URL"
_MEANING = {429: "too many requests", 504: "the server is too busy"}


def overpass_query(definition: DownloadedMap, timeout: float) -> str:
    """Overpass QL for every street that enters the box, whole, with its nodes and turn restrictions."""
    west, south, east, north = definition.bbox
    date = f'[date:"{definition.osm_date}"]' if definition.osm_date else ""
    return (
        f"[out:xml][timeout:{max(1, int(timeout))}]{date};"
        f'way["highway"]({south},{west},{north},{east})->.streets;'
        '(.streets; .streets >; rel(bw.streets)["type"="restriction"];);'
        "out body;"
    )


@contextlib.contextmanager
def download_osm(
    definition: DownloadedMap, settings: MapSettings, folder: Path, progress: Callable[[str], None]
) -> Iterator[Path]:
    """A checked OpenStreetMap file for the length of the block; a partial or wrong answer is never handed on.

    Raises:
        UsageError: the server's URL is no web address, or the folder cannot be written.
        UnavailableError: no server, a refusal, a timeout, or an answer that is not usable OpenStreetMap data.
    """
    url = _checked_url(settings.overpass_url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=".download-", dir=folder)
    except OSError as error:
        raise UsageError(
            f"Cannot write to {folder} ({error.strerror}); choose another folder with -s map.cache=FOLDER."
        ) from error
    with place:
        file = Path(place.name) / "answer.osm"
        progress(f"Downloading {definition.title} from {url} ...")
        try:
            _fetch(
                url, overpass_query(definition, settings.download_timeout), file, settings.download_timeout, progress
            )
            check_osm(file)
        except UsageError as error:
            reason = str(error).replace(str(file), "the answer").rsplit("; ", 1)[0].rstrip(".")
            raise UnavailableError(f"The Overpass server {url} sent nothing usable ({reason}); {_FIX}.") from error
        except urllib.error.HTTPError as error:
            meaning = _MEANING.get(error.code, error.reason)
            raise UnavailableError(f"The Overpass server {url} answered {error.code} ({meaning}); {_FIX}.") from error
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
            raise UnavailableError(f"The Overpass server {url} cannot be reached ({reason}); {_FIX}.") from error
        yield file


def _checked_url(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and url.isprintable()
    except ValueError:
        good = False
    if not good or " " in url:
        raise UsageError(
            f"map.overpass_url {url!r} is no web address; give one such as https://overpass-api.de/api/interpreter."
        )
    return url


def _fetch(url: str, query: str, file: Path, timeout: float, progress: Callable[[str], None]) -> None:
    request = urllib.request.Request(  # noqa: S310 - _checked_url allows http and https alone
        url,
        data=urllib.parse.urlencode({"data": query}).encode(),
        headers={"User-Agent": f"leed_agentic/{__version__}", "Accept": "application/osm3s+xml, application/xml"},
    )
    deadline = time.monotonic() + timeout
    read = announced = 0
    with urllib.request.urlopen(request, timeout=timeout) as answer, file.open("wb") as out:  # noqa: S310
        expected = answer.headers.get("Content-Length")
        while chunk := answer.read1(_CHUNK):
            read += out.write(chunk)
            if read > MAX_BYTES:
                raise UsageError(f"more than {MAX_BYTES >> 20} MB")
            # A server that trickles never trips the socket's own timeout.
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done after {timeout:g} s")
            if read - announced >= 1 << 20:
                announced = read
                progress(f"{read / (1 << 20):.0f} MB ...")
        if expected and expected.isdigit() and read < int(expected):
            raise http.client.IncompleteRead(b"", int(expected) - read)
