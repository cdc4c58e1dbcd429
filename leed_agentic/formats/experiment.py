"""What an experiment says of its own making; its tables and curves are CSV with a heading."""

from __future__ import annotations

from pydantic import Field

from leed_agentic.formats.part import Part, Versions


class ExperimentRun(Part):
    """One run of the experiment."""

    map: str
    seed: int
    folder: str = Field(description="Below runs/.")
    arm: str = Field("", description="What it stands for; table2 has no arms.")
    agents: int = Field(0, description="table2 leaves it out.")


class Manifest(Part):
    """The command and all that it was made of; table2 leaves out what is about training."""

    experiment: str
    question: str
    command: str
    versions: Versions
    python: str
    versions_of_runs: list[Versions] = Field([], description="Of runs made at other times.")
    seeds: list[int]
    runs: list[ExperimentRun]
    references: list[str] = Field([], description="Folders of the drivers that learn nothing.")
    failed: dict[str, str] = Field(description="Run to the sentence of its failure.")
