"""docs/adding-an-algorithm.md: its code, used as the page says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from leed_agentic.runs.log import read_csv

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-an-algorithm.md"


@pytest.fixture
def own(leed, tmp_path, monkeypatch):
    """The command beside modules of one's own; gives what it said, and is content with nothing but exit code 0."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_module", "rings", "dtws"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(*words):
        done = leed(*words)
        assert done.code == 0, done.err
        return done.out

    return run


@pytest.mark.slow
def test_the_page_s_algorithm_trains_resumes_and_is_evaluated(own, leed, tmp_path):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len(code.splitlines()) < 60
    (tmp_path / "my_module.py").write_text(code)
    changed = ("-s", "learning.reinforce.baseline=false")
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
    words = ("train", "--algorithm", "my_module.Reinforce", *small, *changed, "--json", "--out")
    told = json.loads(own(*words, "whole", "--episodes", "4"))
    assert (told["algorithm"], told["source"]) == ("my_module.Reinforce", "none")
    named = ("-s", "learning.algorithm=my_module.Reinforce")
    own(*words, "parts", "--episodes", "2")
    run = tmp_path / "parts" / "run.json"
    run.write_text(run.read_text().replace('"episodes": 2', '"episodes": 4'))
    own("train", "--resume", "parts", "--algorithm", "my_module.Reinforce")
    assert (tmp_path / "parts" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()
    first = json.loads(own("evaluate", "whole", "--episodes", "1", *named, "--json"))["drivers"][0]
    assert first["driver"] == "my_module.Reinforce (sampled)"
    assert json.loads(own("policy", "export", "whole", "--agent", "1", *named, "--json"))["agent"] == 1
    rows = read_csv(tmp_path / "whole" / "metrics.csv")
    assert all(np.isfinite(float(row["gain"])) for row in rows)
    data = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert data["settings"]["learning"]["reinforce"] == {"baseline": False}
    assert [m["name"] for m in data["metrics"]] == ["gain"]
    for wrong, said in (
        ("learning.reinforce.base=1", "did you mean 'baseline'?"),
        ("learning.renforce.x=1", "reinforce"),
    ):
        done = leed(*words, "wrong", "-s", wrong)
        assert (done.code, said in done.err) == (2, True), done.err
    done = leed("evaluate", "whole")
    assert (done.code, "names code to run" in done.err) == (2, True)


SOURCE = """
from leed_agentic.errors import LeedError, UsageError
from leed_agentic.learning.sources import RouteSource

class Ring(RouteSource):
    name = "ring"

    def __init__(self, settings, env, folder):
        self.asked = 0

    def routes(self, env):
        self.asked += 1
        if self.asked == 2:
            raise LeedError("none today")
        if self.asked == 4:
            raise UsageError("This ring is broken; mend it.")
        return {t.agent: env.network.shortest_path(t.start_edge, t.destination) for t in env.scenario.agents}
"""


@pytest.mark.slow
def test_an_own_source_may_pass_or_end_the_run(own, leed, tmp_path):
    (tmp_path / "rings.py").write_text(SOURCE)
    small = ("--agents", "2", "--steps", "40", "--q", "1", "--source", "rings.Ring", "-s", "learning.dtw=dtws.none")
    (tmp_path / "dtws.py").write_text("def none(a, b):\n    return 0.0\n")
    told = json.loads(own("train", *small, "--episodes", "3", "--out", "three", "--json"))
    assert (told["source"], told["triggers"], told["source_failures"]) == ("ring", 3, 1)
    files = sorted(file.name for file in (tmp_path / "three" / "demonstrations").iterdir())
    assert files == ["000000.json", "000002.json"]
    assert {row["dtw_mean"] for row in read_csv(tmp_path / "three" / "metrics.csv")} == {"0.0"}
    done = leed("train", *small, "--episodes", "9", "--out", "nine")
    assert (done.code, done.out) == (2, "")
    assert "Error: This ring is broken; mend it." in done.err
    assert not (tmp_path / "nine" / "summary.json").exists()
