"""Every model call as one readable line of a calls.jsonl, and the same file played back with no key and no network.

The first line is a header: format, version, what the run was made with (scenario and settings) and the model's
effective settings. Each further line is one try: what was asked, what came back, tokens, seconds, or the error.

A call is found again by its key, a hash of the messages, the limit on output tokens, temperature, seed and, where they
were sent, the JSON schema of the reply, tools and further fields of the request. The model's name and address are left
out: a recording stands for its model. When a file is played back, temperature, seed, default limit and whether schemas
were sent are the file's own, so the current settings cannot make a recorded call unfindable.

Long contents that recur (a constant system message) are written once with an `id` and then referred to by `same_as`.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from leed_agentic.credentials import struck_out
from leed_agentic.errors import UsageError
from leed_agentic.models.failure import RefusedError
from leed_agentic.roads.markup import chunks, packing
from leed_agentic.runs.files import check_plain, check_there, copy_file, unwritable

FORMAT = "leed-calls"
VERSION = 1
LONGEST_HEADER = 1 << 24
"""Bytes of the first line: the scenario of ten thousand vehicles takes a tenth."""
SAMPLING = ("temperature", "seed", "max_output_tokens")
_WRITTEN_ONCE_FROM = 200
_REFUSALS = {400, 413, 422}
"""HTTP statuses of a request that the server understood and would not answer."""
_HOW_ON = "ask a real model (--model provider:name) or use --model stand-in"

RecordMode = Literal["auto", "off", "only"]
"""auto: use what is recorded, else ask and record; off: ask always and record nothing; only: never ask."""


def shipped_recording() -> Path:
    """The recording behind the default command."""
    return Path(__file__).resolve().parent / "recordings" / "default.jsonl"


def call_key(
    messages: Sequence[Mapping[str, Any]],
    sampling: Mapping[str, Any],
    schema: Mapping[str, Any] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The name under which a request is found again."""
    request: dict[str, Any] = {
        "messages": [[m["role"], m["content"]] for m in messages],
        "sampling": [sampling.get(word) for word in SAMPLING],
    }
    request |= {"schema": schema} if schema else {}
    request |= {"extra_body": extra_body} if extra_body else {}
    request |= {"tools": list(tools)} if tools else {}
    canonical = json.dumps(request, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


class CallLog:
    """Appends calls to a file, each line on disk before the next call starts, so that a kill loses none.

    Raises:
        UsageError: the file cannot be opened, or is not such a record.
        UnwritableError: the disk is full.
    """

    def __init__(self, file: Path, made_with: Mapping[str, Any], model: Mapping[str, Any]) -> None:
        self.file = file
        self._written: set[str] = set()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.is_file() and file.stat().st_nlink > 1:
                # The same file has another name elsewhere, where nobody wants these calls.
                copy_file(file, file)
            self._stream: IO[bytes] = file.open("ab")
            if self._stream.tell() > 0:
                self._drop_half_a_line()
                return
        except OSError as error:
            raise UsageError(f"Cannot write {file}: {error.strerror or error}; choose another folder.") from error
        self._write({"format": FORMAT, "version": VERSION, "made_with": dict(made_with), "model": dict(model)})

    def add(self, call: Mapping[str, Any]) -> None:
        """Write one call or failed try."""
        self._write({**call, "messages": [self._shortened(m) for m in call["messages"]]})

    def close(self) -> None:
        try:
            self._stream.close()
        except OSError as error:
            raise unwritable(self.file, error) from error

    def _shortened(self, message: Mapping[str, str]) -> dict[str, str]:
        role, content = message["role"], message["content"]
        if len(content) < _WRITTEN_ONCE_FROM:
            return {"role": role, "content": content}
        name = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        if name in self._written:
            return {"role": role, "same_as": name}
        self._written.add(name)
        return {"role": role, "id": name, "content": content}

    def _drop_half_a_line(self) -> None:
        """A run killed while writing left a line without an end; going on behind it would spoil two."""
        whole = self.file.read_bytes().rfind(b"\n") + 1
        self._stream.truncate(whole)
        if whole == 0:
            raise UsageError(f"{self.file} is not a {FORMAT} file; choose another folder.")

    def _write(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(struck_out(record), ensure_ascii=False, default=str)
        try:
            # A reply may hold half a surrogate pair, which UTF-8 cannot; it is written as the escape JSON has for it.
            self._stream.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._stream.flush()
        except OSError as error:
            raise unwritable(self.file, error) from error
        check_there(self._stream, self.file)


class Recording:
    """Recorded replies by key. A request made twice gets its replies in their order, then the last one again.

    Attributes:
        made_with: scenario and settings of the recorded run.
        model: effective settings of the recorded model.
        refused: key of a request that the server would not answer, and the error.
    """

    def __init__(
        self, name: str, made_with: dict[str, Any], model: dict[str, Any], tries: list[dict[str, Any]]
    ) -> None:
        self.name = name
        self.made_with = made_with
        self.model = model
        self.calls = calls = [call for call in tries if call.get("error") is None]
        self.refused = {t["key"]: str(t["error"]) for t in tries if t.get("error") and t.get("status") in _REFUSALS}
        self._by_key: dict[str, list[dict[str, Any]]] = {}
        for call in calls:
            self._by_key.setdefault(call["key"], []).append(call)
        self._asked: dict[str, int] = {}

    @staticmethod
    def made_with_of(path: Path) -> dict[str, Any]:
        """What a recording was made with, from its first line alone. Raises UsageError as `load`."""
        try:
            first = _first_line(path)
            found = json.loads(first)["made_with"]
            if isinstance(found, dict):
                return found
        except (UsageError, OSError, EOFError, ValueError, LookupError, TypeError, RecursionError):
            # The whole of it is read to say what is wrong.
            pass
        return Recording.load(path).made_with

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read a calls.jsonl or calls.jsonl.gz; a last line that a kill cut short is left out.

        Raises:
            UsageError: no such file, another format or version, or a broken line; the message names the line.
        """
        path = Path(path)
        try:
            if len(_first_line(path)) > LONGEST_HEADER:
                raise UsageError(f"{path} is not a recording: its first line is longer than {LONGEST_HEADER} bytes.")
            data = b"".join(chunks(path, "record it again"))
            whole = data.rfind(b"\n") + 1
            # A kill may cut the last line within a character.
            text = data[:whole].decode("utf-8") + data[whole:].decode("utf-8", "replace" if whole else "strict")
        except FileNotFoundError:
            raise UsageError(f"There is no recording {path}; name one with --replay, or {_HOW_ON}.") from None
        except (OSError, EOFError, UnicodeDecodeError, ValueError) as error:
            raise UsageError(f"Cannot read the recording {path}: {error}") from None
        *lines, rest = text.split("\n")
        if _is_json(rest):
            lines.append(rest)
        records = [(number, _parsed(line, path, number)) for number, line in enumerate(lines, 1) if line.strip()]
        if not records:
            raise UsageError(f"The recording {path} is empty; {_HOW_ON}.")
        header = records[0][1]
        if header.get("format") != FORMAT:
            raise UsageError(f"{path} is not a recording: its first line does not say format {FORMAT!r}.")
        if header.get("version") != VERSION:
            raise UsageError(f"The recording {path} has version {header.get('version')!r}, not {VERSION}; {_HOW_ON}.")
        made_with, model = header.get("made_with"), header.get("model")
        if not isinstance(made_with, dict) or not isinstance(model, dict) or not isinstance(model.get("name"), str):
            raise UsageError(f"The recording {path} does not say on line 1 what it was made with.")
        return cls(path.name, made_with, model, [_checked(record, path, number) for number, record in records[1:]])

    def answer_to(self, key: str, turn: int) -> dict[str, Any] | None:
        """The recorded call with this key that was made as the `turn`-th, from 0 on; None where there is none."""
        replies = self._by_key.get(key, [])
        return replies[turn] if turn < len(replies) else None

    def answer(self, key: str) -> dict[str, Any]:
        """The next recorded call with this key.

        Raises:
            UsageError: the recording holds no such request.
        """
        replies = self._by_key.get(key)
        if not replies:
            raise UsageError(
                f"The recording {self.name} does not hold this request: it was made by {self.model['name']} with "
                f"{_listed(self.made_with)}; ask for the same, or {_HOW_ON}."
            )
        turn = self._asked.get(key, 0)
        self._asked[key] = turn + 1
        return replies[min(turn, len(replies) - 1)]


class ReplyCache:
    """The calls of a run that was stopped, and those of other runs that may have asked the same.

    A request made n times in a run gets the n-th reply recorded for it: the run's own first, then another run's.

    Args:
        own: the run's own calls.jsonl; it need not exist.
        others: further ones of the same model.
        only: refuse what is not recorded in place of leaving it to the caller.
    """

    def __init__(self, own: Path, others: Iterable[Path] = (), only: bool = False) -> None:
        self.own, self.only = own, only
        self._mine = Recording.load(own) if _has_begun(own) else None
        self._others = [found for file in sorted(others) if file != own and (found := _readable(file))]
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def model(self) -> dict[str, Any]:
        """Effective settings of the recorded model. Raises UsageError when nothing is recorded."""
        for recording in (self._mine, *self._others):
            if recording is not None:
                return recording.model
        raise UsageError(f"Nothing is recorded in {self.own.parent}; call the model once with --record auto.")

    @property
    def kept(self) -> int:
        """How many replies the run's own record held at first."""
        return len(self._mine.calls) if self._mine else 0

    def pass_over(self, replies: int) -> None:
        """The first so many replies of the run's own record are used up: the run goes on from behind them."""
        with self._lock:
            for call in self._mine.calls[:replies] if self._mine else ():
                self._asked[call["key"]] = self._asked.get(call["key"], 0) + 1

    def take(self, key: str) -> tuple[dict[str, Any] | None, bool]:
        """The recorded call with this key, or None, and whether the run's own record holds it already.

        Raises:
            UsageError: the request is not recorded and may not be made.
            RefusedError: the server refused it when it was made.
        """
        with self._lock:
            turn = self._asked.get(key, 0)
            self._asked[key] = turn + 1
        for recording in (self._mine, *self._others):
            call = recording.answer_to(key, turn) if recording else None
            if call is not None:
                return call, recording is self._mine
        if not self.only:
            return None, False
        refused = self._mine.refused.get(key) if self._mine else None
        if refused:
            raise RefusedError(refused)
        raise UsageError(
            f"{self.own} does not hold a reply to one of the requests; call the model for what is missing with "
            "--record auto."
        )


def _first_line(path: Path) -> bytes:
    """Without its end; of a longer one than any header, as much as shows that."""
    found = b""
    # A missing file is told as that.
    check_plain(path)
    if path.suffix == ".gz" and packing(path) != "gzip":
        raise UsageError(f"Cannot read the recording {path}: it is no gzip file.")
    for piece in chunks(path, "record it again"):
        found += piece
        if b"\n" in piece or len(found) > LONGEST_HEADER:
            break
    return found.split(b"\n", 1)[0]


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise UsageError(f"Line {number} of the recording {path} is broken; restore the file or record it again.")
    return record


def _checked(call: dict[str, Any], path: Path, number: int) -> dict[str, Any]:
    whole = isinstance(call.get("key"), str) and (call.get("error") is not None or isinstance(call.get("reply"), str))
    counts = all(
        value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0)
        for value in (call.get(word) for word in ("input_tokens", "output_tokens", "seconds"))
    )
    if not (whole and counts):
        raise UsageError(f"Line {number} of the recording {path} is not a call; restore the file or record it again.")
    return call


def _listed(made_with: Mapping[str, Any]) -> str:
    """The plain entries of the header, on one line; nested ones are left to the reader of the file."""
    plain = [f"{k} {v}" for k, v in made_with.items() if isinstance(v, (str, int, float, bool)) and len(str(v)) <= 60]
    return ", ".join(plain) or "other settings or prompt templates"


def _has_begun(file: Path) -> bool:
    """Whether there are calls, after what a kill left of a last line has gone, or the whole file if that is all."""
    if not file.is_file():
        return False
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole == 0:
        file.unlink()
    elif whole < len(data):
        os.truncate(file, whole)
    return whole > 0


def _readable(file: Path) -> Recording | None:
    """Another run's record helps where it can; what is wrong with it is that run's affair."""
    try:
        return Recording.load(file)
    except UsageError:
        return None
