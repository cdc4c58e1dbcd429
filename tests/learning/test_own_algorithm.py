"""docs/adding-an-algorithm.md: its code, used as the page says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-an-algorithm.md"
LEED = [sys.executable, "-m", "leed_agentic.cli.main"]


def leed(folder, *words):
    return subprocess.run([*LEED, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_page_s_algorithm_trains_resumes_and_is_evaluated(tmp_path):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len(code.splitlines()) < 70
    (tmp_path / "my_module.py").write_text(code)
    small = (
        "--agents",
        "3",
        "--steps",
        "40",
        "-s",
        "learning.checkpoint_every=2",
        "-s",
        "learning.learning_rate=0.003",
    )
    words = ("train", "--algorithm", "my_module.Reinforce", *small, "--json", "--out")
    told = json.loads(leed(tmp_path, *words, "whole", "--episodes", "4"))
    assert (told["algorithm"], told["source"]) == ("my_module.Reinforce", "none")
    leed(tmp_path, *words, "parts", "--episodes", "2")
    run = tmp_path / "parts" / "run.json"
    run.write_text(run.read_text().replace('"episodes": 2', '"episodes": 4'))
    leed(tmp_path, "train", "--resume", "parts")
    assert (tmp_path / "parts" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()
    first = json.loads(leed(tmp_path, "evaluate", "whole", "--episodes", "1", "--json"))["drivers"][0]
    assert first["driver"] == "my_module.Reinforce (sampled)"
    assert json.loads(leed(tmp_path, "policy", "export", "whole", "--agent", "1", "--json"))["agent"] == 1
