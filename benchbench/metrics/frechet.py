"""The Fréchet distance between two sets of feature vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.types import Metric
from benchbench.types.plugins import Features

Array = npt.NDArray[np.float64]


def moments(features: npt.NDArray[np.floating]) -> tuple[Array, Array]:
    """Mean ``(d,)`` and unbiased covariance ``(d, d)`` of ``features (n, d)``, in float64.

    Raises:
        DataError: If n < 2 or a value is not finite.
    """
    wide = np.asarray(features, dtype=np.float64)
    if wide.ndim != 2 or len(wide) < 2:
        raise DataError(f"Fréchet distance: got features {wide.shape}, expected (n, d) with n >= 2")
    if not np.isfinite(wide).all():
        raise DataError("Fréchet distance: got NaN or infinite features; the extractor or the images are broken")
    mean = wide.mean(axis=0)
    centred = wide - mean
    return mean, centred.T @ centred / (len(wide) - 1)


def _root(covariance: Array) -> Array:
    """A factor R with R R^T = ``covariance``, from its eigenvalues; rounding below zero is cut."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)))


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """Squared Fréchet distance of two normal distributions (Dowson & Landau 1982; Heusel 2017, Eq. 6).

    ``|m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^(1/2)``. With C_a = R R^T the last trace is the sum
    of the square roots of the eigenvalues of the symmetric R^T C_b R (the same non-zero eigenvalues as
    C_a C_b): real by construction, and right where covariances are singular.

    Args:
        mean_a: ``(d,)``.
        cov_a: ``(d, d)``, symmetric, positive semi-definite.
        mean_b: ``(d,)``.
        cov_b: ``(d, d)``.

    Returns:
        A value >= 0, in squared feature units.
    """
    root = _root(cov_a)
    product = root.T @ cov_b @ root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    cross = np.sqrt(np.clip(eigenvalues, 0.0, None)).sum()
    difference = mean_a - mean_b
    value = difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross
    return max(float(value), 0.0)


class FrechetDistance(Metric):
    """FID in Inception features and only there; ``FD[features]`` in any others."""

    name = "fd"
    label = "FD"
    higher_is_better = False

    def compute(self, real: Features, synthetic: Features, rng: np.random.Generator) -> float:
        """:func:`frechet_distance` of the two sets' :func:`moments`."""
        return frechet_distance(*moments(real), *moments(synthetic))


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the Fréchet distance."""
    return [FrechetDistance]
