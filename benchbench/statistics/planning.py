"""How many seeds a finding takes: power, precision, and the way to a decision."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.special import gammainc, gammaln, nctdtr, ndtr

from benchbench.statistics._sample import Array, as_sample, check_level, half_width, quantile, spread_of

# Nobody runs more seeds than this; a need beyond it is reported as this number.
MOST_SEEDS = 1000

# Beyond this noncentrality the mean found is the true one, to a relative 1e-4.
_FAR = 1e4

# Points of Gauss and Legendre over [-1, 1], for integrals over the distribution of a standard deviation.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


def power(effect: float, spread: float, n: int, alpha: float = 0.05) -> float:
    """Probability that a two-sided one-sample (or paired) t-test finds a true mean of ``effect``.

    ``P(|T| > t(n-1, 1 - alpha/2))``, where T has the noncentral t distribution with n - 1 degrees of freedom
    and noncentrality ``sqrt(n) effect / spread``.

    Args:
        effect: True mean (of a paired test, of the differences); its sign does not matter.
        spread: True standard deviation, at least 0, in the same unit.
        n: Seeds; below 2 no test can be made, and the power is 0.
        alpha: Probability of finding an effect of zero, in (0, 1).

    Returns:
        In [0, 1]. Where ``spread`` is zero, 1.0, and 0.0 for an effect of zero.

    Raises:
        ValueError: If ``effect`` or ``spread`` is not finite, ``spread`` is negative, or ``alpha`` is out of its range.
    """
    check_level(1.0 - alpha)
    if not (math.isfinite(effect) and 0.0 <= spread < math.inf):
        raise ValueError(f"power: got effect {effect} and spread {spread}, expected finite numbers, no negative spread")
    if n < 2:
        return 0.0
    if spread == 0.0:
        return 1.0 if effect else 0.0
    return _power(abs(effect) / spread, n, quantile(n, 1.0 - alpha))


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
    check_level(level)
    if len(values) < 2:
        return None
    sample = as_sample(values)
    spread, n = max(spread_of(sample), least_spread), len(sample)
    return _fewest(lambda more: half_width(spread, n + more, level) <= margin, most)


def replicates_needed(
    values: Sequence[float] | Array,
    effect: float,
    level: float = 0.95,
    power: float = 0.8,
    most: int = MOST_SEEDS,
    least_spread: float = 0.0,
) -> int | None:
    """About how many more seeds until a true mean of ``effect`` is found: the interval leaves out zero.

    Asks for power (see :func:`power`), where :func:`seeds_needed` asks for precision: an interval of half-width
    ``effect`` leaves out zero only every other time. Takes the present standard deviation for the true one;
    the values' mean plays no part.

    Args:
        values: One a seed, ``(n,)``.
        effect: The true mean to be found, in the unit of the values, not 0.
        level: Confidence level of the interval, in (0, 1).
        power: Probability of finding it, in (0, 1).
        most: The largest number given.
        least_spread: The standard deviation is taken to be at least this.

    Returns:
        Additional seeds in ``0..most``; None where n < 2.

    Raises:
        ValueError: If ``effect`` is zero or not finite, a value is not finite, or ``level`` or ``power`` is out
            of its range.
    """
    if effect == 0 or not math.isfinite(effect):
        raise ValueError(f"replicates needed: got effect {effect}, expected a finite number other than 0")
    check_level(level)
    _check_power(power)
    if len(values) < 2:
        return None
    sample = as_sample(values)
    spread, n = max(spread_of(sample), least_spread), len(sample)
    if spread == 0.0:
        return 0
    effect = abs(effect) / spread
    return _fewest(lambda more: _power(effect, n + more, quantile(n + more, level)) >= power, most)


def seeds_to_decide(
    values: Sequence[float] | Array,
    margin: float,
    level: float = 0.95,
    power: float = 0.8,
    most: int = MOST_SEEDS,
    least_spread: float = 0.0,
    rows: int = 1,
) -> int | None:
    """About how many more seeds until the interval says something: above 0, below 0, or within ``±margin``.

    The smallest number such that, were the present mean and standard deviation the true ones and all seeds
    drawn anew, one of the three is said with probability ``power``. A clear effect, or a mean near zero of
    little spread, takes few; most are needed where the mean lies close to ``margin / 2``, as far from zero as
    from the margin. An interval of half-width ``margin / 2`` always says one of the three, so that hardly more
    are ever needed than :func:`seeds_needed` gives for that; one of half-width ``margin`` can say "within" of a
    mean of zero alone.

    On few seeds neither the mean nor the spread is known well: a guide for planning, not a promise.

    Args:
        values: One a seed, ``(n,)``.
        margin: Differences below this do not matter; in the unit of the values, above 0.
        level: Confidence level of the interval, in (0, 1).
        power: Probability of a decision, in (0, 1).
        most: The largest number given.
        least_spread: The standard deviation is taken to be at least this.
        rows: How many rows are judged at once. To be above or below 0 the interval is widened to level
            ``1 - (1 - level) / rows`` (Bonferroni); to lie within the margin it is not.

    Returns:
        Additional seeds in ``0..most``, 0 where the interval has already decided; None where n < 2.

    Raises:
        ValueError: If ``margin`` is not above 0, ``rows`` is below 1, a value is not finite, or ``level`` or
            ``power`` is out of its range.
    """
    if not (margin > 0 and rows >= 1):
        raise ValueError(f"seeds to decide: got margin {margin} and {rows} rows, expected above 0 and at least 1")
    check_level(level)
    _check_power(power)
    if len(values) < 2:
        return None
    sample = as_sample(values)
    mean, spread, n = float(sample.mean()), max(spread_of(sample), least_spread), len(sample)
    wide = 1.0 - (1.0 - level) / rows
    if abs(mean) > half_width(spread, n, wide) or abs(mean) + half_width(spread, n, level) <= margin:
        return 0
    effect, room = abs(mean) / spread, margin / spread
    # It falls with more seeds only where it is about 0.2 (by 0.002 at the most) or almost 1.
    return _fewest(lambda more: more > 0 and _decision(effect, room, n + more, level, wide) >= power, most)


def _fewest(enough: Callable[[int], bool], most: int) -> int:
    """The fewest additional seeds that are enough, in ``0..most``, where more are enough too."""
    return bisect_left(range(most), True, key=enough)


def _power(effect: float, n: int, threshold: float) -> float:
    """``P(|T| > threshold)`` of n >= 2 values of standard deviation 1 and mean ``effect`` >= 0."""
    shift = effect * math.sqrt(n)
    if shift > _FAR:  # where the noncentral t is slow or NaN; only the spread found still matters
        reached = shift / threshold
        return float(gammainc((n - 1) / 2, (n - 1) * reached * reached / 2))
    return 1.0 - _noncentral_t(n - 1, shift, threshold) + _noncentral_t(n - 1, shift, -threshold)


def _noncentral_t(freedom: int, shift: float, at: float) -> float:
    """``P(T <= at)``; 0 where SciPy gives NaN, as it does in far lower tails (below 1e-12 wherever it was met)."""
    below = float(nctdtr(freedom, shift, at))
    return 0.0 if math.isnan(below) else below


def _decision(effect: float, room: float, n: int, level: float, wide: float) -> float:
    """Probability that an interval of n values of standard deviation 1 leaves out 0 or lies within ``±room``.

    With S the standard deviation found, the first happens where ``|mean| > t_wide S / sqrt(n)``, and the second,
    but not the first, where ``|mean| <= min(t_wide S / sqrt(n), room - t S / sqrt(n))``: an integral over S,
    the mean being independent of it, in two pieces that part where the minimum changes sides.
    """
    t, t_wide = quantile(n, level), quantile(n, wide)
    root, reach = math.sqrt(n), 9.0 / math.sqrt(2.0 * (n - 1))  # nine standard deviations of S
    ends = np.clip([0.0, room * root / (t + t_wide), room * root / t], max(0.0, 1.0 - reach), 1.0 + reach)
    total = _power(effect, n, t_wide)
    for start, stop in pairwise(ends):
        found = start + (stop - start) * (_NODES + 1.0) / 2.0
        most = np.maximum(np.minimum(t_wide * found, room * root - t * found), 0.0)
        inside = ndtr(most - effect * root) - ndtr(-most - effect * root)
        total += float(_WEIGHTS @ (inside * _spread_density(found, n - 1))) * float(stop - start) / 2.0
    return total


def _spread_density(found: Array, freedom: int) -> Array:
    """Density of the standard deviation found, the true one being 1: ``freedom S^2`` is chi-squared."""
    half = freedom / 2.0
    log = math.log(2.0) + half * math.log(half) - gammaln(half) + (freedom - 1) * np.log(found) - half * found**2
    return np.asarray(np.exp(log), dtype=np.float64)


def _check_power(power: float) -> None:
    if not 0.0 < power < 1.0:
        raise ValueError(f"power: got {power}, expected one in (0, 1)")
