"""Figures over independent runs, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A mean over runs and its 95 % interval; low and high are None with a single run."""

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.low is None else f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"

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
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half)


def curve_with_interval(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high of curves of shape (runs, episodes), pointwise as in `mean_and_interval`."""
    mean = curves.mean(axis=0)
    if len(curves) < 2:
        return mean, mean, mean
    half = stats.t.ppf(0.975, len(curves) - 1) * curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
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
