"""What the files of a run hold, as pydantic models; docs/formats.md and docs/schemas/ are made from them."""

from __future__ import annotations

from pydantic import BaseModel

from leed_agentic.formats.calls import Call, CallsHeader
from leed_agentic.formats.demonstrations import DemonstrationsFile, DemonstrationSummary, TrajectoriesFile
from leed_agentic.formats.experiment import Manifest
from leed_agentic.formats.training import (
    EvaluationFile,
    MetricsLine,
    RunFile,
    TimingLine,
    TrainingSummary,
    TriggerLine,
)
from leed_agentic.settings import Settings

FILES: dict[str, tuple[str, type[BaseModel]]] = {
    "settings": ("settings.json", Settings),
    "demonstrations": ("demonstrations.json", DemonstrationsFile),
    "trajectories": ("trajectories.json", TrajectoriesFile),
    "demonstration_summary": ("summary.json of leed demo generate", DemonstrationSummary),
    "calls_header": ("calls.jsonl, first line", CallsHeader),
    "call": ("calls.jsonl, every further line", Call),
    "run": ("run.json", RunFile),
    "training_summary": ("summary.json of leed train", TrainingSummary),
    "metrics": ("metrics.csv, a line", MetricsLine),
    "timing": ("timing.csv, a line", TimingLine),
    "triggers": ("triggers.csv, a line", TriggerLine),
    "evaluation": ("evaluation.json", EvaluationFile),
    "manifest": ("manifest.json of an experiment", Manifest),
}
"""Name of the schema to the file it describes and its model."""
