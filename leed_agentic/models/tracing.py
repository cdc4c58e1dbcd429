"""Who may watch a run: nobody, unless the settings name LangSmith or a LangChain callback handler of one's own.

LangChain hands every step to LangSmith as soon as the environment says LANGSMITH_TRACING=true, which may have been set
for another project. Here prompts and routes go to the model alone until `model.tracing` asks for more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from leed_agentic.errors import UsageError
from leed_agentic.models.failure import short
from leed_agentic.registry import Registry
from leed_agentic.setting_groups import ModelSettings

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler

LANGSMITH = "langsmith"
LANGSMITH_KEYS = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
# LangChain refuses to run at all while one of these is set and its present tracer is not on.
_RETIRED = ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER")

tracers: Registry[Any] = Registry("tracing")
"""By name or dotted path: a callback handler, or a class or function without arguments that makes one."""


@tracers.register(LANGSMITH)
def langsmith_tracer() -> BaseCallbackHandler:
    """LangSmith's own handler; key, project and address come from its usual LANGSMITH_ variables."""
    from langchain_core.tracers import LangChainTracer

    if not any(os.environ.get(name) for name in LANGSMITH_KEYS):
        raise UsageError(f"Tracing with langsmith has no key; set the variable {LANGSMITH_KEYS[0]}.")
    return LangChainTracer()


def check_tracing(settings: ModelSettings) -> None:
    """Raises UsageError when the settings name no handler, or a variable keeps LangChain from running."""
    from langchain_core.utils.env import env_var_is_set

    _handlers(settings)
    for name in _RETIRED:
        if env_var_is_set(name):
            raise UsageError(f"LangChain does not run with the retired variable {name}; unset it.")


@contextmanager
def traced(settings: ModelSettings) -> Iterator[list[BaseCallbackHandler]]:
    """The callbacks to hand to whatever is invoked inside; LANGSMITH_ variables alone switch nothing on in there.

    LangSmith sends from a thread of its own: leaving waits until it has sent everything.
    """
    from langchain_core.tracers.langchain import LangChainTracer, wait_for_all_tracers
    from langsmith.run_helpers import tracing_context

    handlers = _handlers(settings)
    langsmith = any(isinstance(handler, LangChainTracer) for handler in handlers)
    with tracing_context(enabled=langsmith):
        try:
            yield handlers
        finally:
            if langsmith:
                wait_for_all_tracers()


def _handlers(settings: ModelSettings) -> list[BaseCallbackHandler]:
    from langchain_core.callbacks import BaseCallbackHandler

    found = []
    for name in settings.tracing:
        item = tracers.get(name)
        if not isinstance(item, BaseCallbackHandler):
            try:
                item = item()
            except UsageError:
                raise
            except Exception as error:  # noqa: BLE001 - somebody else's code, with errors of its own
                raise UsageError(f"Tracing with {name} cannot be set up: {short(error)}") from None
        if not isinstance(item, BaseCallbackHandler):
            raise UsageError(f"Tracing with {name}: that is no LangChain callback handler, and makes none.")
        found.append(item)
    return found
