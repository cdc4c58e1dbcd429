"""XML of others, packed or not, read as a stream: whole, without entities, includes or odd encodings."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import os
import xml.parsers.expat as expat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import check_plain, is_named

PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip"}
"""The first bytes of a packed file; its name says nothing certain."""
ENCODINGS = frozenset({"utf-8", "utf-16", "ascii", "iso8859-1", "cp1252"})
"""What this reader and SUMO's read alike. In any other encoding the two might see different elements."""
MOST_ATTRIBUTES = 1000
"""Of one tag: SUMO compares each with all others, and is a quarter of an hour at 300,000."""
DEEPEST = 100
"""Tags within each other: real files have six at most, and duarouter takes minutes over a hundred thousand."""
LONGEST_TOKEN = 1 << 22
"""Bytes of one tag: the shape of the longest street takes some thousand, an attribute of gigabytes is an attack."""

_CHUNK = 1 << 18
_BOMB_BYTES, _BOMB_RATIO = 1 << 28, 200


class MarkupError(Exception):
    """What keeps a file from being read: `reason` is empty, binary, doctype, include, encoding, truncated or broken."""

    def __init__(self, reason: str, message: str, root: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.root = root


def packing(file: Path) -> str | None:
    """How the file is packed, by its first bytes; None for a plain one.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with check_plain(file).open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror or error}.") from error
    return next((name for magic, name in PACKINGS.items() if head.startswith(magic)), None)


def chunks(file: Path, again: str) -> Iterator[bytes]:
    """The unpacked bytes of a file, piece by piece.

    Args:
        again: the advice that ends a message, such as "download the area again".

    Raises:
        UsageError: no such file, unreadable, truncated, damaged, or packed so tightly that only a bomb is.
    """
    kind, read = packing(file), 0
    try:
        most = max(_BOMB_BYTES, _BOMB_RATIO * file.stat().st_size)
        with _opened(file, kind) as stream:
            while piece := stream.read(_CHUNK):
                read += len(piece)
                if kind and read > most:
                    raise UsageError(f"{file} unpacks to more than {_BOMB_RATIO} times its size; {again}.")
                yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UsageError(f"{file} is a truncated or damaged {kind} file; {again}.") from error
    except RuntimeError as error:  # a zip with a password
        raise UsageError(f"{file} cannot be unpacked ({error}); unpack it first.") from error
    except OSError as error:
        if kind == "bzip2" and error.errno is None:
            raise UsageError(f"{file} is a truncated or damaged {kind} file; {again}.") from error
        raise UsageError(f"Cannot read {file}: {error.strerror or error}.") from error


@contextmanager
def _opened(file: Path, kind: str | None) -> Iterator[IO[bytes]]:
    if kind == "zip":
        with zipfile.ZipFile(file) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            if len(members) != 1:
                raise UsageError(f"{file} holds {len(members)} files; unpack it and name the one to read.")
            with archive.open(members[0]) as inner:
                yield inner
        return
    openers: dict[str | None, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    with openers.get(kind, open)(file, "rb") as stream:
        yield stream


def beyond_limits(attributes: Sized, depth: int) -> str | None:
    """What is too much for SUMO about a tag with these attributes, so deep within others; None: nothing."""
    if len(attributes) > MOST_ATTRIBUTES:
        return f"a tag has more than {MOST_ATTRIBUTES} attributes"
    return f"its tags stand more than {DEEPEST} deep in each other" if depth > DEEPEST else None


def scan(
    pieces: Iterator[bytes],
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
    comment: Callable[[str], None] | None = None,
) -> None:
    """Feed a whole XML document through the handlers.

    SUMO follows `<include href="...">` in every file it reads, so such a document is refused, as is every document
    type: with it go entities, external ones and bombs alike.

    Raises:
        MarkupError: empty, not XML, cut short, broken, or one of the things refused.
        UsageError: whatever reading the pieces raises.
    """
    parser = expat.ParserCreate()
    root: str | None = None
    depth = 0

    def first(name: str, attributes: dict[str, str]) -> None:
        nonlocal root
        root = name
        parser.StartElementHandler = later
        later(name, attributes)

    def later(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "include":
            raise MarkupError("include", f"it includes another file ({attributes.get('href', '')[:80]!r})", root)
        nonlocal depth
        depth += 1
        if too_much := beyond_limits(attributes, depth):
            raise MarkupError("broken", too_much, root)
        start(name, attributes)

    def leave(name: str) -> None:
        nonlocal depth
        depth -= 1
        if end is not None:
            end(name)

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and _encoding(encoding) not in ENCODINGS:
            raise MarkupError("encoding", f"its encoding {encoding[:40]!r} is not UTF-8, UTF-16 or ISO-8859-1", root)

    def doctype(*_: Any) -> None:
        raise MarkupError("doctype", "it declares a document type or entities", root)

    parser.StartElementHandler, parser.EndElementHandler = first, leave
    parser.CharacterDataHandler, parser.CommentHandler = text, comment
    parser.XmlDeclHandler, parser.StartDoctypeDeclHandler = declared, doctype
    parser.buffer_text = text is not None
    fed = 0
    ended = False
    try:
        for piece in pieces:
            fed += len(piece)
            parser.Parse(piece, False)
            if fed - parser.CurrentByteIndex > LONGEST_TOKEN:
                raise MarkupError("broken", f"a single tag is longer than {LONGEST_TOKEN >> 20} MB", root)
        if not fed:
            raise MarkupError("empty", "it is empty")
        ended = True
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if root is None:  # the latter two: encodings nobody knows
            raise MarkupError("binary", "it is not XML") from error
        if not isinstance(error, expat.ExpatError):
            raise
        if ended:
            raise MarkupError("truncated", f"it is truncated: it ends before </{root}>", root) from error
        raise MarkupError("broken", f"it is broken XML at line {parser.ErrorLineNumber}", root) from error


class Stream:
    """Unpacked bytes of a file for a reader that pulls, such as `iterparse`.

    Raises:
        ValueError: there is no tag for longer than LONGEST_TOKEN, which such a reader would take hours for.
        UsageError: as `chunks`.
    """

    def __init__(self, file: Path, again: str) -> None:
        self._pieces = chunks(file, again)
        self._since = 0

    def read(self, _size: int = -1) -> bytes:
        """The next piece, of whatever size; b"" at the end."""
        piece = next(self._pieces, b"")
        # No attribute can hold this sign.
        last = piece.rfind(b"<")
        self._since = self._since + len(piece) if last < 0 else len(piece) - last
        if self._since > LONGEST_TOKEN:
            raise ValueError(f"a single tag is longer than {LONGEST_TOKEN >> 20} MB")
        return piece


def check_markup(file: Path, what: str, again: str) -> None:
    """Before SUMO sees a file: it follows includes and entities wherever they lead.

    Args:
        what: what the file is, such as "a SUMO network".
        again: the advice that ends a message.

    Raises:
        UsageError: it is none that SUMO may be given.
    """
    try:
        scan(chunks(file, again), lambda _name, _attributes: None)
    except MarkupError as error:
        raise UsageError(f"{file} cannot be read as {what}: {error}; {again}.") from error


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name.removesuffix("-le").removesuffix("-be")
    except LookupError:
        return name


def check_is_file(file: Path, what: str, advice: str) -> None:
    """Raises UsageError where there is no such file; a name that no file can have is none either.

    A pipe or a device is told as that by who reads it.
    """
    if not is_named(os.fspath(file)):
        raise UsageError(f"There is no {what} {file}; {advice}.")
