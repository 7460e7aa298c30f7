"""Control: training images drawn again and again. What filling up small classes by copies does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import benchbench as bb

from .real_holdout import RealHoldout


class Oversampling(RealHoldout):
    """Gives back training images of the wanted classes, unchanged, drawn with replacement."""

    name = "oversampling"
    fit_split = "train"
    expected = None

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """Every image of the label's class is as likely as any other, at every draw."""
        members = self.labels.argsort(stable=True)
        counts = self.labels.bincount()
        first = counts.cumsum(0) - counts

        def draw(block: Tensor, generator: torch.Generator) -> Tensor:
            # 62 random bits modulo the class's size: no image is favoured by more than 1 in 2^62 / size
            bits = torch.randint(2**62, block.shape, generator=generator, device=block.device).cpu()
            wanted = block.cpu()
            return self.images[members[first[wanted] + bits % counts[wanted]]]

        return bb.sample_in_blocks(labels, ctx, draw)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the control."""
    return [Oversampling]
