"""SUMO's own programs and data, as its wheel installs them: netconvert, netgenerate, type maps, sample networks."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from leed_agentic.errors import UnavailableError, UsageError

_FIX = "install it with `pip install eclipse-sumo==1.28.0`"


def sumo_home() -> Path:
    """The folder of the eclipse-sumo wheel; a SUMO_HOME variable that names another SUMO is not asked."""
    try:
        import sumo
    except ImportError as error:
        raise UnavailableError(f"SUMO is not installed in this Python; {_FIX}.") from error
    return Path(sumo.__file__).resolve().parent


def plain_link(file: Path, link: Path) -> None:
    """Another name for a file: a link, or a copy where there are no links."""
    try:
        link.symlink_to(file.resolve())
    except OSError:
        shutil.copyfile(file, link)


def plain_name(file: Path) -> str:
    """A name of the file that SUMO takes as one name: to SUMO a comma parts two, and ${...} is a variable's value."""
    name = str(file.resolve())
    return _renamed(name) if "," in name or "${" in name else str(file)


@cache
def _renamed(name: str) -> str:
    folder = tempfile.mkdtemp(prefix="leed-file-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = Path(folder) / ("file.xml.gz" if name.endswith(".gz") else "file.xml")
    plain_link(Path(name), link)
    return str(link)


def run_program(name: str, options: Sequence[str], folder: Path, purpose: str) -> str:
    """Run one of SUMO's programs in a folder, where relative file names are looked up, to its end; what it said.

    Raises:
        UnavailableError: the program is missing or cannot be started.
        UsageError: it refused its input; the message is its own last error, after `purpose`.
    """
    program = sumo_home() / "bin" / (f"{name}.exe" if sys.platform == "win32" else name)
    code, said = _run(program, [str(program), *options], folder, lambda _line: None)
    if code != 0:
        raise UsageError(f"{purpose}: {name} says: {_last_error(said)}")
    return said


def run_tool(
    script: str,
    options: Sequence[str],
    folder: Path,
    purpose: str,
    say: Callable[[str], None] = lambda _line: None,
    log: str | None = None,
) -> None:
    """Run one of the Python tools of SUMO's wheel, such as assign/duaIterate.py, in a folder to its end.

    Args:
        say: called with each line that the tool prints.
        log: the file in the folder to which it sends what the programs say that it runs.

    Raises:
        UnavailableError, UsageError: as `run_program`.
    """
    file = sumo_home() / "tools" / script
    code, said = _run(file, [sys.executable, "-u", str(file), *options], folder, say)
    if code != 0:
        if log and (folder / log).is_file():
            said += (folder / log).read_text(encoding="utf-8", errors="replace")
        raise UsageError(f"{purpose}: {script} says: {_last_error(said)}")


def _run(file: Path, words: Sequence[str], folder: Path, say: Callable[[str], None]) -> tuple[int, str]:
    """Exit code and output."""
    if not file.is_file():
        raise UnavailableError(f"SUMO's program {file.name} is missing from {file.parent}; {_FIX}.")
    environment = {**os.environ, "SUMO_HOME": str(sumo_home())}
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    streams |= {"encoding": "utf-8", "errors": "replace"}
    lines = []
    try:
        with (
            # A group of its own: the programs that a tool runs are ended with it.
            subprocess.Popen(words, env=environment, cwd=folder, start_new_session=True, **streams) as process,
            _ending_with_us(process),
        ):
            for line in process.stdout or ():
                lines.append(line)
                say(line.strip())
    except OSError as error:
        raise UnavailableError(f"SUMO's program {file.name} cannot be started ({error}); {_FIX}.") from error
    return process.returncode, "".join(lines)


@contextmanager
def _ending_with_us(process: subprocess.Popen[str]) -> Iterator[None]:
    """Whatever ends the block early, an error, Ctrl-C or a request to terminate, ends the process's whole group."""

    def end() -> None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)

    def terminated(number: int, frame: FrameType | None) -> None:
        end()
        signal.signal(number, before)
        signal.raise_signal(number)

    in_charge = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, terminated) if in_charge else None
    try:
        yield
    except BaseException:
        end()
        raise
    finally:
        if in_charge:
            signal.signal(signal.SIGTERM, before)


def _last_error(output: str) -> str:
    """The last thing called an error, with the lines that belong to it, as one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("Quitting", "Error: Could not parse commandline"))]
    starts = [k for k, line in enumerate(lines) if line.startswith("Error:")]
    last = lines[starts[-1] :] if starts else lines[-1:] or ["no message."]
    return " ".join(last).removeprefix("Error:").strip()[:500]
