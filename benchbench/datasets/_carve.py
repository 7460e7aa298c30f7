"""The three splits of one's own images: those that are given, and the rest carved out class by class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from benchbench.datasets._decoded import part as taken
from benchbench.datasets._repeats import warn_of_repeats
from benchbench.errors import DataError
from benchbench.types import Config, Dataset, LabelledImages

Index = npt.NDArray[np.int64]

SPLITS = ("train", "val", "test")

# Fixed, so that every run on the same images speaks of the same splits.
SPLIT_SEED = 0


class Shares(Config):
    """How much is held out where the images do not come in splits."""

    val_share: float = Field(0.15, gt=0, lt=0.5, description="Part of every class that is carved out as val.")
    test_share: float = Field(0.15, gt=0, lt=0.5, description="The same for test, where no test images are given.")


def carved(name: str, given: Mapping[str, LabelledImages], shares: Shares) -> Dataset:
    """Complete the splits: what is missing of ``val`` and ``test`` is carved out of ``train``.

    Images that stand in two splits are counted in a warning: a test image that was trained on flatters everything.

    Args:
        name: Of the dataset.
        given: ``train`` and any of ``val`` and ``test``, with the same classes.
        shares: Parts of every class of ``given["train"]``, rounded, at least one image each.

    Raises:
        DataError: If a class has too few images to be in every split, or the splits do not fit together.
    """
    missing = {
        split: share for split, share in (("val", shares.val_share), ("test", shares.test_share)) if split not in given
    }
    train = given["train"]
    _enough(name, train, len(missing))
    index = _divide(train, list(missing.values()))
    parts = dict(zip((*missing, "train"), (taken(train, each) for each in index), strict=True))
    whole = {**given, **parts}
    warn_of_repeats(name, whole)
    return Dataset(name, train=whole["train"], val=whole["val"], test=whole["test"])


def _enough(name: str, train: LabelledImages, missing: int) -> None:
    counts = train.class_counts.tolist()
    few = {kind: n for kind, n in zip(train.classes, counts, strict=True) if n <= missing}
    if few:
        listed = ", ".join(f"{kind!r} {n}" for kind, n in list(few.items())[:5])
        raise DataError(
            f"dataset {name!r}: {len(few)} of {len(counts)} classes have too few images to be in every split "
            f"({listed}), expected at least {missing + 1} each; add images or leave these classes out"
        )


def _divide(train: LabelledImages, shares: list[float]) -> list[Tensor]:
    """Positions of each carved part and, last, of what remains; each ascending, every class in each.

    RandomState's streams are frozen by numpy; those of the newer generators may change with a release.
    """
    random = np.random.RandomState(SPLIT_SEED)
    labels = train.labels.numpy()
    pieces: list[list[Index]] = [[] for _ in (*shares, "rest")]
    for label in range(len(train.classes)):
        order = random.permutation(np.flatnonzero(labels == label))
        # one image must remain for each part that is still to come
        sizes = [max(1, min(round(share * len(order)), len(order) - len(shares))) for share in shares]
        if sum(sizes) >= len(order):
            sizes = [1] * len(shares)
        for piece, part in zip(pieces, np.split(order, np.cumsum(sizes)), strict=True):
            piece.append(part)
    return [torch.from_numpy(np.sort(np.concatenate(piece))) for piece in pieces]
