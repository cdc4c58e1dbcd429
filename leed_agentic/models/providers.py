"""What can be asked: the names of models, and where each provider's key and package come from.

Keys are read from the environment and shown masked; nothing here is ever written.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
from dataclasses import dataclass

from leed_agentic.errors import UsageError
from leed_agentic.registry import is_dotted

STAND_IN = "stand-in"
REPLAY = "replay"
NEEDS_NO_KEY = (REPLAY, STAND_IN)
NO_LLM = "stand-in (no LLM was called)"
NAME_FORM = "write provider:name, such as openai:gpt-4o-mini, or one of replay and stand-in"
PLACEHOLDER = "no-key-needed"
"""Sent to an OpenAI-compatible server when no key is set, because the client insists on one."""

KEY_VARIABLES = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google_genai": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "mistralai": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
    "xai": ("XAI_API_KEY",),
}
"""Where the usual providers' clients look for their key; others (clouds, local servers) sign on in their own ways."""
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


def is_own(name: str) -> bool:
    """Whether a model's name is a dotted path to a chat model of one's own."""
    return is_dotted(name)


def key_source(model: str, base_url: str | None) -> str:
    """Where the model's key comes from, in words; never the key.

    Raises:
        UsageError: the model's name has no provider.
    """
    if model in NEEDS_NO_KEY:
        return "no key needed"
    if is_own(model):
        return "a model of your own signs on in its own way"
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


def split_name(name: str) -> tuple[str, str]:
    """Provider and model of `provider:name`; only the first colon counts (ollama:qwen2.5:7b).

    Raises:
        UsageError: there is no provider or no name, or the provider is a slip.
    """
    provider, colon, model = (part.strip() for part in name.partition(":"))
    if not (provider and colon and model):
        near = difflib.get_close_matches(name.strip(), NEEDS_NO_KEY, n=1)
        hint = f"did you mean {near[0]!r}? Else " if near else ""
        raise UsageError(f"Model {name!r} names no provider; {hint}{NAME_FORM}.")
    # LangChain knows more providers than these, so only what is nearly one of them can be told to be a slip.
    near = difflib.get_close_matches(provider, KEY_VARIABLES, n=1, cutoff=0.85)
    if near and near[0] != provider:
        raise UsageError(f"Unknown provider {provider!r}: did you mean {near[0]!r}? `leed models list` has them all.")
    return provider, model


def key_of(provider: str) -> str | None:
    """The provider's key, or None if none is set or none is known to be needed."""
    values = (os.environ.get(name, "").strip() for name in KEY_VARIABLES.get(provider, ()))
    return next((value for value in values if value), None)


def masked(key: str) -> str:
    """A key as it may be shown: the last four characters of a long one, nothing of a short one."""
    return f"set, ends in {key[-4:]}" if len(key) >= 20 else "set"
