"""What went wrong with a try, whichever provider's client raised it: worth another try or not, and in which words."""

from __future__ import annotations

import html
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from leed_agentic.credentials import without_anything_like_a_key
from leed_agentic.errors import LeedError, UnavailableError, UsageError

LONGEST_PAUSE = 60.0
"""Seconds; a server that asks for more (a daily quota) is tried again after this much all the same."""
FIELDS = ("temperature", "seed", "max_tokens", "max_completion_tokens", "tools", "tool choice", "tool_choice")
"""What a request can do without."""

_WORTH_ANOTHER_TRY = {408, 409, 425, 429}
# Base classes of connection trouble in the clients of OpenAI, Anthropic and others, and in httpx itself.
_CONNECTION_ERRORS = {"APIConnectionError", "TransportError", "OSError"}
# The client's own limit may run out a moment before ours; it is the same thing.
_TIMEOUTS = {"Overdue", "APITimeoutError", "TimeoutException", "TimeoutError"}
_LONGEST_EXCERPT = 300
_LONGEST_PAGE = 20_000
_LOADING = re.compile(r"\b(?:loading|warming up|starting up|not (?:yet )?ready|initiali[sz]ing)\b", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"unsupported|not (?:be )?(?:supported|permitted|allowed|accepted)|(?:does not|doesn't) support"
    r"|unknown|unrecogni[sz]ed|unexpected|extra (?:input|field)|invalid (?:parameter|argument|field)"
    r"|requires --|deprecated|forbidden|no such|\buse '",
    re.IGNORECASE,
)
_DURATION = re.compile(r"\s*(?:(\d{1,20}(?:\.\d{1,9})?)\s*(ms|s|m|h)?)\s*", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class RefusedError(UsageError):
    """The server knows the model and will not answer this request: as a rule it is longer than the model's context."""


class Overdue(Exception):
    """No whole reply within model.timeout_seconds."""


class TooLarge(Exception):
    """A reply of more bytes than any is read."""


class NoReply(Exception):
    """The server said 200 and sent an error, or nothing that is a chat completion."""

    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status_code = status


@dataclass(frozen=True)
class Failure:
    """One failed try."""

    error: LeedError
    """What to raise when it is not tried again."""
    again: bool
    status: int | None = None
    pause: float | None = None
    """Seconds the server asked to wait, if it did."""
    unsupported: str | None = None
    """The field of the request, one of FIELDS, that the server does not know."""
    loading: bool = False
    """The model is on its way: worth waiting for."""


def understand(error: Exception, name: str, server: str, timeout: float) -> Failure:
    """Read a client's exception by its HTTP status or its cause.

    Args:
        name: the model, as the user wrote it.
        server: where it was asked, for the sentence.
        timeout: the limit that an `Overdue` try broke.
    """
    if isinstance(error, LeedError):
        return Failure(error, again=False)
    if _has_kind(error, {"TooLarge"}):
        sentence = f"{name} at {server} sent a reply of more than 32 MB, which is not read; check --base-url."
        return Failure(UnavailableError(sentence), again=False)
    if _has_kind(error, _TIMEOUTS):
        sentence = f"{name} at {server} gave no whole reply in {timeout:g} s; check it, or raise model.timeout_seconds."
        return Failure(UnavailableError(sentence), again=True)
    status = _status(error)
    said = _words(error)
    if status is None:
        if _is_connection_trouble(error):
            sentence = f"Cannot reach {name} at {server} ({said}); start the server or correct --base-url."
            return Failure(UnavailableError(sentence), again=True)
        sentence = f"{name} at {server} sent something that is not a chat reply ({said}); check --base-url."
        return Failure(UnavailableError(sentence), again=False)
    if status in (401, 403):
        sentence = f"{server} refused the key for {name} ({status}); check the variable that holds the key: {said}"
        return Failure(UsageError(sentence), again=False, status=status)
    if status == 429 and "insufficient_quota" in f"{getattr(error, 'code', '')} {error}":
        sentence = f"The account behind the key for {name} has no quota left; top it up or choose another model."
        return Failure(UnavailableError(sentence), again=False, status=status)
    if status in _WORTH_ANOTHER_TRY or status >= 500:
        what = "limits how often it may be asked" if status == 429 else f"failed with status {status}"
        sentence = f"{name} at {server} {what}; try again later: {said}"
        loading = status == 503 and _LOADING.search(said) is not None
        return Failure(UnavailableError(sentence), True, status, _asked_pause(error), loading=loading)
    if status == 404:
        sentence = f"{server} knows no {name} (404); check the name, and that --base-url is whole (/v1): {said}"
        return Failure(UsageError(sentence), again=False, status=status)
    sentence = f"{server} refused the request to {name} ({status}); change what it complains of: {said}"
    return Failure(RefusedError(sentence), again=False, status=status, unsupported=_unsupported(error, said))


def short(error: BaseException) -> str:
    """An error's own words on one line, capped, with no key in them."""
    causes = [str(e) for e in _chain(error) if str(e).strip()]
    # "Connection error." says nothing; its cause says "[Errno 111] Connection refused".
    text = causes[-1] if causes and _is_connection_trouble(error) else (causes[0] if causes else type(error).__name__)
    return _one_line(text)


def said_in(body: Any) -> str:
    """The words of an error's body: a page without its tags, or the sentences in JSON of any make."""
    if isinstance(body, str):
        text = body[:_LONGEST_PAGE]
        if re.match(r"\s*<", text):
            text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", " ", text)
            text = html.unescape(re.sub(r"<[^<>]*>", " ", text))
        return _one_line(text)
    if isinstance(body, list):
        return "; ".join(filter(None, map(said_in, body[:5])))[:_LONGEST_EXCERPT]
    if not isinstance(body, Mapping):
        return ""
    for word in ("message", "msg", "detail", "error", "errors", "title", "reason", "type"):
        if body.get(word) and (said := said_in(body[word])):
            where = body.get("loc")
            place = ".".join(map(str, where)) + ": " if isinstance(where, list) else ""
            return _one_line(place + said)
    return _one_line(json.dumps(body, default=str)) if body else ""


def _words(error: BaseException) -> str:
    """What the server said, else what the client did."""
    response = getattr(error, "response", None)
    body = getattr(error, "body", None)
    if not body and response is not None:
        try:
            body = response.text
        except Exception:  # noqa: BLE001 - a body that nobody read; every client's own class
            body = None
    return said_in(body) or short(error)


def _one_line(text: str) -> str:
    # Keys go before anything is cut: half a key would no longer be known as one.
    line = without_anything_like_a_key(text[:_LONGEST_PAGE])[: 20 * _LONGEST_EXCERPT]
    line = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    return line if len(line) <= _LONGEST_EXCERPT else line[: _LONGEST_EXCERPT - 1] + "…"


def _unsupported(error: BaseException, said: str) -> str | None:
    """The field that a refusal names as unknown. That its value is too large is another matter."""
    body = getattr(error, "body", None)
    named = body.get("param") if isinstance(body, Mapping) else None
    code = str(body.get("code") or "") if isinstance(body, Mapping) else ""
    if not (_UNSUPPORTED.search(said) or _UNSUPPORTED.search(code)):
        return None
    if named in FIELDS:
        return str(named)
    found = [(said.find(field), field) for field in FIELDS if re.search(rf"(?<!\w){field}(?!\w)", said)]
    return min(found)[1] if found else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        yield step
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for word in ("status_code", "code"):
            value = getattr(holder, word, None)
            if isinstance(value, int) and 400 <= value <= 599:
                return value
    return None


def _is_connection_trouble(error: BaseException) -> bool:
    return _has_kind(error, _CONNECTION_ERRORS)


def _has_kind(error: BaseException, names: set[str]) -> bool:
    """By class names, so that no provider's client need be imported to know its errors."""
    return any(names & {kind.__name__ for kind in type(step).__mro__} for step in _chain(error))


def _asked_pause(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        return None
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    seconds = _seconds(f"{milliseconds}ms") if milliseconds else None
    seconds = _seconds(str(text)) if seconds is None and text else seconds
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_PAUSE)


def _seconds(text: str) -> float | None:
    """A number of seconds, one with a unit, or a date; None for nonsense, which leaves the pause to us."""
    if match := _DURATION.fullmatch(text):
        return float(match[1]) * _UNITS[(match[2] or "s").lower()]
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return seconds if math.isfinite(seconds) else None
