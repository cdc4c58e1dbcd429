"""Figures over independent runs, with intervals; a single run has no interval (None), never one of width zero.

Interquartile mean, stratified bootstrap and probability of improvement follow Agarwal et al. 2021 (Deep Reinforcement
Learning at the Edge of the Statistical Precipice); their package rliable does not run with today's pandas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

REPETITIONS = 2000
"""Resamplings of a bootstrap."""
BOOTSTRAP_SEED = 20210830
"""The same figures give the same interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure over runs and its 95 % interval; low and high are None with a single run."""

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return self.to(1)

    def to(self, digits: int) -> str:
        """With so many digits behind the point."""
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def above(self, other: Estimate) -> bool:
        """Whether this interval lies wholly above the other."""
        return self.low is not None and other.high is not None and self.low > other.high


def mean_and_interval(values: np.ndarray, level: float = 0.95) -> Estimate:
    """Mean of one value per run, with Student's t interval.

    With five runs a bootstrap of the mean is too narrow (it resamples five values); the t interval allows for the
    unknown deviation.
    """
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, None, None)
    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half)


def share_and_interval(shares: np.ndarray, level: float = 0.95) -> Estimate:
    """Mean of one share per run, with Wilson's interval for so many runs (`wilson`)."""
    shares = np.asarray(shares, dtype=np.float64)
    mean, runs = float(shares.mean()), len(shares)
    if runs < 2:
        return Estimate(mean, None, None)
    low, high = wilson(mean, runs, level)
    return Estimate(mean, float(low), float(high))


def wilson(mean: Any, runs: int, level: float = 0.95) -> tuple[Any, Any]:
    """Ends of Wilson's interval of mean shares (a number or an array); it lies inside [0, 1].

    A t interval would have width zero where all runs have the same share, as with a model that never gets a route
    right. Shares vary at most as much as outcomes that are 0 or 1, which Wilson's interval is made for: it is wide
    enough.
    """
    z = float(ndtri((1 + level) / 2))
    middle = (mean + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * np.sqrt(mean * (1 - mean) / runs + (z / (2 * runs)) ** 2) / (1 + z * z / runs)
    # At 0 and 1 a rounding error could put the mean outside.
    return np.clip(np.minimum(middle - half, mean), 0.0, 1.0), np.clip(np.maximum(middle + half, mean), 0.0, 1.0)


def curve_with_interval(curves: np.ndarray, share: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high of curves of shape (runs, episodes), pointwise as in `mean_and_interval`; of shares as in
    `share_and_interval`."""
    mean = curves.mean(axis=0)
    if len(curves) < 2:
        return mean, mean, mean
    if share:
        return mean, *wilson(mean, len(curves))
    half = stdtrit(len(curves) - 1, 0.975) * curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
    return mean, mean - half, mean + half


def smoothed(curves: np.ndarray, window: int) -> np.ndarray:
    """Trailing mean over up to `window` episodes, shape unchanged."""
    sums = np.cumsum(np.pad(curves, ((0, 0), (1, 0))), axis=1)
    ends = np.arange(1, curves.shape[1] + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[:, ends] - sums[:, starts]) / (ends - starts)


def worst_fall(curves: np.ndarray, window: int = 100) -> np.ndarray:
    """How far each run's last `window` episodes lie below its best `window` in a row, as a share of the best."""
    window = min(window, curves.shape[1])
    means = smoothed(curves, window)[:, window - 1 :]
    best = means.max(axis=1)
    return (best - means[:, -1]) / np.maximum(np.abs(best), 1e-9)


# -- robust figures ----------------------------------------------------------------------------------------------------
def interquartile_mean(scores: np.ndarray) -> float:
    """Mean of the middle half of all values: a quarter of them, rounded down, is cut off at either end."""
    return float(_middle_half(np.asarray(scores, dtype=np.float64).ravel(), 0))


def _middle_half(values: np.ndarray, axis: int) -> np.ndarray:
    # As scipy.stats.trim_mean does it, which takes 0.7 s of processor time to import.
    values = np.moveaxis(values, axis, 0)
    cut = len(values) // 4
    return np.partition(values, (cut, len(values) - cut - 1), axis=0)[cut : len(values) - cut].mean(axis=0)


def iqm_and_interval(scores: np.ndarray, level: float = 0.95) -> Estimate:
    """Interquartile mean of scores of shape (runs,) or (runs, tasks), with a stratified bootstrap interval.

    Runs are drawn with replacement within each task, and all tasks' scores are pooled: a task counts as much as it
    has runs. The interval is that of the percentiles.
    """
    scores = _by_task(scores)
    resampled = scores[_draws(len(scores), scores.shape[1]), np.arange(scores.shape[1])]
    pooled = resampled.reshape(REPETITIONS, -1)
    return _estimate(interquartile_mean(scores), _middle_half(pooled, 1), len(scores), level)


def iqm_curve(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Interquartile mean, low and high of curves of shape (runs, points), pointwise; no interval with a single run."""
    middle = _middle_half(curves, 0)
    if len(curves) < 2:
        return middle, None, None
    drawn = curves[_draws(len(curves), 1)[:, :, 0]]
    low, high = np.percentile(_middle_half(drawn, 1), (2.5, 97.5), axis=0)
    return middle, low, high


def improvement(x: np.ndarray, y: np.ndarray) -> float:
    """P(X > Y): the share of pairs of runs in which x is better, a tie counting half, mean over tasks.

    Args:
        x: scores of shape (runs,) or (runs, tasks).
        y: likewise; the numbers of runs may differ.
    """
    x, y = _by_task(x), _by_task(y)
    wins = np.sign(x[:, None, :] - y[None, :, :])
    return float((wins.mean(axis=(0, 1)) + 1).mean() / 2)


def improvement_and_interval(x: np.ndarray, y: np.ndarray, level: float = 0.95) -> Estimate:
    """`improvement` with a stratified bootstrap interval: both sides' runs are drawn anew within each task."""
    x, y = _by_task(x), _by_task(y)
    tasks = np.arange(x.shape[1])
    # Two generators: the same draws for both would tie x to y.
    drawn_x, drawn_y = x[_draws(len(x), len(tasks)), tasks], y[_draws(len(y), len(tasks), 1), tasks]
    wins = np.sign(drawn_x[:, :, None, :] - drawn_y[:, None, :, :])
    resampled = (wins.mean(axis=(1, 2)) + 1).mean(axis=1) / 2
    return _estimate(improvement(x, y), resampled, min(len(x), len(y)), level)


def normalised(scores: np.ndarray, zero: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Scores on a scale where `zero` (random driving) is 0 and `one` (the shortest path) is 1; NaN where they tie."""
    span = np.asarray(one, dtype=np.float64) - zero
    return np.divide(scores - zero, span, out=np.full(np.shape(scores), np.nan), where=span != 0)


def _by_task(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    return scores[:, None] if scores.ndim == 1 else scores


def _draws(runs: int, tasks: int, stream: int = 0) -> np.ndarray:
    """Indices of runs, shape (repetitions, runs, tasks)."""
    generator = np.random.default_rng([BOOTSTRAP_SEED, stream])
    return generator.integers(0, runs, size=(REPETITIONS, runs, tasks))


def _estimate(value: float, resampled: np.ndarray, runs: int, level: float) -> Estimate:
    if runs < 2:
        return Estimate(value, None, None)
    low, high = np.quantile(resampled, ((1 - level) / 2, (1 + level) / 2))
    return Estimate(value, float(low), float(high))
