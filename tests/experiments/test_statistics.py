"""Means, intervals and falls against figures worked out by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from leed_agentic.experiments.statistics import (
    Estimate,
    improvement,
    improvement_and_interval,
    interquartile_mean,
    iqm_and_interval,
    iqm_curve,
    mean_and_interval,
    normalised,
    share_and_interval,
    smoothed,
    worst_fall,
)


def test_t_interval_by_hand():
    # 1, 2, 3: mean 2, deviation 1, t(0.975, 2) = 4.3027, half width 4.3027 / sqrt(3).
    found = mean_and_interval(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2.0 - 2.4841, 2.0 + 2.4841), abs=1e-3)


def test_one_run_has_no_interval():
    found = mean_and_interval(np.array([5.0]))
    assert (found.mean, found.low, found.high, str(found)) == (5.0, None, None, "5.0")
    assert not found.above(found)


def test_wilson_interval_by_hand():
    # 3 of 10, z = 1.96: (0.3 + 0.19207) / 1.38415 = 0.35551, less and more 1.96 * 0.17494 / 1.38415 = 0.24772.
    found = share_and_interval(np.array([1.0] * 3 + [0.0] * 7))
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.10779, 0.60322), abs=1e-4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_intervals_of_shares_stay_inside_0_and_1_and_are_never_of_width_zero(shares):
    found = share_and_interval(np.array(shares))
    if len(shares) == 1:
        assert (found.low, found.high) == (None, None)
    else:
        assert 0 <= found.low <= found.mean <= found.high <= 1
        assert found.high - found.low > 0.05


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


def test_interquartile_mean_by_hand():
    # A quarter of eight is two at either end: (3 + 4 + 5 + 6) / 4, whatever the extremes are.
    assert interquartile_mean(np.array([1.0, 2, 3, 4, 5, 6, 7, 800])) == 4.5
    # Five values lose one at either end, two maps are pooled.
    assert interquartile_mean(np.array([9.0, 1, 2, 3, -50])) == 2.0
    assert interquartile_mean(np.array([[0.0, 10], [1, 11], [2, 12], [3, 13]])) == (2 + 3 + 10 + 11) / 4


def test_bootstrap_against_all_resamples_there_are():
    scores = np.array([3.0, 1.0, 4.0, 15.0, 9.0])
    every = [interquartile_mean(scores[list(draw)]) for draw in product(range(5), repeat=5)]
    found = iqm_and_interval(scores)
    assert found.mean == interquartile_mean(scores)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(every, (0.025, 0.975))), abs=0.35)


def test_bootstrap_draws_within_each_map():
    # The runs of a map are equal: whatever is drawn within it is the same, so the interval has no width.
    found = iqm_and_interval(np.array([[0.0, 100.0]] * 4))
    assert (found.mean, found.low, found.high) == (50.0, 50.0, 50.0)


def test_bootstrap_is_deterministic():
    scores = np.random.default_rng(0).normal(size=(5, 2))
    assert iqm_and_interval(scores) == iqm_and_interval(scores)
    assert improvement_and_interval(scores, scores + 0.3) == improvement_and_interval(scores, scores + 0.3)


def test_probability_of_improvement_by_hand():
    # Pairs (2, 1), (2, 3), (4, 1), (4, 3): three of four; a tie counts half.
    assert improvement(np.array([2.0, 4.0]), np.array([1.0, 3.0])) == 0.75
    assert improvement(np.array([1.0]), np.array([1.0, 0.0])) == 0.75
    # Mean over maps: always better on the first, never on the second.
    assert improvement(np.array([[2.0, 0], [2, 0]]), np.array([[1.0, 1], [1, 1]])) == 0.5
    certain = improvement_and_interval(np.array([5.0, 6.0, 7.0]), np.array([1.0, 2.0, 3.0]))
    assert (certain.mean, certain.low, certain.high) == (1.0, 1.0, 1.0)
    assert improvement_and_interval(np.array([5.0]), np.array([1.0, 2.0])) == Estimate(1.0, None, None)


def test_one_run_has_no_bootstrap_interval_either():
    assert iqm_and_interval(np.array([[1.0, 3.0]])) == Estimate(2.0, None, None)
    middle, low, high = iqm_curve(np.array([[1.0, 2.0]]))
    assert (middle.tolist(), low, high) == ([1.0, 2.0], None, None)


def test_curves_are_resampled_as_whole_runs():
    middle, low, high = iqm_curve(np.array([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]]))
    assert middle.tolist() == [1.0, 11.0]
    assert low is not None
    assert high is not None
    assert (low.tolist(), high.tolist()) == ([0.0, 10.0], [2.0, 12.0])


def test_normalised_scores():
    found = normalised(np.array([5.0, -10.0, 3.0]), np.array([0.0, 0.0, 3.0]), np.array([10.0, 10.0, 3.0]))
    assert found[:2].tolist() == [0.5, -1.0]
    assert np.isnan(found[2])
