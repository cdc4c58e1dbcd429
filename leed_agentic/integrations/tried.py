"""Which versions of other people's libraries the doors were tried with."""

from __future__ import annotations

import importlib
import logging
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from leed_agentic.errors import UsageError

log = logging.getLogger(__name__)


class Tried(NamedTuple):
    """A library as it was tried."""

    distribution: str
    versions: tuple[str, ...]
    """The newest first."""
    extra: str
    """Of this package."""


TRIED = {
    "sb3_contrib": Tried("sb3-contrib", ("2.9.2",), "sb3"),
    "torchrl": Tried("torchrl", ("0.14.1", "0.11.1"), "torchrl"),
    "benchmarl": Tried("benchmarl", ("1.5.2",), "benchmarl"),
    "ray.rllib": Tried("ray", ("2.60.0",), "rllib"),
    "supersuit": Tried("supersuit", ("3.11.0",), "supersuit"),
}
"""By module."""


def need(module: str) -> None:
    """Check that a library is there; a version that was not tried is warned of.

    Raises:
        UsageError: it is not installed, or does not import.
    """
    tried = TRIED[module]
    advice = f'pip install "leed-agentic[{tried.extra}]"'
    try:
        importlib.import_module(module)
        found = version(tried.distribution)
    except (ImportError, PackageNotFoundError) as error:
        raise UsageError(f"This needs {tried.distribution} ({error}): {advice}.") from error
    if _minor(found) not in map(_minor, tried.versions):
        log.warning(
            "%s %s was not tried with this package, %s was; should it fail: pip install %s==%s",
            *(tried.distribution, found, " and ".join(tried.versions), tried.distribution, tried.versions[0]),
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
