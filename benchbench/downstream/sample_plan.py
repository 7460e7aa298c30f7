"""What a cell draws: one pool of synthetic images from which every purpose takes its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchbench.downstream.labels import balanced_labels, balanced_subset
from benchbench.errors import DataError
from benchbench.types import LabelledImages


def filling_labels(class_counts: Tensor, n: int) -> Tensor:
    """Labels of ``n`` images that even out the classes: each one goes to the class that has the fewest.

    Every prefix evens them out as far as it reaches, so the first m labels serve where only m are wanted.
    Where classes are of one size, they take turns.

    Args:
        class_counts: ``int64 (K,)``, the images there are.
        n: How many labels.

    Returns:
        ``int64 (n,)``.
    """
    counts = class_counts.numpy().astype(np.int64)
    # Enough for every class to reach the level of the fullest one, and then to share what is left.
    most = int(min(n, counts.max() - counts.min() + math.ceil(n / len(counts))))
    level = counts[None, :] + np.arange(most)[:, None]
    label = np.broadcast_to(np.arange(len(counts)), level.shape)
    order = np.lexsort((label.ravel(), level.ravel()))[:n]
    return torch.from_numpy(label.ravel()[order].copy())


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """The labels that a cell samples, and which of the samples serve what.

    The training pool comes first: of every class as many as the largest demand of any arm. After it come the
    held-out samples, in the classes' proportions of the test split: distances are taken on them, and
    classifiers are tested on them; no arm trains on them.

    Attributes:
        class_counts: ``int64 (K,)``: the real training images of the setting.
        pool: ``int64 (p,)``: labels of the training pool.
        held_out: ``int64 (h,)``: labels of the held-out samples.
    """

    class_counts: Tensor
    pool: Tensor
    held_out: Tensor

    @property
    def labels(self) -> Tensor:
        """All labels, in the order in which they are sampled, ``int64 (p + h,)``."""
        return torch.cat([self.pool, self.held_out])

    def of_held_out(self, samples: LabelledImages) -> LabelledImages:
        """The held-out samples."""
        return samples.take(torch.arange(len(self.pool), len(samples)))

    def as_train(self, samples: LabelledImages) -> LabelledImages:
        """As many of every class as there are real training images: the training set of CAS."""
        return _first_of_each(samples, self.pool, self.class_counts)

    def filling(self, samples: LabelledImages, ratio: float) -> LabelledImages:
        """``ratio`` images for each real one, of the classes that need them most (see :func:`filling_labels`)."""
        return _first_of_each(samples, self.pool, fill_counts(self.class_counts, ratio))


def fill_total(class_counts: Tensor, ratio: float) -> int:
    """Synthetic images in all for so many a real one, at least one."""
    return max(1, round(ratio * int(class_counts.sum())))


def fill_counts(class_counts: Tensor, ratio: float) -> Tensor:
    """Synthetic images a class for so many a real one, ``int64 (K,)``."""
    labels = filling_labels(class_counts, fill_total(class_counts, ratio))
    return torch.bincount(labels, minlength=len(class_counts))


def compared(data: LabelledImages, n: int) -> LabelledImages:
    """``n`` real images that samples are compared with, in the classes' proportions."""
    return data.take(balanced_subset(data.labels, len(data.classes), n))


def plan_samples(class_counts: Tensor, ratios: list[float], test_labels: Tensor, held_out: int) -> SamplePlan:
    """What a cell has to draw.

    Args:
        class_counts: ``int64 (K,)``: real training images of the setting.
        ratios: Synthetic images a real one, of the mixed arms.
        test_labels: ``int64 (n,)``: labels of the test split.
        held_out: Samples to hold out.
    """
    need = torch.stack([class_counts, *(fill_counts(class_counts, ratio) for ratio in ratios)]).amax(dim=0)
    pool = balanced_labels(need, int(need.sum()))
    tested = test_labels[balanced_subset(test_labels, len(class_counts), held_out)]
    return SamplePlan(class_counts, pool, tested)


def _first_of_each(samples: LabelledImages, pool: Tensor, counts: Tensor) -> LabelledImages:
    """The first so many samples of every class in the pool, in the order drawn.

    Raises:
        DataError: If the pool has fewer of a class.
    """
    rank = torch.zeros_like(pool)
    for label in range(len(counts)):
        members = torch.nonzero(pool == label).flatten()
        if len(members) < int(counts[label]):
            raise DataError(f"an arm needs {int(counts[label])} samples of class {label}, got {len(members)}")
        rank[members] = torch.arange(len(members))
    return samples.take(torch.nonzero(rank < counts[pool]).flatten())
