"""The Fréchet distance between two sets of feature vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import linalg

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite_pair
from benchbench.types import FeatureSets, Metric, Output

Array = npt.NDArray[np.float64]

# A Cholesky factor is trusted if its smallest pivot is not below this part of the largest: half the digits
# of a covariance are then still to spare for the square roots of its smallest eigenvalues.
TRUSTED_PIVOT = 1e-5

# A symmetric matrix's eigenvalues come out with an error of about this part of the largest.
EIGENVALUE_ERROR = 4 * np.finfo(np.float64).eps
# What that may do to a distance, relatively, before singular values are taken instead.
TOLERATED_ERROR = 1e-9
# Smaller matrices take milliseconds either way.
LARGE = 256


def _factor(centred: Array) -> Array:
    """F ``(min(n, d), d)`` with F^T F = ``centred^T centred``."""
    if len(centred) <= centred.shape[1]:
        return centred
    try:  # from the product: several times faster than a QR decomposition, and as good unless nearly singular
        # transposed, which changes nothing but the order in memory: LAPACK then works in place
        factor: Array = linalg.cholesky((centred.T @ centred).T, overwrite_a=True)
    except linalg.LinAlgError:
        factor = np.zeros((1, 1))
    pivots = np.diagonal(factor)
    if pivots.min() > TRUSTED_PIVOT * pivots.max():
        return factor
    return np.asarray(np.linalg.qr(centred, mode="r"), dtype=np.float64)


def moments(features: npt.NDArray[np.floating], who: str = "FD") -> tuple[Array, Array]:
    """Mean and a factor of the unbiased covariance of ``features (n, d)``, in float64.

    Args:
        features: ``(n, d)``, finite.
        who: The metric, named in the error.

    Returns:
        The mean ``(d,)``, and F ``(min(n, d), d)`` with F^T F the covariance. A factor keeps the digits of small
        eigenvalues, of which a Fréchet distance takes the square roots.

    Raises:
        DataError: If n < 2.
    """
    if np.ndim(features) != 2 or len(features) < 2:
        raise DataError(f"{who}: got features {np.shape(features)}, expected (n, d) with n >= 2; give it more images")
    mean = features.mean(axis=0, dtype=np.float64)
    centred = np.subtract(features, mean, dtype=np.float64)
    return mean, _factor(centred) / np.sqrt(len(features) - 1)


def frechet_distance(mean_a: Array, factor_a: Array, mean_b: Array, factor_b: Array) -> float:
    """Squared Fréchet distance of two normal distributions (Dowson & Landau 1982; Heusel 2017, Eq. 6).

    ``|m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^(1/2)``. With C = F^T F the last trace is the sum of
    the singular values of F_a F_b^T, whose squares are the non-zero eigenvalues of C_a C_b: real by
    construction, and as exact where covariances are singular (n <= d) as elsewhere.

    Args:
        mean_a: ``(d,)``.
        factor_a: ``(r, d)``, any r, as from :func:`moments`.
        mean_b: ``(d,)``.
        factor_b: ``(s, d)``, any s.

    Returns:
        A value >= 0, in squared feature units.
    """
    difference = mean_a - mean_b
    apart = float(difference @ difference + (factor_a**2).sum() + (factor_b**2).sum())
    product = _product(factor_a, factor_b)
    cross, error = 0.0, np.inf
    if min(product.shape) >= LARGE:
        cross, error = _nuclear_norm_from_eigenvalues(product)
    if 2.0 * error > TOLERATED_ERROR * abs(apart - 2.0 * cross):
        cross = float(np.linalg.svd(product, compute_uv=False).sum())
    return max(apart - 2.0 * cross, 0.0)


def _product(factor_a: Array, factor_b: Array) -> Array:
    """F_a F_b^T, of a triangular F_b in half the operations."""
    if len(factor_b) < LARGE or factor_b.shape[0] != factor_b.shape[1] or linalg.bandwidth(factor_b)[0]:
        return factor_a @ factor_b.T
    product: Array = linalg.blas.dtrmm(1.0, factor_b, factor_a, side=1, trans_a=1)
    return product


def _nuclear_norm_from_eigenvalues(product: Array) -> tuple[float, float]:
    """Sum of the singular values of ``product``, and a bound of its error.

    Four times as fast as a singular value decomposition: they are the roots of the eigenvalues of the symmetric
    ``product product^T``. But a root near zero magnifies the error of what it is taken of.
    """
    if product.shape[0] > product.shape[1]:
        product = product.T
    eigenvalues = linalg.eigvalsh((product @ product.T).T, overwrite_a=True)
    error = EIGENVALUE_ERROR * float(np.abs(eigenvalues).max(initial=0.0))
    roots = np.sqrt(eigenvalues.clip(min=0.0))
    if error == 0.0:
        return float(roots.sum()), 0.0
    return float(roots.sum()), float((error / (roots + np.sqrt(error))).sum())


class FrechetDistance(Metric):
    """FID in Inception features and only there; ``FD[features]`` in any others."""

    name = "fd"
    outputs = (Output("fd", "FD", higher_is_better=False, distance=True),)

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`frechet_distance` of the two sets' :func:`moments`.

        Raises:
            DataError: If features are not finite, or a set has fewer than 2 images.
        """
        real, synthetic = finite_pair(sets, "FD")
        return {"fd": frechet_distance(*moments(real), *moments(synthetic))}


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the Fréchet distance."""
    return [FrechetDistance]
