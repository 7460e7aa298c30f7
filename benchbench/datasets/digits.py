"""Digits: 1,797 real handwritten digits, 8x8 grey, shipped inside scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchbench.hookspecs import hookimpl
from benchbench.types import Dataset, DatasetSource, LabelledImages

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Fixed, so that every benchmark on digits speaks of the same images: 1,197 train, 300 val, 300 test.
SPLIT_SEED = 0
HELD_OUT = 300


class Digits(DatasetSource):
    """The test part of the UCI optical digits (Alpaydin & Kaynak 1998), as ``sklearn.datasets.load_digits``.

    Grey levels 0..16 are stored as round(level * 255 / 16), so 17 of the 256 values occur.
    """

    name = "digits"

    def check(self, data_dir: Path) -> str:
        """They come with a package that is always there."""
        return "comes with scikit-learn"

    def load(self, data_dir: Path) -> Dataset:
        """Split train 1,197 / val 300 / test 300, stratified, always the same way; ``data_dir`` is not used."""
        from sklearn.datasets import load_digits  # two seconds, which other benchmarks should not pay for

        bunch = load_digits()
        images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None])
        everything = LabelledImages(images, torch.from_numpy(bunch.target.astype(np.int64)), CLASSES)
        rest, test = _split(everything, np.arange(len(everything)))
        train, val = _split(everything, rest)
        return Dataset(self.name, *(everything.take(torch.from_numpy(np.sort(part))) for part in (train, val, test)))


def _split(data: LabelledImages, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``index`` in two, ``HELD_OUT`` of it in the second, in the same class proportions."""
    from sklearn.model_selection import train_test_split

    first, second = train_test_split(
        index, test_size=HELD_OUT, random_state=SPLIT_SEED, stratify=data.labels.numpy()[index]
    )
    return first, second


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring the digits."""
    return [Digits]
