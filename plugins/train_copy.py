"""Control: the training set itself. Perfect by distance, useless, and unsafe."""

from __future__ import annotations

from collections.abc import Sequence

import benchbench as bb

from .real_holdout import RealHoldout


class TrainCopy(RealHoldout):
    """Gives back training images: what a generator that memorizes would do."""

    name = "train_copy"
    fit_split = "train"
    expected = "copied"


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the control."""
    return [TrainCopy]
