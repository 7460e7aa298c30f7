"""Control: training images, classically augmented. What a generator must beat to be worth its cost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import benchbench as bb

from .real_holdout import RealHoldout, draw_by_class


class Classical(RealHoldout):
    """Gives back training images, each changed at random: mirrored, shifted, turned, recoloured."""

    name = "classical"
    fit_split = "train"
    expected = None

    class Config(bb.Augmentation, bb.Config):
        """The changes."""

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """Every training image of a class is used once before any is used twice, changed anew each time."""
        numbers = torch.arange(len(self.images))
        chosen = draw_by_class(numbers, self.labels, labels, ctx.seed)

        def draw(block: Tensor, generator: torch.Generator) -> Tensor:
            return bb.augment(self.images[block.cpu()].to(block.device), self.config, generator)

        return bb.sample_in_blocks(chosen, ctx, draw)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the control."""
    return [Classical]
