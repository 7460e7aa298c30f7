"""Control: held-out images of half of the classes. Metrics must see that the other half is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

import benchbench as bb

from .real_holdout import RealHoldout


class ModeDrop(RealHoldout):
    """Gives back images of the validation split, of the first half of the classes (rounded up) only.

    With k classes kept, label i gets images of class i modulo k: real ones, under a wrong label.
    """

    name = "mode_drop"
    expected = None
    mislabels: ClassVar[bool] = True

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> None:
        """Keep the images of the first half of the classes."""
        self.kept = (len(train.classes) + 1) // 2
        super().fit(train.take(torch.nonzero(train.labels < self.kept).flatten()), ctx)

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """Draw without repeats while there are images of the kept class."""
        return super().sample(labels % self.kept, ctx)

    def state_dict(self) -> dict[str, Any]:
        """The images, and how many classes are kept."""
        return {**super().state_dict(), "kept": self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The same again."""
        super().load_state_dict(state)
        self.kept = state["kept"]


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the control."""
    return [ModeDrop]
