"""How the arithmetic of training is done; what is computed is the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["f32", "bf16"]


@dataclass(frozen=True)
class Compute:
    """Choices that make training faster on some hardware.

    Attributes:
        precision: Of convolutions and matrix products while training. ``bf16`` keeps weights, losses and optimizers
            in float32 (mixed precision, Micikevicius 2018) and has its own content keys, for it moves results.
        channels_last: Whether images and weights lie in memory channel by channel of one pixel (NHWC).
        compile: Whether networks go through ``torch.compile``.
        cuda_graphs: Whether compiled networks replay recorded CUDA graphs; needs ``compile`` and a GPU.
    """

    precision: Precision = "f32"
    channels_last: bool = False
    compile: bool = False
    cuda_graphs: bool = False
