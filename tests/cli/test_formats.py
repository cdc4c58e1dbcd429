"""The files of real runs are what docs/formats.md says, without a field more or less."""

from __future__ import annotations

import csv
import json
import runpy
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from leed_agentic.learning.metrics import columns
from leed_agentic.learning.run import TIMING, TRIGGERS
from leed_agentic.models.recording import shipped_recording
from tests.conftest import JUNCTION

FILES = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "generate.py"))["FILES"]


def model(name: str) -> TypeAdapter:
    return TypeAdapter(FILES[name][1])


def fits(name: str, text: str) -> None:
    """Strict: what is a number in the schema is one in the file. Settings take what a user writes, and are not."""
    model(name).validate_json(text, strict=name != "settings")


def calls_fit(file: Path) -> int:
    header, *calls = file.read_text(encoding="utf-8").splitlines()
    fits("calls_header", header)
    for call in calls:
        fits("call", call)
    return len(calls)


def lines_fit(name: str, file: Path) -> int:
    with file.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    for line in lines:
        model(name).validate_python(line)
    return len(lines)


@pytest.mark.slow
def test_a_run_of_the_graph(leed):
    assert leed("demo", "generate", "--model", "stand-in", "--agents", "3", "--seed", "1", "--out", "run").code == 0
    for name in ("settings", "demonstrations", "trajectories"):
        fits(name, Path("run", FILES[name][0]).read_text())
    fits("demonstration_summary", Path("run", "summary.json").read_text())
    assert calls_fit(Path("run", "calls.jsonl")) >= 1


def test_a_failed_call(leed, model_server):
    model_server.__exit__(None, None, None)
    words = ("--agents", "2", "--model", "openai:test", "--base-url", model_server.url, "-s", "model.retries=0")
    assert leed("demo", "generate", *words, "--out", "run").code == 3
    assert calls_fit(Path("run", "calls.jsonl")) == 1


@pytest.mark.slow
def test_a_training_run_and_its_evaluation(leed, trained):
    assert leed("evaluate", trained, "--episodes", "1").code == 0
    for name in ("run", "trajectories", "evaluation"):
        fits(name, (trained / FILES[name][0]).read_text())
    fits("settings", json.dumps(json.loads((trained / "run.json").read_text())["settings"]))
    fits("training_summary", (trained / "summary.json").read_text())
    for file in (trained / "demonstrations").iterdir():
        fits("demonstrations", file.read_text())
    assert (lines_fit("metrics", trained / "metrics.csv"), lines_fit("timing", trained / "timing.csv")) == (6, 6)
    assert lines_fit("triggers", trained / "triggers.csv") == 2


@pytest.mark.parametrize(("name", "columns"), [("metrics", columns(0)), ("timing", TIMING), ("triggers", TRIGGERS)])
def test_csv_columns_and_their_order(name, columns):
    assert list(model(name).json_schema()["properties"]) == columns


@pytest.mark.slow
def test_recordings_of_real_models():
    assert calls_fit(shipped_recording()) > 20
    assert calls_fit(JUNCTION) > 100


def test_a_field_nobody_described_is_refused():
    with pytest.raises(ValidationError, match="surprise"):
        model("timing").validate_python({"surprise": 1})
