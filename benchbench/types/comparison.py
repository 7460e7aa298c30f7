"""What a metric compares, and what it says it will give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Output:
    """One number that a metric gives.

    Attributes:
        key: As in the mapping that the metric returns; unique among all metrics of a board.
        label: For people; the features are added in brackets.
        higher_is_better: None for a number that is neither good nor bad, such as a standard error.
        distance: Whether it measures how far two distributions are apart, so that held-out real images must
            come out best and noise worst: the board's controls are judged by these outputs.
        per_class: Whether its value is a sequence, one number a class.
    """

    key: str
    label: str
    higher_is_better: bool | None
    distance: bool = False
    per_class: bool = False


@dataclass(frozen=True)
class FeatureSets:
    """Two sets of images as feature vectors, with what some metrics need besides.

    Attributes:
        real: ``float32 (n, d)``: held-out real images.
        synthetic: ``float32 (m, d)``: the images that are judged.
        real_labels: ``int64 (n,)``.
        synthetic_labels: ``int64 (m,)``: the labels that were asked for.
        classes: K.
        train: ``float32 (N, d)``: the images that the generator was shown; None unless the metric's ``needs``
            names ``"train"``.
        train_labels: ``int64 (N,)``: theirs; None where there is no ``train``.
        drawn: ``float32 (M, d)``: all samples of the row, those that classifiers train on among them; of the row of
            the real images, ``synthetic``. None unless ``needs`` names ``"drawn"``.
        drawn_labels: ``int64 (M,)``: the labels that were asked for; None where there are no ``drawn``.
        probabilities: ``float32 (m, K')``: class probabilities of the synthetic images by the extractor's own
            classifier, rows summing to 1; None unless ``needs`` names ``"probabilities"``.
    """

    real: Features
    synthetic: Features
    real_labels: Labels
    synthetic_labels: Labels
    classes: int
    train: Features | None = None
    probabilities: Features | None = None
    train_labels: Labels | None = None
    drawn: Features | None = None
    drawn_labels: Labels | None = None
