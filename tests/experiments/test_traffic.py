"""Fleets that learn in traffic, beside what was demonstrated to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leed_agentic.experiments import experiments
from tests.experiments.conftest import TINY

SMALL = ("--agents", "2", "-s", "scenario.background=2", *TINY)


@pytest.mark.long
def test_a_fleet_stands_beside_its_demonstrations(experiment, monkeypatch):
    monkeypatch.setitem(experiments._items, "traffic", replace(experiments.get("traffic"), test_episodes=2))
    found = experiment("traffic", "--arm", "shortest path", "--arm", "ippo", "--seeds", "1", *SMALL)
    assert found.code == 0
    shown, alone = (row.get("figures", row) for row in found.told["rows"])
    assert shown["test_time"]["mean"] > 0
    assert shown["plan_time"]["mean"] > 0
    assert shown["time_ratio"]["mean"] == shown["test_time"]["mean"] / shown["plan_time"]["mean"]
    # Nobody demonstrated anything to it.
    assert alone["plan_time"] is None
    assert alone["test_time"]["mean"] > 0
    figure = next(name for name in found.told["files"] if name.endswith("figure.csv"))
    with open(figure, encoding="utf-8") as file:
        text = file.read()
    assert "shortest path" in text
    assert "ippo" not in text
