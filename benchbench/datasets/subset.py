"""Fewer training images: a fraction of every class, or a long tail of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from benchbench.seeding import torch_generator


def class_sizes(class_counts: Tensor, fraction: float, imbalance: float) -> Tensor:
    """Images kept of every class.

    ``n_c = max(1, round(fraction * N_c * imbalance^(-c / (K - 1))))``: class 0 keeps its fraction, the last class
    ``imbalance`` times less, exponentially in between (the long-tailed CIFAR of Cui et al. 2019).

    Args:
        class_counts: ``int64 (K,)``, the N_c.
        fraction: In (0, 1].
        imbalance: Largest over smallest class, at least 1.

    Returns:
        ``int64 (K,)``, each at least 1 where the class has any image.
    """
    classes = len(class_counts)
    tail = imbalance ** -(torch.arange(classes, dtype=torch.float64) / max(1, classes - 1))
    kept = (fraction * class_counts.double() * tail).round().to(torch.int64)
    return torch.minimum(kept.clamp(min=1), class_counts)


def subset_index(labels: Tensor, num_classes: int, fraction: float, imbalance: float, seed: int) -> Tensor:
    """Which training images a data setting keeps.

    Subsets of one seed are nested: what a smaller fraction keeps, a larger one keeps too.

    Args:
        labels: ``int64 (N,)``.
        num_classes: K.
        fraction: Of every class, in (0, 1].
        imbalance: See :func:`class_sizes`.
        seed: Decides which images are kept; where all are, it does not matter.

    Returns:
        ``int64 (n,)``, ascending, without repeats.
    """
    sizes = class_sizes(torch.bincount(labels, minlength=num_classes), fraction, imbalance)
    return take_of_each(labels, sizes, seed, "subset")


def take_of_each(labels: Tensor, sizes: Tensor, seed: int, scope: str) -> Tensor:
    """So many images of every class, in an order of chance; what fewer take, more take too.

    Args:
        labels: ``int64 (N,)``.
        sizes: ``int64 (K,)``: images wanted of each class.
        seed: Decides the order, with ``scope``.
        scope: What the images are for, so that two purposes of one seed take different ones.

    Returns:
        ``int64 (n,)``, ascending, without repeats.
    """
    kept = []
    for label, size in enumerate(sizes.tolist()):
        members = torch.nonzero(labels == label).flatten()
        order = torch.randperm(len(members), generator=torch_generator(seed, scope, label))
        kept.append(members[order[:size]])
    return torch.cat(kept).sort().values
