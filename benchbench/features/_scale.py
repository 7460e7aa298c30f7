"""The one scale on which learned features stand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError


def unit_variance_scale(features: npt.NDArray[np.floating], who: str) -> float:
    """The factor that makes the mean variance per dimension one, so that the covariance has trace d.

    One number for all dimensions: their proportions stay, a Fréchet distance divided by d is a fraction of
    the real variance, and KID's kernel, made for values near one, works in its range.

    Args:
        features: ``(n, d)``, of the real training images.
        who: Named in the error.

    Raises:
        DataError: If the features do not vary or are not finite.
    """
    variance = float(np.asarray(features, dtype=np.float64).var(axis=0, ddof=1).mean()) if len(features) > 1 else 0.0
    if not 0.0 < variance < np.inf:
        raise DataError(
            f"{who}: got features of variance {variance} over {len(features)} real training images, "
            "expected a positive one; are the images all alike?"
        )
    return float(1.0 / np.sqrt(variance))
