"""The Fréchet distance extrapolated to infinitely many images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite_pair
from benchbench.metrics.frechet import frechet_distance, moments
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureSets, Metric, Output

Array = npt.NDArray[np.float64]
WHO = "FD∞"


class Line(NamedTuple):
    """A straight line of a distance over 1/n.

    Attributes:
        intercept: The distance at infinite n, in squared feature units; it may be negative.
        error: Standard error of the intercept.
        slope: Bias times n, in squared feature units.
    """

    intercept: float
    error: float
    slope: float


def subset_sizes(n: int, points: int, smallest: float) -> npt.NDArray[np.int64]:
    """Up to ``points`` sizes, evenly spaced from ``smallest * n`` (at least 2) to ``n``.

    Raises:
        DataError: If fewer than 3 differ, so that a line has no error.
    """
    sizes = np.unique(np.linspace(max(smallest * n, 2.0), max(n, 2), points).round().astype(np.int64))
    if len(sizes) < 3:
        raise DataError(f"{WHO}: got {n} images in the smaller set, expected enough for 3 different subset sizes")
    return sizes


def extrapolate(sizes: npt.NDArray[np.int64], values: Array) -> Line:
    """Least-squares line through ``values (p,)`` over ``1 / sizes (p,)``, p >= 3."""
    from scipy.stats import linregress  # a second that only who asks for this metric pays

    fitted = linregress(1.0 / sizes, values)
    return Line(float(fitted.intercept), float(fitted.intercept_stderr), float(fitted.slope))


def frechet_infinity(real: Array, synthetic: Array, points: int, smallest: float, rng: np.random.Generator) -> Line:
    """FD∞ (Chong & Forsyth 2020): distances of random subsets, extrapolated in 1/n.

    There only the synthetic set is subsampled, against 50 000 real images. Here the real set is as small as
    the synthetic one and biases the distance as much, so both are cut to the same n; both biases fall as 1/n.
    They do so once n is well above d: below, the line is bent and the intercept is too high. Hence no subset is
    smaller than half: simulated at n = 500 and d = 64, smaller ones made the intercept vary more, not less.

    Args:
        real: ``(n, d)``.
        synthetic: ``(m, d)``.
        points: Sizes, see :func:`subset_sizes`; subsets are drawn anew for each, without replacement.
        smallest: The smallest size as a fraction of the smaller set.
        rng: Draws the subsets.

    Returns:
        The line. Its error is that of the fit: subsets share images, so it leaves out the chance that was in
        drawing these images at all.
    """
    sizes = subset_sizes(min(len(real), len(synthetic)), points, smallest)
    values = [
        frechet_distance(
            *moments(real[rng.choice(len(real), size, replace=False)], WHO),
            *moments(synthetic[rng.choice(len(synthetic), size, replace=False)], WHO),
        )
        for size in sizes
    ]
    return extrapolate(sizes, np.array(values))


class FrechetInfinity(Metric):
    """The Fréchet distance without its bias at finite n, with the error and slope of the fit."""

    name = "fd_infinity"
    outputs = (
        Output("fd_infinity", "FD∞", higher_is_better=False, distance=True),
        Output("fd_infinity_error", "FD∞, standard error", higher_is_better=None),
        Output("fd_infinity_slope", "FD∞, slope", higher_is_better=None),
    )

    class Config(BaseConfig):
        """Subset sizes."""

        points: int = Field(15, ge=3, description="Subset sizes, evenly spaced.")
        smallest: float = Field(0.5, gt=0, lt=1, description="Smallest size, as a fraction of the smaller set.")

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`frechet_infinity` with this config.

        Raises:
            DataError: If features are not finite or images are too few.
        """
        line = frechet_infinity(*finite_pair(sets, WHO), self.config.points, self.config.smallest, rng)
        return {"fd_infinity": line.intercept, "fd_infinity_error": line.error, "fd_infinity_slope": line.slope}


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring FD∞."""
    return [FrechetInfinity]
