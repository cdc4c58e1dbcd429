"""Files that are never found half written, whose writers follow no link, and whose failures name file and remedy."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from leed_agentic.errors import UnwritableError, UsageError

PARTIAL = ".partial-"
"""How the name of a file begins that is still being written."""

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space of your quota",
    errno.EFBIG: "free some space, or raise the limit on file sizes",
    errno.EISDIR: "remove the folder of that name",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.EACCES: "make its folder writable",
    errno.EPERM: "make its folder writable",
    errno.EEXIST: "remove the file that has its folder's name",
    errno.ENOENT: "its folder is gone; put it back, or begin again in another one",
    errno.EINVAL: "give the name of a new file",
    errno.ENOTDIR: "its folder is gone; put it back",
}


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A new file of another name to write to, renamed at the end: nobody ever finds half a file.

    A link at `file` is replaced, not followed. The name ends as `file` does, for writers that go by the suffix.

    Raises:
        UnwritableError: the disk is full or cannot be written, or `file` is a pipe or a device; what it held before is
            still there.
    """
    partial = file.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if is_named(str(file)) and not file.is_file():
            # Renamed onto a device such as /dev/null, the file would be in its place from then on.
            raise OSError(errno.EINVAL, "it is a pipe or a device")
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o666))
        yield partial
        partial.replace(file)
    except OSError as error:
        raise unwritable(file, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """UTF-8, whole; half a surrogate, as in names that are not UTF-8, as JSON would escape it.

    Raises UnwritableError as `whole_file`.
    """
    with whole_file(file) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(file: Path, data: Any) -> None:
    """Indented JSON without NaN, whole. Raises UnwritableError as `whole_file`."""
    write_text(file, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def copy_file(source: Path, file: Path) -> None:
    """Raises UnwritableError as `whole_file`."""
    with whole_file(file) as partial:
        shutil.copyfile(source, partial)


def check_there(stream: IO[Any], file: Path) -> None:
    """A file that somebody took away still takes every line, and all are lost.

    Raises:
        UnwritableError: no name leads to the open file any more.
    """
    if os.fstat(stream.fileno()).st_nlink == 0:
        raise unwritable(file, OSError(errno.ENOENT, "it was removed"))


def unwritable(file: Path, error: OSError) -> UnwritableError:
    """The error to raise when writing `file` failed: it names the file, the reason and what to do."""
    remedy = _REMEDIES.get(error.errno or 0, "choose another folder")
    # A file that is written within the writing of another one has that one's temporary name.
    file = file.with_name(re.sub(rf"^{re.escape(PARTIAL)}[0-9a-f]{{8}}-", "", file.name))
    return UnwritableError(f"Cannot write {file} ({error.strerror or error}): {remedy}.")


def check_plain(file: Path) -> Path:
    """The file, if reading it comes to an end.

    Raises:
        OSError: it is a pipe or a device, which may never end, or it is not there.
    """
    mode = file.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is no plain file", str(file))
    return file


def is_named(words: str) -> bool:
    """Whether words are the name of something to be read: a file, or a pipe or device, which `check_plain` refuses."""
    try:
        mode = os.stat(words).st_mode
    except (OSError, ValueError):
        # Also words that are too long for a file's name, or hold what no name can.
        return False
    return not stat.S_ISDIR(mode)


def read_json(file: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        what: what the file should be, for messages, such as "a training run".

    Raises:
        UsageError: it is missing, unreadable, or holds anything but an object.
    """
    try:
        data = json.loads(check_plain(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise UsageError(f"{file} is not {what} ({reason}).") from error
    if not isinstance(data, dict):
        raise UsageError(f"{file} is not {what} (it holds no object).")
    return data
