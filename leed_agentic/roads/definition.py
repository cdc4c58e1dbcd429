"""What a named map is: one YAML file that says where its streets come from and whom to credit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from leed_agentic.errors import UsageError
from leed_agentic.resources import resource_folder
from leed_agentic.runs.files import check_plain

OSM_ATTRIBUTION = "Map data (c) OpenStreetMap contributors, ODbL 1.0"
Box = tuple[float, float, float, float]


def check_box(box: Sequence[float]) -> Box:
    """West, south, east, north in degrees, as four numbers; ValueError says what is wrong."""
    west, south, east, north = box
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError("a bounding box is west,south,east,north in degrees, with west < east and south < north")
    return west, south, east, north


def parse_box(text: str) -> Box:
    """A bounding box from "W,S,E,N".

    >>> parse_box("-81.388,28.533,-81.368,28.553")
    (-81.388, 28.533, -81.368, 28.553)
    """
    try:
        return check_box([float(part) for part in text.split(",")])
    except ValueError as error:
        reason = str(error) if "bounding box" in str(error) else "a bounding box is four numbers: west,south,east,north"
        raise UsageError(f"--bbox {text!r}: {reason}, such as 114.1679,22.3059,114.1836,22.3202.") from error


class _Definition(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    title: str = Field(description="The place, for lists and pictures.")
    attribution: str = Field(description="Credit printed on every picture of the map.")
    lefthand: bool = Field(False, description="Whether vehicles drive on the left.")
    bbox: Annotated[Box, AfterValidator(check_box)] | None = Field(None, description="West, south, east, north.")
    osm_date: str | None = Field(
        None, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="State of OpenStreetMap, UTC."
    )


class BundledMap(_Definition):
    """A network file that comes with the SUMO wheel."""

    kind: Literal["bundled"]
    file: str = Field(description="Path inside SUMO_HOME.")


class GeneratedMap(_Definition):
    """A regular network that SUMO's netgenerate makes."""

    kind: Literal["generated"]
    options: tuple[str, ...] = Field(description="Options of netgenerate.")


class DownloadedMap(_Definition):
    """A box of OpenStreetMap, downloaded from an Overpass server and built at first use."""

    kind: Literal["openstreetmap"]
    bbox: Annotated[Box, AfterValidator(check_box)] = Field(description="West, south, east, north.")
    options: tuple[str, ...] = Field((), description="Options of netconvert after those of every import.")


MapDefinition = BundledMap | GeneratedMap | DownloadedMap
_ADAPTER: TypeAdapter[MapDefinition] = TypeAdapter(Annotated[MapDefinition, Field(discriminator="kind")])


def read_definition(file: Path) -> MapDefinition:
    """Raises UsageError when the YAML file cannot be read or is not a map's definition."""
    try:
        return _ADAPTER.validate_python(yaml.safe_load(check_plain(file).read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{file} does not define a map: {where or 'the file'}: {first['msg']}.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"Cannot read the map definition {file}: {' '.join(str(error).split())}") from error


def named_maps() -> dict[str, Path]:
    """Names of the maps that come with this package, each with its YAML file."""
    return {file.stem: file for file in sorted(resource_folder("maps").glob("*.yaml"))}
