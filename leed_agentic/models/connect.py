"""From a model's name to something that chats: OpenAI, any OpenAI-compatible server, any provider LangChain knows,
or a chat model of one's own."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from leed_agentic.credentials import plain_address, without_secret_fields
from leed_agentic.errors import UsageError
from leed_agentic.models.providers import (
    KEY_VARIABLES,
    NEEDS_NO_KEY,
    PLACEHOLDER,
    REPLAY,
    STAND_IN,
    is_own,
    key_of,
    split_name,
)
from leed_agentic.registry import Registry
from leed_agentic.setting_groups import ModelSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

models: Registry[Any] = Registry("model")
"""By dotted path: a LangChain chat model of one's own, or a class or function without arguments that makes one."""

# Ollama's client calls the limit on tokens differently and ignores the usual word.
_OWN_WORDS = {"ollama": {"max_tokens": "num_predict"}}
# The others refuse a request that carries a seed.
_TAKES_SEED = {"openai", "azure_openai", "ollama"}
_TAKES_SCHEMA = {"openai", "azure_openai"}


def connect(settings: ModelSettings) -> BaseChatModel:
    """The chat model that the settings name, ready to be invoked. Nothing is sent yet.

    Retries are switched off in the model: the caller makes them, so that each is seen and counted once.

    Raises:
        UsageError: no provider in the name, a missing key or package, or an address that is not one.
    """
    if settings.name == STAND_IN:
        from leed_agentic.models.stand_in import StandIn

        return StandIn(error_rate=settings.stand_in_error_rate, seed=settings.seed or 0)
    if is_own(settings.name):
        return _own(settings.name)
    if settings.name == REPLAY:
        raise UsageError("replay answers from a recording and connects to nothing; name a model to call.")
    provider, model = split_name(settings.name)
    if settings.structured and provider not in _TAKES_SCHEMA:
        raise UsageError(
            f"model.structured is for OpenAI-compatible servers, not for {settings.name}; leave it out, or name the "
            "model openai:NAME with the server's --base-url."
        )
    if settings.extra_body and provider not in _TAKES_SCHEMA:
        raise UsageError(f"model.extra_body is for OpenAI-compatible servers, not for {settings.name}; leave it out.")
    if settings.base_url:
        _check_address(settings.base_url)
    if provider in KEY_VARIABLES and not key_of(provider) and not settings.base_url:
        variable = KEY_VARIABLES[provider][0]
        raise UsageError(f"{settings.name} has no key; set the variable {variable}, or name a server with --base-url.")
    return _openai(settings, model) if provider == "openai" else _other(settings, provider, model)


def _check_address(url: str) -> None:
    shown = plain_address(url)
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url {shown!r} must start with http:// or https://.")
    try:
        whole = bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        whole = False
    if not whole or not url.isprintable() or " " in url:
        raise UsageError(f"--base-url {shown!r} is no address; write one such as http://127.0.0.1:8080/v1.")


def name_of(chat: BaseChatModel) -> str:
    """What a chat model that somebody brought along is called in records: its class and its own word for its model."""
    model = getattr(chat, "model_name", None) or getattr(chat, "model", None)
    return f"{type(chat).__name__}:{model}" if isinstance(model, str) and model else type(chat).__name__


def effective_settings(settings: ModelSettings, model: BaseChatModel) -> dict[str, Any]:
    """What the model is really run with, for the record: some clients drop a setting (gpt-5 takes no temperature)."""
    base_url = getattr(model, "openai_api_base", None) or settings.base_url
    found: dict[str, Any] = {
        "name": settings.name,
        "base_url": plain_address(base_url) if base_url else None,
        "temperature": getattr(model, "temperature", None),
        "seed": getattr(model, "seed", None),
        "max_output_tokens": settings.max_output_tokens,
    }
    if settings.structured and settings.name not in NEEDS_NO_KEY:
        found["structured"] = True
    if settings.extra_body and settings.name not in NEEDS_NO_KEY:
        found["extra_body"] = without_secret_fields(settings.extra_body)
    return found


def _own(path: str) -> BaseChatModel:
    """The chat model that a dotted path names, or that the class or function there makes."""
    from langchain_core.language_models import BaseChatModel

    from leed_agentic.models.failure import short

    found = models.get(path)
    if not isinstance(found, BaseChatModel) and callable(found):
        try:
            found = found()
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001 - somebody else's code, with errors of its own
            raise UsageError(f"Model {path} cannot be set up: {short(error)}") from None
    if not isinstance(found, BaseChatModel):
        raise UsageError(f"Model {path}: that is no LangChain chat model (BaseChatModel), and makes none.")
    return found


def _openai(settings: ModelSettings, model: str) -> BaseChatModel:
    from pydantic import SecretStr

    from leed_agentic.models.chat import HostedChat, ServerChat
    from leed_agentic.models.transport import http_client

    key = (settings.send_key and key_of("openai")) or PLACEHOLDER
    if not key.isascii() or not key.isprintable():
        raise UsageError("OPENAI_API_KEY holds characters no key has; set it again.")
    client = http_client(settings.timeout_seconds, settings.base_url)
    options: dict[str, Any] = {
        **_common_options(settings),
        "model": model,
        "api_key": SecretStr(key),
        "extra_body": settings.extra_body or None,
        "limit_word": None if settings.limit_word == "auto" else settings.limit_word,
        "http_client": client,
        # Else the asynchronous client, which nobody uses here, warns about proxies.
        "http_socket_options": (),
    }
    if settings.seed is not None:
        options["seed"] = settings.seed
    if not settings.base_url:
        return HostedChat(**options)
    address, headers, query = _without_secrets(settings.base_url)
    return ServerChat(**options, base_url=address, default_headers=headers, default_query=query)


def _without_secrets(url: str) -> tuple[str, dict[str, str] | None, dict[str, str] | None]:
    """The address without user name, password, query and fragment, and what carries them: clients log addresses."""
    parts = urlsplit(url)
    signed_on, at, host = parts.netloc.rpartition("@")
    address = urlunsplit(parts._replace(netloc=host, query="", fragment=""))
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) or None
    if not at:
        return address, None, query
    header = "Basic " + base64.b64encode(unquote(signed_on).encode()).decode()
    return address, {"Authorization": header}, query


def _common_options(settings: ModelSettings) -> dict[str, Any]:
    options = {"temperature": settings.temperature, "max_tokens": settings.max_output_tokens}
    given = {word: value for word, value in options.items() if value is not None}
    return {**given, "timeout": settings.timeout_seconds, "max_retries": 0}


def _other(settings: ModelSettings, provider: str, model: str) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:
        raise UsageError(
            f'{settings.name} needs one more package: pip install "leed-agentic[providers]" langchain-{provider}'
        ) from None
    options = _common_options(settings)
    if provider in _TAKES_SEED and settings.seed is not None:
        options["seed"] = settings.seed
    if settings.base_url:
        options["base_url"] = settings.base_url
        if not settings.send_key:
            # Else the provider's client takes the key of the environment.
            options["api_key"] = PLACEHOLDER
    own_words = _OWN_WORDS.get(provider, {})
    options = {own_words.get(word, word): value for word, value in options.items()}
    try:
        return init_chat_model(model, model_provider=provider, **options)
    except ImportError as error:
        raise UsageError(f"{settings.name} needs one more package: {' '.join(str(error).split())}") from None
    except Exception as error:  # noqa: BLE001 - every provider's client complains of a missing key in its own class
        from leed_agentic.models.failure import short

        raise UsageError(f"{settings.name} cannot be set up: {short(error)}") from None
