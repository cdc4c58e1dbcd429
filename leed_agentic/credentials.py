"""What must reach no file, screen or log: the values of keys, and addresses with somebody's password in them."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

REMOVED = "[key removed]"
# A shorter value would be replaced inside ordinary words; no provider's key is that short.
_SHORTEST_KEY = 8
# OPENAI_API_KEY, GITHUB_TOKEN_2, DB_PASSWORD, MY_PAT and the whole of AWS_*, but not PATH.
_KEY_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|PAT(_?\d+)?$|^AWS_")
_KEY_WORD = re.compile(r"key|token|secret|passw|passphrase|credential|auth|cookie|signature|pat$", re.IGNORECASE)
# What a server may echo although it is in no variable of ours: an Authorization header (Basic is made from a user
# name and password in the address), the key formats of OpenAI, GitHub, Hugging Face, Google, AWS, Slack, and a JWT.
_LOOKS_LIKE_A_KEY = re.compile(
    r"(?i:bearer|basic)\s+[\w\-.~+/]{8,}=*|\bsk-[\w\-]{16,}|\bgh[a-z]_\w{20,}|\bgithub_pat_\w{20,}|\bhf_\w{20,}"
    r"|\bAIza[\w\-]{30,}|\bA[KS]IA[A-Z0-9]{16}\b|\bxox[a-z]-[\w\-]{10,}|\beyJ[\w\-]{10,}\.[\w\-]{10,}\.[\w\-]*"
)
# Path segments that say which interface it is; any other may be a key.
_OF_AN_API = re.compile(r"v\d{1,2}(?:(?:alpha|beta)\d{0,2})?|api|openai|chat|completions|inference|compatible-mode")
_LIKE_A_KEY_IN_A_PATH = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[^\s/]{16,}")
_HOST = re.compile(r"[\w.\-]+|\[[0-9A-Fa-f:.]+\]")

_named: set[str] = set()
"""Secrets that this process was given otherwise than in a variable: in an address, in a request's extra fields."""


def keep_secret(*values: str) -> None:
    """From now on these values are struck out like those of key variables."""
    _named.update(value for value in values if len(value) >= _SHORTEST_KEY)


def key_values() -> list[str]:
    """The secrets that this process knows, longest first."""
    found = {v.strip() for name, v in os.environ.items() if _KEY_VARIABLE.search(name.upper())} | _named
    return sorted((v for v in found if len(v) >= _SHORTEST_KEY), key=len, reverse=True)


def without_keys(text: str) -> str:
    """The text with every known secret taken out, also where it is escaped for JSON, quoted for an URL or Base64."""
    return _without(text, _known_forms())


def struck_out(value: Any) -> Any:
    """JSON-able data with every known secret taken out of its texts; numbers stay numbers."""
    return _struck_out(value, _known_forms())


def _struck_out(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return _without(value, secrets)
    if isinstance(value, Mapping):
        return {_struck_out(key, secrets): _struck_out(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_struck_out(item, secrets) for item in value]
    return value


def _without(text: str, secrets: list[str]) -> str:
    for form in secrets:
        if form in text:
            text = text.replace(form, REMOVED)
    return text


def _known_forms() -> list[str]:
    return [form for value in key_values() for form in _forms(value)]


def without_anything_like_a_key(text: str) -> str:
    """For a server's error body, which may echo headers: also takes out what merely looks like a key."""
    return _LOOKS_LIKE_A_KEY.sub(REMOVED, without_keys(text))


def without_secret_fields(value: Any, secret: bool = False) -> Any:
    """JSON-able data with the values of fields that are called like a secret taken out, and all known secrets.

    Args:
        secret: the whole of it is a secret.
    """
    if isinstance(value, Mapping):
        return {k: without_secret_fields(v, secret or _is_secret(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_secret_fields(item, secret) for item in value]
    if secret and _may_be_secret(value):
        return REMOVED
    return without_anything_like_a_key(value) if isinstance(value, str) else value


def secret_fields(value: Any, secret: bool = False) -> list[str]:
    """The values that `without_secret_fields` takes out because of their fields' names."""
    if isinstance(value, Mapping):
        return [found for k, v in value.items() for found in secret_fields(v, secret or _is_secret(k))]
    if isinstance(value, list | tuple):
        return [found for item in value for found in secret_fields(item, secret)]
    return [str(value)] if secret and _may_be_secret(value) else []


def _is_secret(name: object) -> bool:
    return _KEY_WORD.search(str(name)) is not None


def _may_be_secret(value: object) -> bool:
    """Not the number in max_tokens: 400."""
    return isinstance(value, str) or (type(value) is int and abs(value) >= 10 ** (_SHORTEST_KEY - 1))


def plain_address(url: str) -> str:
    """An address fit to be shown: scheme, host, port, and the path where it is that of an API (/v1).

    User name, password, query and fragment are left out, and so is a path that may hold a key. Of what cannot be told
    apart (an @ behind the host) nothing is shown.
    """
    try:
        parts = urlsplit(url.strip() if "://" in url else f"//{url.strip()}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "[address removed]"
    host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host) or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return "[address removed]"
    segments = [segment for segment in parts.path.split("/") if segment]
    path = parts.path.rstrip("/") if all(_OF_AN_API.fullmatch(segment) for segment in segments) else ""
    shown = f"{parts.scheme}://{host}" if parts.scheme else host
    return without_keys(f"{shown}{f':{port}' if port is not None else ''}{path}")


def secrets_of(url: str) -> list[str]:
    """What `plain_address` leaves out of an address, piece by piece, as it stands there and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    signed_on = parts.netloc.rpartition("@")[0]
    pieces = [*signed_on.split(":", 1), *(value for _, value in parse_qsl(parts.query)), parts.fragment]
    # The name of a deployment is no secret; a long one of letters and digits is taken for one.
    pieces += [segment for segment in parts.path.split("/") if _LIKE_A_KEY_IN_A_PATH.fullmatch(segment)]
    if signed_on:
        pieces.append(base64.b64encode(unquote(signed_on).encode()).decode())
    return [piece for written in pieces if written for piece in {written, unquote(written)}]


def _forms(value: str) -> list[str]:
    """The ways in which a value is written, the value itself first."""
    forms = [value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    forms += [repr(value)[1:-1], quote(value, safe=""), quote_plus(value)]
    # A server that echoes an Authorization header has it in Base64.
    forms.append(base64.b64encode(value.encode("utf-8", "replace")).decode().rstrip("="))
    return list(dict.fromkeys(forms))
