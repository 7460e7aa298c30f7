"""Images that stand in two splits: a test image that was trained on flatters everything."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchbench.types import LabelledImages

PAIRS = (("test", "train"), ("test", "val"), ("val", "train"))

logger = logging.getLogger(__name__)


def warn_of_repeats(name: str, splits: Mapping[str, LabelledImages], remedy: str = "remove the repeats") -> None:
    """Warn, with their number, of images of one split that are also in another, pixel by pixel.

    Args:
        name: Of the dataset.
        splits: ``train``, ``val`` and ``test``, of one shape.
        remedy: Ends the warning.
    """
    rows = {split: data.images.reshape(len(data), -1).numpy() for split, data in splits.items()}
    sums = {split: _sums(each) for split, each in rows.items()}
    for first, second in PAIRS:
        # Equal images have equal sums, which costs a tenth of hashing them all; what is left is compared in full.
        alike = [rows[one][np.isin(sums[one], sums[other])] for one, other in ((first, second), (second, first))]
        there = {row.tobytes() for row in alike[1]}
        repeated = sum(row.tobytes() in there for row in alike[0])
        if repeated:
            logger.warning(
                "dataset %r: %d of %d %s images are also in %s, pixel by pixel: every accuracy on them is too good; %s",
                *(name, repeated, len(rows[first]), first, second, remedy),
            )


def _sums(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Of eight bytes at a time where they divide a row, modulo 2^64."""
    words = rows.view(np.uint64) if rows.shape[1] % 8 == 0 else rows
    sums: npt.NDArray[np.uint64] = words.sum(axis=1, dtype=np.uint64)
    return sums
