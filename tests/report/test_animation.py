"""`leed animate`: what plain SUMO drove, as an SVG that any browser plays."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.slow
def test_two_runs_beside_each_other(leed):
    assert leed("demo", "generate", "--model", "stand-in", "--agents", "4", "--out", "plan").code == 0
    assert leed("drive", "plan", "shortest-path", "--out", "sides").code == 0
    done = leed("animate", "Alone & first=sides/shortest-path", "plan", "--out", "both.svg", "--seconds", "8")
    assert done.code == 0, done.err
    root = ElementTree.parse("both.svg").getroot()  # noqa: S314 - written a moment ago
    assert len(root.findall(f".//{SVG}animateTransform")) == 8  # four cars, twice
    for moved in root.iter(f"{SVG}animateTransform"):
        times = [float(time) for time in moved.get("keyTimes", "").split(";")]
        assert len(times) == len(moved.get("values", "").split(";"))
        assert times == sorted(times)
        assert (times[0], times[-1]) == (0, 1)
    words = "".join(root.itertext())
    assert "Alone & first" in words
    assert "4 of 4 arrived" in words
    assert "OpenStreetMap" in words


def test_what_is_no_run_is_told(leed, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "run.sumocfg" in leed("animate", "empty").err
    assert leed("animate", "empty", "other/empty").code == 2
