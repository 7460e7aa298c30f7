"""Uncertainty over seeds: intervals, paired tests, Holm's correction and shared ranks. Float64, no torch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

Array = npt.NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

# Nobody runs more seeds than this; a need beyond it is reported as this number.
MOST_SEEDS = 1000

# A spread below so many times the rounding of the numbers themselves is rounding, not spread.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval, in the unit of the values.

    Attributes:
        mean: Of the n values.
        low: Lower end; NaN where n = 1.
        high: Upper end; NaN where n = 1.
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
        """Half the interval's length: the number after ±; NaN where n = 1."""
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
    sample = _finite(values)
    _check_level(level)
    mean, n = float(sample.mean()), len(sample)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, level)
    half = _half_width(max(_spread(sample), least_spread), n, level)
    return Interval(mean, mean - half, mean + half, n, level)


def paired_p_value(a: Sequence[float] | Array, b: Sequence[float] | Array, least_spread: float = 0.0) -> float:
    """Two-sided paired t-test of equal means.

    Args:
        a: One value a seed, ``(n,)``.
        b: The values of the same seeds, in the same order.
        least_spread: The standard deviation of a single value is taken to be at least this, that of a
            difference at least ``sqrt(2)`` times as much.

    Returns:
        The p-value in [0, 1]: NaN where n < 2; where all differences are one number (and ``least_spread`` is
        zero), 1.0 if that is zero and 0.0 if not.

    Raises:
        ValueError: If lengths differ or a value is not finite.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"paired test: got {first.shape} and {second.shape} values, expected one pair a seed")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("paired test: got NaN or infinite values; leave such seeds out of both")
    n = len(first)
    if n < 2:
        return math.nan
    difference = first - second
    mean, spread = float(difference.mean()), max(float(difference.std(ddof=1)), math.sqrt(2.0) * least_spread)
    rounding = _ROUNDING * float(max(np.abs(first).max(), np.abs(second).max()))
    if spread <= rounding:
        return 1.0 if abs(mean) <= rounding else 0.0
    return float(2.0 * stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n))))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p-values by the step-down method of Holm (1979).

    With the m p-values in ascending order, ``adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j))``.
    Rejecting what is at most alpha keeps the probability of any false rejection at or below alpha,
    whatever the dependence between the tests.

    Args:
        p_values: By test. A NaN is a test that could not be made: it stays NaN and does not count in m.

    Returns:
        The adjusted values, in the order of ``p_values``.

    Raises:
        ValueError: If a value is outside [0, 1].
    """
    wrong = {key: p for key, p in p_values.items() if not (math.isnan(p) or 0.0 <= p <= 1.0)}
    if wrong:
        raise ValueError(f"Holm's correction: got {wrong}, expected p-values in [0, 1] or NaN")
    made = sorted((key for key, p in p_values.items() if not math.isnan(p)), key=lambda key: p_values[key])
    adjusted = dict.fromkeys(p_values, math.nan)
    running = 0.0
    for position, key in enumerate(made):
        running = max(running, min(1.0, (len(made) - position) * p_values[key]))
        adjusted[key] = running
    return adjusted


def tie_ranks(
    scores: Mapping[str, Sequence[float] | Array],
    higher_is_better: bool,
    alpha: float = 0.05,
    least_spread: float = 0.0,
) -> dict[str, int]:
    """Ranks in which rows that cannot be told apart are not told apart.

    Every pair of rows is compared by a paired t-test over the seeds both have, and all these tests are
    Holm-corrected together. A row's rank is 1 plus the number of rows significantly better than it.

    Properties:
        * The probability that any pair of truly equal rows is told apart is at most ``alpha``.
        * A row that nothing beats has rank 1; several may. Where no seed is missing, the row with the best
          mean is always among them.
        * "Cannot be told apart" is not transitive: A may tie with B, and B with C, while A beats C. Two
          rows of one rank are therefore not proven equal, and ranks may have gaps.
        * A row with fewer than two seeds in common with every other is never beaten and beats nobody.
        * Neither the order of rows nor that of seeds (one order for all rows) matters.

    Args:
        scores: One value a seed for each row, aligned by seed; NaN where a row lacks that seed.
        higher_is_better: Which way is better.
        alpha: Probability of a false difference, over all pairs together.
        least_spread: See :func:`paired_p_value`.

    Returns:
        Rank by row, 1 the best.

    Raises:
        ValueError: If rows have different lengths.
    """
    rows = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    if len({row.shape for row in rows.values()}) > 1:
        lengths = {name: len(row) for name, row in rows.items()}
        raise ValueError(f"ranks: got rows of different lengths {lengths}, expected one value (or NaN) a seed")
    tests: dict[tuple[str, str], float] = {}
    advantage: dict[tuple[str, str], float] = {}
    for first, second in combinations(rows, 2):
        both = np.isfinite(rows[first]) & np.isfinite(rows[second])
        a, b = rows[first][both], rows[second][both]
        tests[first, second] = paired_p_value(a, b, least_spread)
        advantage[first, second] = float((a - b).sum()) * (1.0 if higher_is_better else -1.0)
    ranks = dict.fromkeys(rows, 1)
    for pair, p in holm(tests).items():
        if p <= alpha:  # NaN is not
            ranks[pair[1] if advantage[pair] > 0 else pair[0]] += 1
    return ranks


def seeds_needed(
    values: Sequence[float] | Array,
    margin: float,
    level: float = 0.95,
    most: int = MOST_SEEDS,
    least_spread: float = 0.0,
) -> int | None:
    """About how many more seeds until the interval is ``mean ± margin`` or narrower.

    Takes the present standard deviation for the true one, which on few seeds it is not: a guide for
    planning, not a promise.

    Args:
        values: One a seed, ``(n,)``.
        margin: Wanted half-width, in the unit of the values, above 0.
        level: Confidence level, in (0, 1).
        most: The largest number given.
        least_spread: The standard deviation is taken to be at least this.

    Returns:
        Additional seeds in ``0..most``; None where n < 2, since nothing is known of the spread.

    Raises:
        ValueError: If ``margin`` is not above 0, a value is not finite, or ``level`` is out of its range.
    """
    if not margin > 0:
        raise ValueError(f"seeds needed: got margin {margin}, expected a number above 0")
    _check_level(level)
    if len(values) < 2:
        return None
    sample = _finite(values)
    spread, n = max(_spread(sample), least_spread), len(sample)
    for more in range(most):
        if _half_width(spread, n + more, level) <= margin:
            return more
    return most


def _finite(values: Sequence[float] | Array) -> Array:
    """``values`` as a float64 vector of at least one finite number."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) == 0 or not np.isfinite(sample).all():
        raise ValueError(f"interval: got {sample.tolist()}, expected at least one value, all finite")
    return sample


def _spread(sample: Array) -> float:
    """Unbiased standard deviation, exactly zero for identical values (whose computed mean may be off by rounding)."""
    return 0.0 if np.ptp(sample) == 0 else float(sample.std(ddof=1))


def _half_width(spread: float, n: int, level: float) -> float:
    """``t(n-1, (1+level)/2) s / sqrt(n)``, n >= 2."""
    return float(stdtrit(n - 1, (1.0 + level) / 2.0)) * spread / math.sqrt(n)


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"interval: got level {level}, expected one in (0, 1)")
