"""The kernel inception distance: an unbiased squared maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.types import Config as BaseConfig
from benchbench.types import Metric
from benchbench.types.plugins import Features

Array = npt.NDArray[np.float64]


def polynomial_kernel(x: Array, y: Array) -> Array:
    """``(x . y / d + 1)^3`` for every pair, ``(n, m)`` from ``(n, d)`` and ``(m, d)`` (Bińkowski 2018, Eq. 3)."""
    return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3)


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


def kernel_distance(
    real: npt.NDArray[np.floating],
    synthetic: npt.NDArray[np.floating],
    subsets: int,
    subset_size: int,
    rng: np.random.Generator,
) -> float:
    """Mean of :func:`mmd2_unbiased` over random subsets (Bińkowski 2018, section 4).

    Args:
        real: ``(n, d)``.
        synthetic: ``(m, d)``.
        subsets: How many subsets; each is drawn without replacement from either set.
        subset_size: Images a subset, cut to n and m. Where it takes in both sets whole, one is enough.
        rng: Draws the subsets.

    Raises:
        DataError: If a set has fewer than 2 vectors or a value is not finite.
    """
    x, y = np.asarray(real, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)
    size = min(subset_size, len(x), len(y))
    if size < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(f"KID: got {len(x)} real and {len(y)} synthetic vectors, expected at least 2 each, all finite")
    xx, yy, xy = polynomial_kernel(x, x), polynomial_kernel(y, y), polynomial_kernel(x, y)
    if size == len(x) == len(y):
        return mmd2_unbiased(xx, yy, xy)
    estimates = []
    for _ in range(subsets):
        i, j = rng.choice(len(x), size, replace=False), rng.choice(len(y), size, replace=False)
        estimates.append(mmd2_unbiased(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)]))
    return float(np.mean(estimates))


class KernelDistance(Metric):
    """KID in Inception features; ``KID[features]`` in any others."""

    name = "kid"
    label = "KID"
    higher_is_better = False

    class Config(BaseConfig):
        """Subsampling."""

        subsets: int = Field(100, ge=1, description="Number of random subsets.")
        subset_size: int = Field(1000, ge=2, description="Images a subset, cut to the number of images.")

    def compute(self, real: Features, synthetic: Features, rng: np.random.Generator) -> float:
        """:func:`kernel_distance` with this config."""
        return kernel_distance(real, synthetic, self.config.subsets, self.config.subset_size, rng)


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the kernel distance."""
    return [KernelDistance]
