"""Arms: the training sets whose classifiers are compared, and what is measured of each classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchbench.errors import DataError
from benchbench.types import LabelledImages, Predictor


@dataclass(frozen=True)
class Evaluation:
    """A classifier on one set of labelled images.

    Attributes:
        accuracy: Fraction right, 0..1.
        per_class: Fraction right of each true class; NaN-free because no class is empty.
        confusion: ``confusion[t][p]``: images of class t called p.
    """

    accuracy: float
    per_class: list[float]
    confusion: list[list[int]]


def confusion_matrix(truth: Tensor, called: Tensor, num_classes: int) -> Tensor:
    """``int64 (K, K)``: rows are true classes, columns predicted ones; both inputs ``int64 (N,)``."""
    return torch.bincount(truth * num_classes + called, minlength=num_classes**2).reshape(num_classes, num_classes)


def evaluate(predictor: Predictor, data: LabelledImages) -> Evaluation:
    """Classify ``data`` and compare with its labels."""
    called = predictor.predict(data.images).argmax(dim=1)
    matrix = confusion_matrix(data.labels, called, len(data.classes))
    right = matrix.diagonal().double()
    per_class = right / matrix.sum(dim=1).clamp(min=1)
    return Evaluation(float(right.sum() / len(data)), per_class.tolist(), matrix.tolist())


def synthetic_arm(real: LabelledImages, synthetic: LabelledImages) -> LabelledImages:
    """As many synthetic images as there are real ones: the training set of CAS (Ravuri & Vinyals 2019)."""
    return _first(synthetic, len(real))


def mixed_arm(real: LabelledImages, synthetic: LabelledImages, ratio: float) -> LabelledImages:
    """All real images and ``ratio`` synthetic ones for each of them."""
    added = _first(synthetic, round(ratio * len(real)))
    return LabelledImages(torch.cat([real.images, added.images]), torch.cat([real.labels, added.labels]), real.classes)


def _first(synthetic: LabelledImages, n: int) -> LabelledImages:
    if len(synthetic) < n:
        raise DataError(f"an arm needs {n} synthetic images, got {len(synthetic)}")
    return synthetic.take(torch.arange(n))
