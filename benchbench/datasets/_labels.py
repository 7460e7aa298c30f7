"""Labels and class names as files hold them, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchbench.errors import DataError
from benchbench.types import LabelledImages

# More classes than any dataset has: a label beyond is a mistake, and every class below it would be listed.
LARGEST_LABEL = 100_000


def checked_labels(array: npt.NDArray[Any], who: str) -> Tensor:
    """``int64 (N,)`` from whole numbers ``(N,)`` or ``(N, 1)`` counted from 0.

    Raises:
        DataError: If they are of another form or out of range.
    """
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        raise DataError(f"{who}: got {array.dtype} {array.shape}, expected whole numbers (N,) or (N, 1)")
    if array.ndim == 2 and array.shape[1] != 1:
        raise DataError(f"{who}: got shape {array.shape}, expected one label an image: (N,) or (N, 1)")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < LARGEST_LABEL:
        raise DataError(
            f"{who}: got {array.min()}..{array.max()}, expected labels counted from 0 (a negative one often stands for "
            "an unlabelled image, which cannot be benchmarked)"
        )
    return torch.from_numpy(array.ravel().astype(np.int64))


def unlabelled(images: Tensor) -> LabelledImages:
    """Images ``uint8 (N, C, H, W)`` without labels: all of one class, ``unlabelled``."""
    return LabelledImages(images, torch.zeros(len(images), dtype=torch.int64), ("unlabelled",))


def class_names(names: Sequence[str] | None, labels: Iterable[Tensor], who: str) -> tuple[str, ...]:
    """The classes by label: as named, else by their numbers up to the largest label.

    Raises:
        DataError: If a label has no name, or two have the same.
    """
    count = 1 + max(int(each.max()) if len(each) else -1 for each in labels)
    if names is None:
        return tuple(str(label) for label in range(count))
    if len(names) < count or len(set(names)) != len(names):
        raise DataError(f"{who}: names {len(set(names))} different classes, but has labels up to {count - 1}")
    return tuple(names)
