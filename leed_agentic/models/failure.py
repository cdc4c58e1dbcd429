"""What went wrong with a try, whichever provider's client raised it: worth another try or not, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leed_agentic.credentials import without_anything_like_a_key
from leed_agentic.errors import LeedError, UnavailableError, UsageError

LONGEST_PAUSE = 60.0
"""Seconds; a server that asks for more (a daily quota) is tried again after this much all the same."""

_WORTH_ANOTHER_TRY = {408, 409, 425, 429}
# Base classes of connection trouble in the clients of OpenAI, Anthropic and others, and in httpx itself.
_CONNECTION_ERRORS = {"APIConnectionError", "TransportError", "OSError"}
# The client's own limit may run out a moment before ours; it is the same thing.
_TIMEOUTS = {"Overdue", "APITimeoutError", "TimeoutException", "TimeoutError"}
_LONGEST_EXCERPT = 300


class RefusedError(UsageError):
    """The server knows the model and will not answer this request: as a rule it is longer than the model's context."""


class Overdue(Exception):
    """No whole reply within model.timeout_seconds."""


@dataclass(frozen=True)
class Failure:
    """One failed try."""

    error: LeedError
    """What to raise when it is not tried again."""
    again: bool
    status: int | None = None
    pause: float | None = None
    """Seconds the server asked to wait, if it did."""


def understand(error: Exception, name: str, server: str, timeout: float) -> Failure:
    """Read a client's exception by its HTTP status or its cause.

    Args:
        name: the model, as the user wrote it.
        server: where it was asked, for the sentence.
        timeout: the limit that an `Overdue` try broke.
    """
    if _has_kind(error, _TIMEOUTS):
        sentence = f"{name} at {server} gave no whole reply in {timeout:g} s; check it, or raise model.timeout_seconds."
        return Failure(UnavailableError(sentence), again=True)
    status = _status(error)
    said = short(error)
    if status is None:
        if _is_connection_trouble(error):
            sentence = f"Cannot reach {name} at {server} ({said}); start the server or correct --base-url."
            return Failure(UnavailableError(sentence), again=True)
        sentence = f"{name} at {server} sent something that is not a chat reply ({said}); check --base-url."
        return Failure(UnavailableError(sentence), again=False)
    if status in (401, 403):
        sentence = f"{server} refused the key for {name} ({status}); check the variable that holds the key: {said}"
        return Failure(UnavailableError(sentence), again=False, status=status)
    if status == 429 and "insufficient_quota" in f"{getattr(error, 'code', '')} {error}":
        sentence = f"The account behind the key for {name} has no quota left; top it up or choose another model."
        return Failure(UnavailableError(sentence), again=False, status=status)
    if status in _WORTH_ANOTHER_TRY or status >= 500:
        what = "limits how often it may be asked" if status == 429 else f"failed with status {status}"
        sentence = f"{name} at {server} {what}; try again later: {said}"
        return Failure(UnavailableError(sentence), again=True, status=status, pause=_asked_pause(error))
    if status == 404:
        sentence = f"{server} knows no {name} (404); check the name, and that --base-url is whole (/v1): {said}"
        return Failure(UsageError(sentence), again=False, status=status)
    sentence = f"{server} refused the request to {name} ({status}); change what it complains of: {said}"
    return Failure(RefusedError(sentence), again=False, status=status)


def short(error: BaseException) -> str:
    """An error's own words on one line, capped, with no key in them."""
    causes = [str(e) for e in _chain(error) if str(e).strip()]
    # "Connection error." says nothing; its cause says "[Errno 111] Connection refused".
    text = causes[-1] if causes and _is_connection_trouble(error) else (causes[0] if causes else type(error).__name__)
    # Keys go before anything is cut: half a key would no longer be known as one.
    line = without_anything_like_a_key(text)[: 20 * _LONGEST_EXCERPT]
    line = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    return line if len(line) <= _LONGEST_EXCERPT else line[: _LONGEST_EXCERPT - 1] + "…"


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
    text = headers.get("retry-after") if headers is not None else None
    try:
        # The other form that HTTP allows, a date, falls back to our own pause.
        return min(max(float(text), 0.0), LONGEST_PAUSE) if text else None
    except ValueError:
        return None
