"""Tests over seeds, Holm's correction, and ranks that are shared where rows can't be told apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from scipy.special import stdtr

from benchbench.statistics._sample import ROUNDING, Array, as_sample, spread_of
from benchbench.statistics.intervals import Interval, t_interval

Key = TypeVar("Key", bound=Hashable)


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
    rounding = ROUNDING * float(max(np.abs(first).max(), np.abs(second).max()))
    if spread <= rounding:
        return 1.0 if abs(mean) <= rounding else 0.0
    return float(2.0 * stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n))))


def equivalence_p_value(values: Sequence[float] | Array, margin: float, least_spread: float = 0.0) -> float:
    """Two one-sided t-tests that the true mean lies within ``±margin`` (Schuirmann 1987).

    The larger p-value of the two: that the mean is at most ``-margin``, and that it is at least ``margin``. It
    is below alpha exactly where the t interval of level ``1 - 2 alpha`` lies within ``±margin``.

    Args:
        values: One a seed, ``(n,)``: differences, in the unit of ``margin``.
        margin: Differences below this do not matter, above 0.
        least_spread: The standard deviation is taken to be at least this, as in :func:`t_interval`.

    Returns:
        The p-value in [0, 1], small where the mean is shown to lie within: NaN where n < 2; where all values are
        one number (and ``least_spread`` is zero), 0.0 if that lies within and 1.0 if not.

    Raises:
        ValueError: If ``margin`` is not above 0, or a value is not finite.
    """
    if not margin > 0:
        raise ValueError(f"equivalence: got margin {margin}, expected a number above 0")
    if len(values) < 2:
        return math.nan
    sample = as_sample(values)
    room, spread = margin - abs(float(sample.mean())), max(spread_of(sample), least_spread)
    rounding = ROUNDING * max(float(np.abs(sample).max()), margin)
    if spread <= rounding:
        return 0.0 if room > rounding else 1.0
    return float(stdtr(len(sample) - 1, -room / (spread / math.sqrt(len(sample)))))


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
    ranks = dict.fromkeys(scores, 1)
    for (first, second), difference in pairwise_differences(scores, least_spread).items():
        if difference.p_value <= alpha:  # NaN is not
            first_is_better = (difference.interval.mean > 0) is higher_is_better
            ranks[second if first_is_better else first] += 1
    return ranks


@dataclass(frozen=True)
class Difference:
    """One row minus another.

    Attributes:
        interval: Of the differences over the seeds that both have.
        p_value: Of the paired t-test, Holm-corrected over all pairs; NaN where there are fewer than two seeds.
    """

    interval: Interval
    p_value: float


def pairwise_differences(
    scores: Mapping[str, Sequence[float] | Array], least_spread: float = 0.0, level: float = 0.95
) -> dict[tuple[str, str], Difference]:
    """Every pair of rows compared by a paired t-test over the seeds both have.

    Args:
        scores: One value a seed for each row, aligned by seed; NaN where a row lacks that seed.
        least_spread: See :func:`paired_p_value`.
        level: Confidence of the intervals, which are not corrected, in (0, 1).

    Returns:
        By pair, in the order of ``scores``; pairs without a common seed are left out.

    Raises:
        ValueError: If rows have different lengths.
    """
    rows = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    if len({row.shape for row in rows.values()}) > 1:
        lengths = {name: len(row) for name, row in rows.items()}
        raise ValueError(f"ranks: got rows of different lengths {lengths}, expected one value (or NaN) a seed")
    tests: dict[tuple[str, str], float] = {}
    intervals: dict[tuple[str, str], Interval] = {}
    for first, second in combinations(rows, 2):
        both = np.isfinite(rows[first]) & np.isfinite(rows[second])
        if both.any():
            a, b = rows[first][both], rows[second][both]
            tests[first, second] = paired_p_value(a, b, least_spread)
            intervals[first, second] = t_interval(a - b, level, math.sqrt(2.0) * least_spread)
    return {pair: Difference(intervals[pair], p) for pair, p in holm(tests).items()}
