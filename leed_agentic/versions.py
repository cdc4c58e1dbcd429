"""Versions of what decides the numbers, as every run notes them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    *("leed-agentic", "eclipse-sumo", "libsumo", "pettingzoo", "numpy", "torch", "safetensors", "dtaidistance"),
    *("langgraph", "langchain-core", "langchain-openai"),
)


def package_versions() -> dict[str, str]:
    """Package name to installed version, or to "not installed"."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
