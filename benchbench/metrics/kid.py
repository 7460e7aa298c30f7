"""The kernel inception distance: an unbiased squared maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite_pair
from benchbench.metrics._distances import Array, Indices, blocks
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureSets, Metric, Output


def polynomial_kernel(x: Array, y: Array) -> Array:
    """``(x . y / d + 1)^3`` for every pair, ``(n, m)`` from ``(n, d)`` and ``(m, d)`` (Bińkowski 2018, Eq. 3)."""
    base = x @ y.T
    base /= x.shape[1]
    base += 1.0
    cube = base * base
    cube *= base  # a power is many times slower
    return np.asarray(cube)


def mmd2_unbiased(xx: Array, yy: Array, xy: Array) -> float:
    """Unbiased MMD^2 from kernel matrices (Gretton 2012, Eq. 3): diagonals are left out.

    Args:
        xx: ``(n, n)``, n >= 2.
        yy: ``(m, m)``, m >= 2.
        xy: ``(n, m)``.

    Returns:
        An estimate that is zero on average where the two distributions are one; it may be negative.
    """
    n, m = len(xx), len(yy)
    within_x = (xx.sum() - np.trace(xx)) / (n * (n - 1))
    within_y = (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within_x + within_y - 2.0 * xy.mean())


def subset_estimates(real: Array, synthetic: Array, subsets: int, subset_size: int, rng: np.random.Generator) -> Array:
    """:func:`mmd2_unbiased` on random subsets (Bińkowski 2018, section 4).

    Args:
        real: ``(n, d)``.
        synthetic: ``(m, d)``.
        subsets: How many subsets; each is drawn without replacement from either set.
        subset_size: Images a subset. Where a set has no more than that, a subset takes half of the smaller
            set: whole sets would be the same each time and have no spread.
        rng: Draws the subsets.

    Returns:
        ``(subsets,)``, each unbiased.

    Raises:
        DataError: If a set has fewer than 2 vectors.
    """
    few = min(len(real), len(synthetic))
    if few < 2:
        raise DataError(f"KID: got {len(real)} real and {len(synthetic)} synthetic vectors, expected at least 2 each")
    size = subset_size if subset_size < few else max(2, few // 2)
    picked = [
        (rng.choice(len(real), size, replace=False), rng.choice(len(synthetic), size, replace=False))
        for _ in range(subsets)
    ]
    # A pair of images stands in many subsets, or, where the sets are much larger than all subsets together, in none.
    if max(len(real), len(synthetic)) ** 2 <= subsets * size**2:
        return _estimates_from_all_pairs(real, synthetic, picked)
    return np.array([_estimate(real[x], synthetic[y]) for x, y in picked])


def _estimate(x: Array, y: Array) -> float:
    return mmd2_unbiased(polynomial_kernel(x, x), polynomial_kernel(y, y), polynomial_kernel(x, y))


def _estimates_from_all_pairs(real: Array, synthetic: Array, picked: Sequence[tuple[Indices, Indices]]) -> Array:
    """:func:`mmd2_unbiased` of every subset, with every pair's kernel computed once."""
    x, y = (_indicators([pair[at] for pair in picked], len(data)) for at, data in enumerate((real, synthetic)))
    size = len(picked[0][0])
    # A vector's kernel with itself is known without a product of all with all.
    own = [(((data * data).sum(axis=1) / data.shape[1] + 1.0) ** 3) for data in (real, synthetic)]
    within_x = _sums(real, real, x, x, same=True) - x @ own[0]
    within_y = _sums(synthetic, synthetic, y, y, same=True) - y @ own[1]
    between = _sums(real, synthetic, x, y)
    return np.asarray((within_x + within_y) / (size * (size - 1)) - 2.0 * between / size**2)


def _indicators(subsets: Sequence[Indices], count: int) -> Array:
    """``(subsets, count)``: one where an element is in a subset, else zero."""
    marks = np.zeros((len(subsets), count))
    for row, subset in zip(marks, subsets, strict=True):
        row[subset] = 1.0
    return marks


def _sums(a: Array, b: Array, in_a: Array, in_b: Array, *, same: bool = False) -> Array:
    """For every subset, the kernel summed over its pairs, ``sum_ij s_i k(a_i, b_j) t_j``; a block of rows at a time.

    Of one set with itself (``same``), a pair is computed once and counted twice, but for those within a block.
    """
    total = np.zeros(len(in_a))
    for part in blocks(len(a), 8 * len(b)):
        first = part.start if same else 0
        sums = (in_a[:, part] @ polynomial_kernel(a[part], b[first:])) * in_b[:, first:]
        total += sums.sum(axis=1)
        if same:
            total += sums[:, part.stop - first :].sum(axis=1)
    return total


class KernelDistance(Metric):
    """KID in Inception features; ``KID[features]`` in any others. Its spread is that over subsets."""

    name = "kid"
    outputs = (
        Output("kid", "KID", higher_is_better=False, distance=True),
        Output("kid_std", "KID, std over subsets", higher_is_better=None),
    )

    class Config(BaseConfig):
        """Subsampling."""

        subsets: int = Field(100, ge=1, description="Number of random subsets.")
        subset_size: int = Field(1000, ge=2, description="Images a subset; half of all where there are no more.")

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """Mean and standard deviation (divided by the count) of :func:`subset_estimates`.

        Raises:
            DataError: If features are not finite, or a set has fewer than 2 images.
        """
        estimates = subset_estimates(*finite_pair(sets, "KID"), self.config.subsets, self.config.subset_size, rng)
        return {"kid": float(estimates.mean()), "kid_std": float(estimates.std())}


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the kernel distance."""
    return [KernelDistance]
