"""Data settings: how much of the training images a generator and a classifier have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchbench.config import SettingsSpec
from benchbench.datasets.subset import subset_index
from benchbench.types import LabelledImages


@dataclass(frozen=True)
class Setting:
    """A part of the training images; subsampled before anything is fitted on them.

    Attributes:
        fraction: Of every class, in (0, 1].
        imbalance: Largest over smallest class, at least 1.
    """

    fraction: float = 1.0
    imbalance: float = 1.0

    @property
    def name(self) -> str:
        """``full``, ``fraction-0.01``, ``imbalance-10`` or both; fit for a file name."""
        parts = [f"fraction-{_exact(self.fraction)}"] if self.fraction < 1 else []
        parts += [f"imbalance-{_exact(self.imbalance)}"] if self.imbalance > 1 else []
        return "-".join(parts) or "full"

    @property
    def whole(self) -> bool:
        """Whether all training images are in it."""
        return self.fraction == 1 and self.imbalance == 1

    @property
    def text(self) -> str:
        """For people."""
        if self.whole:
            return "all training images"
        share = f"{100 * self.fraction:g} % of the training images" if self.fraction < 1 else "the training images"
        return share if self.imbalance == 1 else f"{share}, classes imbalanced {self.imbalance:g}:1"

    def index(self, train: LabelledImages, seed: int) -> Tensor:
        """Which training images are in this setting, ``int64 (n,)`` ascending: another subset for every seed."""
        if self.whole:
            return torch.arange(len(train))
        return subset_index(train.labels, len(train.classes), self.fraction, self.imbalance, seed)

    def of(self, train: LabelledImages, seed: int) -> LabelledImages:
        """The training images in this setting."""
        return train if self.whole else train.take(self.index(train, seed))


def _exact(value: float) -> str:
    """As short as can be, but another text for every number: names tell settings apart."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


# All training images.
FULL = Setting()


def all_settings(spec: SettingsSpec) -> Sequence[Setting]:
    """Every fraction with every imbalance; the most images first, balanced ones before imbalanced."""
    pairs = [(imbalance, -fraction) for imbalance in spec.imbalance for fraction in spec.fractions]
    return [Setting(-fraction, imbalance) for imbalance, fraction in sorted(pairs)]
