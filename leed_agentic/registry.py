"""Small functions and classes a user can replace: by a registered name or by a dotted path to their own."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar, cast

from leed_agentic.errors import UsageError

T = TypeVar("T")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def is_dotted(name: object) -> bool:
    """Whether it is a dotted path to somebody's own code: the one form that is ever imported."""
    return isinstance(name, str) and _DOTTED.fullmatch(name) is not None


def nearest(name: str, known: Iterable[str]) -> str:
    """A closing hint for an unknown name: the most similar known one, else the whole list."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose one of: {', '.join(names)}."


class Registry(Generic[T]):
    """Named choices of one kind, such as rewards.

    >>> rewards = Registry("reward")
    >>> @rewards.register("constant")
    ... def constant(): return 1.0
    >>> rewards.get("constant")()
    1.0

    Args:
        places: names to dotted paths, imported when they are asked for: what costs an import is registered so.
    """

    def __init__(self, kind: str, places: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._places = dict(places or {})
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files the function or class under `name`."""

        def add(item: T) -> T:
            self._items[name] = item
            return item

        return add

    def names(self) -> list[str]:
        return sorted({*self._items, *self._places})

    def get(self, name: str) -> T:
        """The item registered as `name`, or the one that a dotted path such as `my_package.rewards.mine` names.

        Raises:
            UsageError: no such name, or the dotted path cannot be imported.
        """
        if name in self._items:
            return self._items[name]
        if name in self._places:
            module_name, _, attribute = self._places[name].rpartition(".")
            return cast(T, getattr(importlib.import_module(module_name), attribute))
        if not is_dotted(name):
            raise UsageError(f"Unknown {self.kind} {name!r}: {nearest(name, self.names())}")
        module_name, _, attribute = name.rpartition(".")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"Cannot import the {self.kind} {name!r} ({error}); check the dotted path.") from error
