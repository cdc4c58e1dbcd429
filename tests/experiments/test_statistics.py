"""Means, intervals and falls against figures worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from leed_agentic.experiments.statistics import mean_and_interval, smoothed, worst_fall


def test_t_interval_by_hand():
    # 1, 2, 3: mean 2, deviation 1, t(0.975, 2) = 4.3027, half width 4.3027 / sqrt(3).
    found = mean_and_interval(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2.0 - 2.4841, 2.0 + 2.4841), abs=1e-3)


def test_one_run_has_no_interval():
    found = mean_and_interval(np.array([5.0]))
    assert (found.mean, found.low, found.high, str(found)) == (5.0, None, None, "5.0")
    assert not found.above(found)


def test_apart_means_wholly_above():
    high, low = mean_and_interval(np.array([9.0, 10.0, 11.0])), mean_and_interval(np.array([1.0, 2.0, 3.0]))
    assert high.above(low)
    assert not low.above(high)


@given(arrays(np.float64, (2, 12), elements=st.floats(-100, 100)), st.integers(1, 20))
def test_smoothing_is_the_mean_of_what_came_before(curves, window):
    found = smoothed(curves, window)
    for end in range(12):
        expected = curves[:, max(0, end + 1 - window) : end + 1].mean(axis=1)
        assert found[:, end] == pytest.approx(expected, abs=1e-9)


def test_fall_from_the_best_stretch():
    rising, collapsing = np.arange(10.0), np.array([0, 0, 10, 10, 10, 10, 5, 5, 4, 4.0])
    assert worst_fall(np.stack([rising, collapsing]), window=2).tolist() == [0.0, 0.6]
