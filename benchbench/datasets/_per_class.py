"""Class-balanced splits of a published dataset: so many images a class, the same ones for everyone."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Fixed, so that every benchmark on one dataset speaks of the same images.
SPLIT_SEED = 0

# Images that are resampled at once.
BLOCK = 4096

Index = npt.NDArray[np.int64]


def fits(train_per_class: int | None, val_per_class: int, available: int) -> None:
    """Check that train and val together ask for no more images a class than there are.

    Raises:
        ValueError: If they do.
    """
    wanted = (train_per_class or 1) + val_per_class
    if wanted > available:
        raise ValueError(f"train_per_class + val_per_class is {wanted}, but there are {available} images a class")


def shuffled_by_class(labels: npt.NDArray[np.integer], num_classes: int) -> list[Index]:
    """The positions of each class's images, in an order that never changes.

    RandomState's streams are frozen by numpy; those of the newer generators may change with a release.
    """
    random = np.random.RandomState(SPLIT_SEED)
    return [random.permutation(np.flatnonzero(labels == label)) for label in range(num_classes)]


def resample(images: Tensor, size: int) -> Tensor:
    """``uint8 (N, C, H, W)`` to ``(N, C, size, size)``, which is smaller.

    torch's bilinear kernel with antialiasing (a triangle as wide as two output pixels), in float32, rounded to the
    nearest level, halves to even.
    """
    blocks = images.split(BLOCK)  # so that the whole dataset never stands there as floats
    kernel = partial(
        torch.nn.functional.interpolate, size=(size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return torch.cat([kernel(block.float()).round_().clamp_(0, 255).to(torch.uint8) for block in blocks])
