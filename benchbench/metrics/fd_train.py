"""Fréchet distances as papers take them: all samples against the training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite, finite_train
from benchbench.metrics._distances import Array
from benchbench.metrics.fd_per_class import frechet_per_class
from benchbench.metrics.frechet import frechet_distance, moments
from benchbench.types import FeatureSets, Metric, Output
from benchbench.types.comparison import Labels


class _Compared(NamedTuple):
    """The training images and all samples."""

    train: Array
    train_labels: Labels
    drawn: Array
    drawn_labels: Labels


def _compared(sets: FeatureSets, who: str) -> _Compared:
    """What both metrics of this module compare, known to be finite."""
    train = finite_train(sets, who)
    if sets.train_labels is None or sets.drawn is None or sets.drawn_labels is None:
        raise DataError(f'{who}: got no samples beyond the held-out ones; the metric must name "drawn" in its needs')
    return _Compared(train, sets.train_labels, finite(sets.drawn, who, "samples"), sets.drawn_labels)


class FrechetToTrain(Metric):
    """The Fréchet distance of all samples of a row to the images that its generator was shown.

    With 50,000 of either it is what papers report of CIFAR-10. It rewards copies: beside the distance to images that
    the generator has not seen (``fd``) it says how far the two are apart, and it judges no control.
    """

    name = "fd_train"
    needs = frozenset({"train", "drawn"})
    outputs = (Output("fd_train", "FD to train", higher_is_better=False),)

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`benchbench.metrics.frechet.frechet_distance` of the two sets' moments.

        Raises:
            DataError: If features are not finite, or a set has fewer than 2 images.
        """
        both = _compared(sets, "FD to train")
        return {"fd_train": frechet_distance(*moments(both.train), *moments(both.drawn))}


class FrechetToTrainPerClass(Metric):
    """:class:`FrechetToTrain` of each class, and the mean over classes: with more images a class, less biased."""

    name = "fd_train_per_class"
    needs = frozenset({"train", "drawn"})
    outputs = (
        Output("fd_train_class_mean", "FD to train per class, mean", higher_is_better=False),
        Output("fd_train_per_class", "FD to train per class", higher_is_better=False, per_class=True),
    )

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`benchbench.metrics.fd_per_class.frechet_per_class` and its plain mean.

        Raises:
            DataError: If features are not finite, or a class has fewer than 2 images in a set.
        """
        values = frechet_per_class(*_compared(sets, "FD to train per class"), sets.classes)
        return {"fd_train_class_mean": float(np.mean(values)), "fd_train_per_class": values}


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the distances to the training images."""
    return [FrechetToTrain, FrechetToTrainPerClass]
