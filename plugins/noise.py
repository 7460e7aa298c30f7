"""Control: uniform noise. The worst that any generator can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import benchbench as bb


class Noise(bb.Generator):
    """Every pixel independent and uniform over 0..255."""

    name = "noise"
    role = "control"
    expected = "worst"

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> None:
        """Learn the image shape."""
        self.shape = list(train.shape)

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """Noise, whatever the label."""

        def draw(block: Tensor, generator: torch.Generator) -> Tensor:
            size = (len(block), *self.shape)
            return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator, device=block.device)

        return bb.sample_in_blocks(labels, ctx, draw)

    def state_dict(self) -> dict[str, Any]:
        """The image shape."""
        return {"shape": self.shape}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The image shape again."""
        self.shape = list(state["shape"])


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the control."""
    return [Noise]
