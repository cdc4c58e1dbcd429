"""Named suites are the same for everybody; those of the optional package are looked up without being imported."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.setting_groups import MapSettings
from leed_agentic.traffic.suites import SUITES, find_suite
from leed_agentic.traffic.trip_files import TripFile

PACKAGED = sorted(set(SUITES) - {"rush-berlin"})


@pytest.mark.slow
def test_the_drawn_suite_is_drawn_alike(tmp_path):
    net, demand = find_suite("rush-berlin").open(MapSettings(), tmp_path)
    trips = TripFile.gather([demand], net, tmp_path / "gathered")
    assert len(trips.trips) == 450
    assert 0 <= trips.first <= trips.last < 300


@pytest.mark.skipif(importlib.util.find_spec("sumo_rl") is None, reason="needs the extra suites")
@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_suites_are_what_they_were_frozen_with(name, tmp_path):
    net, demand = find_suite(name).open(MapSettings(), tmp_path)
    assert net.is_file()
    assert demand.is_file()
    assert "sumo_rl" not in sys.modules


@pytest.mark.parametrize("name", PACKAGED)
def test_without_the_package_one_sentence_says_how_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UnavailableError, match=r"leed-agentic\[suites\]"):
        find_suite(name).open(MapSettings(), tmp_path)


@pytest.mark.slow
def test_a_file_that_changed_is_refused(tmp_path):
    from dataclasses import replace

    with pytest.raises(UsageError, match="frozen"):
        replace(find_suite("rush-berlin"), sha256={"demand": "0" * 64}).open(MapSettings(), tmp_path)
    with pytest.raises(UsageError, match="did you mean 'nguyen'"):
        find_suite("nguyn")
