"""Arms: the training sets whose classifiers are compared, and what is measured of each classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchbench.datasets.subset import take_of_each
from benchbench.downstream.sample_plan import SamplePlan
from benchbench.seeding import derive_seed
from benchbench.types import LabelledImages, Predictor


@dataclass(frozen=True)
class Arm:
    """A training set of the downstream protocol.

    Attributes:
        name: ``real``, ``real_part``, ``classical``, ``oversampled``, ``synthetic``, ``mixed``,
            ``classical_mixed``; or ``agreement``, in which the classifier of the ``real`` arm is tested on
            synthetic images and none is trained.
        ratio: Synthetic images a real one in the mixed arms; the part of the training images in ``real_part``.
        replicate: Which of the cell's classifier seeds.
    """

    name: str
    ratio: float | None = None
    replicate: int = 0

    @property
    def label(self) -> str:
        """``mixed 0.5``, ``mixed 0.5 (1)``: unique within a cell."""
        ratio = "" if self.ratio is None else f" {self.ratio:g}"
        return self.name + ratio + (f" ({self.replicate})" if self.replicate else "")

    @property
    def augmented(self) -> bool:
        """Whether its training images are augmented classically."""
        return self.name in ("classical", "classical_mixed")

    @property
    def mixed(self) -> bool:
        """Whether it adds synthetic images to the real ones."""
        return self.name in ("mixed", "classical_mixed")


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


def together(real: LabelledImages, synthetic: LabelledImages) -> LabelledImages:
    """All of both, the real ones first."""
    images, labels = torch.cat([real.images, synthetic.images]), torch.cat([real.labels, synthetic.labels])
    return LabelledImages(images, labels, real.classes)


def oversampled(real: LabelledImages) -> LabelledImages:
    """Every class repeated, in whole turns and a part of one, until it is as large as the largest."""
    counts = real.class_counts
    most = int(counts.max())
    index = []
    for label in range(len(real.classes)):
        members = torch.nonzero(real.labels == label).flatten()
        index.append(members[torch.arange(most) % len(members)] if len(members) else members)
    return real.take(torch.cat(index))


def part_of(real: LabelledImages, part: float, seed: int) -> LabelledImages:
    """A part of the images of every class, at least one of each; smaller parts of one seed lie in larger ones."""
    sizes = (part * real.class_counts.double()).round().to(torch.int64).clamp(min=1)
    return real.take(take_of_each(real.labels, sizes, seed, "part"))


def training_set(
    arm: Arm, real: LabelledImages, samples: LabelledImages | None, plan: SamplePlan, seed: int
) -> LabelledImages:
    """The images of an arm, before classical augmentation.

    Args:
        arm: The arm; not ``agreement``, which trains nothing.
        real: The cell's real training images.
        samples: The cell's samples; None for the baseline's arms, which need none.
        plan: Which of the samples serve what.
        seed: The cell's.
    """
    if arm.name == "synthetic" or arm.mixed:
        assert samples is not None
        if not arm.mixed:
            return plan.as_train(samples)
        assert arm.ratio is not None
        return together(real, plan.filling(samples, arm.ratio))
    if arm.name == "real_part":
        assert arm.ratio is not None
        return part_of(real, arm.ratio, seed)
    return oversampled(real) if arm.name == "oversampled" else real


def classifier_seed(seed: int, replicate: int) -> int:
    """The seed of a cell's classifier: its initialisation and batch order, whatever the row and the arm."""
    return derive_seed(seed, "classifier", replicate)
