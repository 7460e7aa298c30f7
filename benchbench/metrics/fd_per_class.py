"""The Fréchet distance between real and synthetic images of one class, for every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite_pair
from benchbench.metrics.frechet import frechet_distance, moments
from benchbench.types import FeatureSets, Metric, Output
from benchbench.types.comparison import Labels

Array = npt.NDArray[np.float64]
WHO = "FD per class"


def _of_class(features: Array, labels: Labels, label: int, kind: str) -> Array:
    """The rows of one class, of which there must be two."""
    chosen: Array = features[labels == label]
    if len(chosen) < 2:
        raise DataError(
            f"{WHO}: class {label} has {len(chosen)} {kind} images, expected at least 2; "
            "use more images a class or leave this metric out"
        )
    return chosen


def frechet_per_class(
    real: Array, real_labels: Labels, synthetic: Array, synthetic_labels: Labels, classes: int
) -> list[float]:
    """:func:`benchbench.metrics.frechet.frechet_distance` between the images of each class.

    Args:
        real: ``(n, d)``.
        real_labels: ``(n,)``, in 0 ... K - 1.
        synthetic: ``(m, d)``.
        synthetic_labels: ``(m,)``, the labels that were asked for: wrong ones cost.
        classes: K.

    Returns:
        K values >= 0, in squared feature units. A class has few images, so each is biased upwards much more
        than the distance over all classes; classes compare across rows, not with that.

    Raises:
        DataError: If a class has fewer than 2 images in a set.
    """
    return [
        frechet_distance(
            *moments(_of_class(real, real_labels, label, "real"), WHO),
            *moments(_of_class(synthetic, synthetic_labels, label, "synthetic"), WHO),
        )
        for label in range(classes)
    ]


class FrechetPerClass(Metric):
    """The Fréchet distance per class and its mean over classes."""

    name = "fd_per_class"
    outputs = (
        Output("fd_class_mean", "FD per class, mean", higher_is_better=False),
        Output("fd_per_class", "FD per class", higher_is_better=False, per_class=True),
    )

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`frechet_per_class` and its plain mean.

        Raises:
            DataError: If features are not finite, or a class has fewer than 2 images in a set.
        """
        real, synthetic = finite_pair(sets, WHO)
        values = frechet_per_class(real, sets.real_labels, synthetic, sets.synthetic_labels, sets.classes)
        return {"fd_class_mean": float(np.mean(values)), "fd_per_class": values}


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the Fréchet distance per class."""
    return [FrechetPerClass]
