"""What can be asked: the providers whose keys are known, and where each one's key and package come from."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass

from leed_agentic.models.connect import NEEDS_NO_KEY, REPLAY, STAND_IN, split_name
from leed_agentic.models.keys import KEY_VARIABLES

_PACKAGES = {"google_genai": "langchain-google-genai", "xai": "langchain-xai"}


@dataclass(frozen=True)
class Provider:
    """One row of `leed models list`. Of a key only its variable's name is known here, and whether it is set."""

    name: str
    form: str
    """What to write after --model."""
    variables: tuple[str, ...]
    key_set: bool
    missing: tuple[str, ...]
    """Packages to install first."""
    note: str = ""


def providers() -> list[Provider]:
    """Replay and stand-in first, then every provider whose key variable is known; others work, too."""
    rows = [
        Provider(REPLAY, REPLAY, (), False, (), "recorded calls of a real model"),
        Provider(STAND_IN, STAND_IN, (), False, (), "no LLM: an imperfect planner"),
    ]
    for name, variables in KEY_VARIABLES.items():
        note = "OpenAI, or any compatible server with --base-url" if name == "openai" else ""
        rows.append(Provider(name, f"{name}:MODEL", variables, variable_set(name) is not None, _missing(name), note))
    return rows


def key_source(model: str, base_url: str | None) -> str:
    """Where the model's key comes from, in words; never the key.

    Raises:
        UsageError: the model's name has no provider.
    """
    if model in NEEDS_NO_KEY:
        return "no key needed"
    provider, _ = split_name(model)
    if found := variable_set(provider):
        return f"variable {found}, set"
    variables = " or ".join(KEY_VARIABLES.get(provider, ()))
    if not variables:
        return f"{provider} signs on in its own way"
    return f"variable {variables}, not set" + (" (a server of your own may need none)" if base_url else "")


def variable_set(provider: str) -> str | None:
    """The name of the variable that holds the provider's key; None if none is set."""
    return next((name for name in KEY_VARIABLES.get(provider, ()) if os.environ.get(name, "").strip()), None)


def _missing(provider: str) -> tuple[str, ...]:
    if provider == "openai":
        return ()
    needed = ("langchain", _PACKAGES.get(provider, f"langchain-{provider}"))
    return tuple(name for name in needed if importlib.util.find_spec(name.replace("-", "_")) is None)
