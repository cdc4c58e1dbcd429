"""Record types: a TypedDict beside the writer of a file is the file's format, and its page is made from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, with_config

record = with_config(ConfigDict(use_attribute_docstrings=True, extra="forbid"))
"""Decorates the record of a whole file: no field that it does not name, in it and in the records it holds."""
Cell = Annotated[float | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A number of a CSV line; None where the cell is empty: that line has no such figure."""
Versions = Annotated[dict[str, str], Field(description="Versions of the packages that decide the numbers.")]
