"""Keys of model providers: read from the environment, shown masked, kept out of everything written or raised."""

from __future__ import annotations

import os
import re

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

REMOVED = "[key removed]"
# A shorter value would be replaced inside ordinary words; no provider's key is that short.
_SHORTEST_KEY = 8
_KEY_VARIABLE = re.compile(r"(API_?KEY|TOKEN|SECRET(_KEY)?|PASSWORD)$")
# What a server may echo although it is in no variable of ours: an Authorization header (Basic is made from a user
# name and password in the address), OpenAI's own key format.
_LOOKS_LIKE_A_KEY = re.compile(r"(?i:bearer|basic)\s+[\w\-.~+/]{8,}=*|\bsk-[\w\-]{16,}")


def key_of(provider: str) -> str | None:
    """The provider's key, or None if none is set or none is known to be needed."""
    values = (os.environ.get(name, "").strip() for name in KEY_VARIABLES.get(provider, ()))
    return next((value for value in values if value), None)


def key_values() -> list[str]:
    """The values of this process's variables that hold keys, longest first."""
    found = {v.strip() for name, v in os.environ.items() if _KEY_VARIABLE.search(name.upper())}
    return sorted((v for v in found if len(v) >= _SHORTEST_KEY), key=len, reverse=True)


def without_keys(text: str) -> str:
    """The text with every known key's value taken out."""
    for value in key_values():
        text = text.replace(value, REMOVED)
    return text


def without_anything_like_a_key(text: str) -> str:
    """For a server's error body, which may echo headers: also takes out what merely looks like a key."""
    return _LOOKS_LIKE_A_KEY.sub(REMOVED, without_keys(text))


def plain_url(url: str) -> str:
    """An address fit to be shown: without user name, password, query and any key."""
    # Here, because even `leed --help` needs this file to strike out keys.
    from leed_agentic.settings import plain_address

    return without_keys(plain_address(url))


def masked(key: str) -> str:
    """A key as it may be shown: the last four characters of a long one, nothing of a short one."""
    return f"set, ends in {key[-4:]}" if len(key) >= 20 else "set"
