"""How a network is told the class: by its norms (generators) or by its last layer (discriminators)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and a shift for every class (Dumoulin 2017, Eq. 5; de Vries 2017).

    Starts as plain batch norm: all scales one, all shifts zero.

    Args:
        channels: C.
        num_classes: K.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(num_classes, channels))
        self.shift = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise ``float (B, C, H, W)`` and scale by its ``labels (B,)``."""
        normed = self.norm(x)
        # In mixed precision, float32 ones would make all that follows float32, up to the next convolution.
        scale, shift = (
            functional.embedding(labels, weight).to(normed.dtype)[:, :, None, None]
            for weight in (self.scale, self.shift)
        )
        return torch.addcmul(shift, normed, scale)


class ProjectionHead(nn.Module):
    """Score of a feature vector and a class: ``psi(h) + <e_y, h>`` (Miyato & Koyama 2018, Eq. 3).

    Without classes, ``psi(h)`` alone: a linear layer with one output. Always in float32: with the 8 bits of mixed
    precision, a score of 10 would be rounded to a sixteenth.

    Args:
        features: Length of h.
        num_classes: K, or None where the score does not depend on a class.
    """

    def __init__(self, features: int, num_classes: int | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        # All classes at once, as a linear layer: so the embeddings are initialised by its fan-in.
        self.classes = None if num_classes is None else nn.Linear(features, num_classes, bias=False)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """``float (B, d)`` and ``int64 (B,)`` to scores ``float (B,)``."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.linear.weight.dtype)
            score: Tensor = self.linear(features)[:, 0]
            if self.classes is None:
                return score
            of_class: Tensor = self.classes(features).gather(1, labels[:, None])[:, 0]
            return score + of_class
