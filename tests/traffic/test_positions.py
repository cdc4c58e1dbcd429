"""Where SUMO had the vehicles: read, thinned, stored and read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.traffic import positions
from leed_agentic.traffic.positions import Positions, read_fcd

Driven = dict[str, tuple[int, list[tuple[int, int]]]]


def fcd(file: Path, driven: Driven, seconds: int, begin: float = 0.0) -> Path:
    """SUMO's file: of every vehicle the second it appears in, and where it is from then on."""
    lines = ["<fcd-export>"]
    for second in range(seconds):
        lines.append(f'<timestep time="{begin + second:.2f}">')
        for name, (first, places) in driven.items():
            if first <= second < first + len(places):
                x, y = places[second - first]
                lines.append(f'<vehicle id="{name}" x="{x}.20" y="{y}.00"/>')
        lines.append("</timestep>")
    file.write_text("\n".join([*lines, "</fcd-export>"]))
    return file


def places(track: list[int]) -> list[tuple[int, int]]:
    found = [(track[1], track[2])]
    for k in range(3, len(track), 2):
        found.append((found[-1][0] + track[k], found[-1][1] + track[k + 1]))
    return found


def test_places_of_every_second_in_whole_metres(tmp_path):
    driven: Driven = {"a": (0, [(0, 0), (5, 0), (12, -3)]), "b": (2, [(100, 100), (100, 90)])}
    found = read_fcd(fcd(tmp_path / "fcd.xml", driven, 5, begin=3600.0))
    assert (found.begin, found.period) == (3600.0, 1.0)
    assert found.vehicles == {"a": [0, 0, 0, 5, 0, 7, -3], "b": [2, 100, 100, 0, -10]}
    found.save(tmp_path / "positions.json")
    assert Positions.load(tmp_path / "positions.json") == found


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.tuples(st.integers(0, 6), st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=1)),
        min_size=1,
    ),
    st.integers(1, 30),
)
def test_a_thinned_track_has_the_places_of_its_samples(tmp_path_factory, driven, most):
    folder = tmp_path_factory.mktemp("fcd")
    seconds = max(first + len(track) for first, track in driven.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(positions, "MOST_POINTS", most)
        found = read_fcd(fcd(folder / "fcd.xml", driven, max(seconds, 2)))
    assert sum(len(places(track)) for track in found.vehicles.values()) <= most + len(driven)
    for name, track in found.vehicles.items():
        first, there = driven[name]
        every = int(found.period)
        expected = [there[k * every - first] for k in range(track[0], track[0] + len(places(track)))]
        assert places(track) == expected


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": "leed-positions", "version": 1, "begin": 0, "period": 0, "vehicles": {}}']
)
def test_a_damaged_file_is_one_sentence(tmp_path, text):
    file = tmp_path / "positions.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="positions"):
        Positions.load(file)


@pytest.mark.parametrize("track", [[0], [0, 1], [0, 1, "2"], [-1, 0, 0], [0, 1.5, 2], "abc", None])
def test_a_track_that_is_none_is_refused(tmp_path, track):
    head = {"format": "leed-positions", "version": 1, "begin": 0, "period": 1}
    (tmp_path / "positions.json").write_text(json.dumps({**head, "vehicles": {"a": track}}))
    with pytest.raises(UsageError, match="holds no places of vehicles"):
        Positions.load(tmp_path / "positions.json")


def test_nobody_drives(tmp_path):
    with pytest.raises(UsageError, match="Nobody drives"):
        read_fcd(fcd(tmp_path / "fcd.xml", {}, 3))
    (tmp_path / "odd.xml").write_text("<fcd-export><timestep/></fcd-export>")
    with pytest.raises(UsageError, match="cannot be read"):
        read_fcd(tmp_path / "odd.xml")
