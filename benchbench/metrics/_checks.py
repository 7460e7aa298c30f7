"""Feature sets in the form that metrics compute in: float64, and known to be finite."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError
from benchbench.types.comparison import FeatureSets

Array = npt.NDArray[np.float64]


def finite(features: npt.NDArray[np.floating], who: str, what: str = "images") -> Array:
    """``features (n, d)`` in float64.

    Args:
        features: Vectors as rows.
        who: The metric, named in the error.
        what: Whose features these are, named in the error.

    Raises:
        DataError: If there are not two axes, or a value is NaN or infinite.
    """
    wide = np.asarray(features, dtype=np.float64)
    if wide.ndim != 2:
        raise DataError(f"{who}: got features of shape {wide.shape} for the {what}, expected (n, d)")
    if not np.isfinite(wide).all():
        raise DataError(
            f"{who}: got NaN or infinite features for the {what}, expected finite ones; the extractor or the images "
            "are broken"
        )
    return wide


def finite_pair(sets: FeatureSets, who: str) -> tuple[Array, Array]:
    """Real ``(n, d)`` and synthetic ``(m, d)`` features, through :func:`finite`."""
    return finite(sets.real, who, "real images"), finite(sets.synthetic, who, "synthetic images")


def finite_train(sets: FeatureSets, who: str) -> Array:
    """The training images' features ``(N, d)``, through :func:`finite`.

    Raises:
        DataError: Also if there are none.
    """
    if sets.train is None:
        raise DataError(f'{who}: got no training features, expected them; the metric must name "train" in its needs')
    return finite(sets.train, who, "training images")
