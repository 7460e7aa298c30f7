"""Intervals: of a mean over seeds, of a proportion, of a rank correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtri

from benchbench.statistics._sample import Array, as_sample, check_level, half_width, spread_of


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, in the unit of the values.

    Attributes:
        mean: Of the n values; of other estimates than means, the estimate.
        low: Lower end; NaN where n is too small for one (1 for a mean).
        high: Upper end; NaN likewise.
        n: How many values.
        level: Confidence level, in (0, 1).
    """

    mean: float
    low: float
    high: float
    n: int
    level: float

    @property
    def half_width(self) -> float:
        """Half the interval's length, of a mean's the number after ±; NaN where there are no ends."""
        return (self.high - self.low) / 2


def rounding_spread(step: float) -> float:
    """Standard deviation of the error of a value known to the nearest multiple of ``step``: ``step / sqrt(12)``.

    An accuracy on n images is a multiple of 1/n. On few seeds it may come out the same each time, or two
    rows may differ by the same number of images each time; a spread of zero would then claim a certainty
    that n images can't give. This is the least spread such values can be said to have.
    """
    return step / math.sqrt(12.0)


def t_interval(values: Sequence[float] | Array, level: float = 0.95, least_spread: float = 0.0) -> Interval:
    """Mean and Student t interval: ``mean ± t(n-1, (1+level)/2) s / sqrt(n)`` (Student 1908).

    Args:
        values: One a seed, ``(n,)``, taken for independent draws of a roughly normal variable.
        level: Confidence level, in (0, 1).
        least_spread: The standard deviation is taken to be at least this (see :func:`rounding_spread`).

    Returns:
        The interval; its ends are NaN where n = 1 and equal the mean where all values are one.

    Raises:
        ValueError: If there is no value, one is not finite, or ``level`` is out of its range.
    """
    sample = as_sample(values)
    check_level(level)
    mean, n = float(sample.mean()), len(sample)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, level)
    half = half_width(max(spread_of(sample), least_spread), n, level)
    return Interval(mean, mean - half, mean + half, n, level)


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """A proportion with the exact interval of Clopper & Pearson (1934).

    The ends are the proportions at which so many successes or more, or so many or fewer, have probability
    ``(1 - level) / 2``. It covers at least as often as ``level`` says, whatever n and the proportion.

    Args:
        successes: How many of n, in ``0..n``.
        n: How many independent trials, at least 1.
        level: Confidence level, in (0, 1).

    Returns:
        ``successes / n`` and the interval, in [0, 1].

    Raises:
        ValueError: If ``n`` is below 1, or ``successes`` or ``level`` is out of its range.
    """
    check_level(level)
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"proportion: got {successes} of {n}, expected 0 to n of at least 1")
    tail = (1.0 - level) / 2.0
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1.0 - tail))
    return Interval(successes / n, low, high, n, level)


def rank_correlation(x: Sequence[float] | Array, y: Sequence[float] | Array, level: float = 0.95) -> Interval:
    """Spearman's rank correlation; ties get their average rank.

    The interval is Fisher's z with the variance ``(1 + rho^2 / 2) / (n - 3)`` of Bonett & Wright (2000).
    Of a perfect correlation, whose z is infinite, the z of one half a step below it is taken. Measured on
    8,000 bivariate normal samples each, 95 % intervals cover 99 % or more at n = 4, 96 to 99 % at n = 5 to 7
    and 94 to 97 % from n = 8 to 50; for correlations above 0.9 as few as 92 %.

    Args:
        x: ``(n,)``.
        y: ``(n,)``, in the same order.
        level: Confidence level, in (0, 1).

    Returns:
        The correlation and its interval, in [-1, 1]. The ends are NaN where n < 4; all is NaN where ``x`` or
        ``y`` is constant.

    Raises:
        ValueError: If lengths differ, there is no value, one is not finite, or ``level`` is out of its range.
    """
    check_level(level)
    first, second = as_sample(x), as_sample(y)
    if len(first) != len(second):
        raise ValueError(f"rank correlation: got {len(first)} and {len(second)} values, expected pairs")
    n = len(first)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Interval(math.nan, math.nan, math.nan, n, level)
    from scipy.stats import rankdata  # a second that no cell should pay for

    a, b = 2.0 * rankdata(first) - (n + 1), 2.0 * rankdata(second) - (n + 1)  # whole numbers: no rounding below
    rho = float(a @ b / math.sqrt(float(a @ a) * float(b @ b)))
    if n < 4:
        return Interval(rho, math.nan, math.nan, n, level)
    most = 1.0 - 6.0 / (n * (n * n - 1.0))  # halfway between 1 and the next correlation that n ranks can have
    inner = min(max(rho, -most), most)
    half = float(ndtri((1.0 + level) / 2.0)) * math.sqrt((1.0 + inner**2 / 2.0) / (n - 3))
    low, high = math.tanh(math.atanh(inner) - half), math.tanh(math.atanh(inner) + half)
    return Interval(rho, min(low, rho), max(high, rho), n, level)
