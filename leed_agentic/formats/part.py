"""What all formats share: no field that the model does not name, and the scenario."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Part(BaseModel):
    """A JSON object with exactly these fields."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


Cell = Annotated[float | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A number of a CSV line; None where the cell is empty: that line has no such figure."""
Versions = Annotated[dict[str, str], Field(description="Versions of the packages that decide the numbers.")]
Free = dict[str, Any]
"""An object whose fields are described elsewhere."""
Routes = dict[str, list[str]]
"""Agent number to edge ids, the start edge first."""


class Trip(Part):
    """One agent's trip."""

    agent: int = Field(description="Number, from 0, in order.")
    start_edge: str = Field(description="Edge it departs on.")
    destination: str = Field(description="Junction it wants to reach.")
    departure: float = Field(description="Simulated seconds.")


class Background(Part):
    """A vehicle that nobody controls."""

    start_edge: str
    destination: str
    departure: float


class ScenarioPart(Part):
    """Who drives from where to where, and when."""

    format: Literal["leed-scenario"]
    version: Literal[1]
    map: str = Field(description="Name of the map.")
    seed: int = Field(description="What the trips were drawn from.")
    agents: list[Trip]
    background: list[Background]
