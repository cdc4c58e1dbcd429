"""When vehicles are where, and where expert and agent part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.report.drives import entry_times, parting

seconds = st.floats(0.1, 200, allow_nan=False)


@given(st.lists(seconds, min_size=1, max_size=20), st.data(), st.floats(0, 60), st.floats(0, 2000), st.booleans())
def test_times_never_go_back_and_keep_departure_and_arrival(travel_times, data, departure, driven, arrived):
    decided = sorted(data.draw(st.lists(st.floats(0, 2000), max_size=len(travel_times))))
    times = entry_times(decided, travel_times, departure, departure + driven, arrived)
    assert len(times) == len(travel_times) + 1
    assert times == sorted(times)
    assert times[0] == departure
    assert times[-1] <= departure + driven
    if arrived:
        assert times[-1] == departure + driven


def test_nobody_is_faster_than_the_speed_limit():
    # Decided for all edges at once, ten seconds each, arrival after 60: the wait is on the last edge.
    assert entry_times([0, 0, 0], [10, 10, 10], 0, 60, True) == [0, 10, 20, 60]
    # Held up in front of the second edge.
    assert entry_times([0, 40, 40], [10, 10, 10], 0, 60, True) == [0, 40, 50, 60]
    # Asked ahead, in front of the arrival.
    assert entry_times([0, 55, 58], [10, 10, 10], 0, 60, True) == [0, 40, 50, 60]


def test_a_vehicle_that_did_not_arrive_stands_at_the_end_of_its_last_edge():
    assert entry_times([0, 5], [10, 10], 0, 1000, False) == [0, 10, 20]
    assert entry_times([0, 5], [10, 10], 0, 15, False) == [0, 10, 15]


def test_parting():
    assert parting("abcd", "abxy") == 2
    assert parting("abcd", "xbcd") == 0
    assert parting("abcd", "ab") is None
    assert parting("abcd", "abcd") is None
