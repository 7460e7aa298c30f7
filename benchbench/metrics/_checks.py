"""Feature sets in the form that metrics compute in: known to be finite, and wide where that matters."""

from __future__ import annotations

import numpy as np

from benchbench.errors import DataError
from benchbench.metrics._distances import Array, Floats
from benchbench.types.comparison import FeatureSets


def checked(features: Floats, who: str, what: str) -> Floats:
    """``features (n, d)`` as they come, for metrics that need no more memory than that.

    Args:
        features: Vectors as rows.
        who: The metric, named in the error.
        what: Whose features these are, named in the error.

    Raises:
        DataError: If there are not two axes, or a value is NaN or infinite.
    """
    if features.ndim != 2:
        raise DataError(f"{who}: got features of shape {features.shape} for the {what}, expected (n, d)")
    if not np.isfinite(features).all():
        raise DataError(
            f"{who}: got NaN or infinite features for the {what}, expected finite ones; the extractor or the images "
            "are broken"
        )
    return features


def checked_pair(sets: FeatureSets, who: str) -> tuple[Floats, Floats]:
    """Real ``(n, d)`` and synthetic ``(m, d)`` features, through :func:`checked`."""
    return checked(sets.real, who, "real images"), checked(sets.synthetic, who, "synthetic images")


def finite(features: Floats, who: str, what: str) -> Array:
    """``features (n, d)`` in float64, through :func:`checked`."""
    return np.asarray(checked(features, who, what), dtype=np.float64)


def finite_pair(sets: FeatureSets, who: str) -> tuple[Array, Array]:
    """Those of :func:`checked_pair` in float64."""
    real, synthetic = checked_pair(sets, who)
    return np.asarray(real, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)


def finite_train(sets: FeatureSets, who: str) -> Array:
    """The training images' features ``(N, d)``, through :func:`finite`.

    Raises:
        DataError: Also if there are none.
    """
    if sets.train is None:
        raise DataError(f'{who}: got no training features, expected them; the metric must name "train" in its needs')
    return finite(sets.train, who, "training images")
