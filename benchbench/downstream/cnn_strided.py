"""Four strided convolutions and a dense layer: a plain classifier, trained slowly and long."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from benchbench.downstream._network_classifier import Descent, DescentClassifier, too_small
from benchbench.hookspecs import hookimpl
from benchbench.types import Classifier
from benchbench.types import Config as BaseConfig

LAYERS = 4
SMALLEST = 2**LAYERS


class StridedCnn(nn.Module):
    """4x4 convolutions of stride 2, each with batch norm and LeakyReLU 0.2, then one dense layer.

    Args:
        shape: (C, H, W) of the images, at least 16x16.
        num_classes: K.
        width: Channels after the first convolution; doubled by each of the other three.
    """

    def __init__(self, shape: tuple[int, int, int], num_classes: int, width: int) -> None:
        super().__init__()
        now, height, width_px = shape
        layers: list[nn.Module] = []
        for level in range(LAYERS):
            then = width * 2**level
            layers += [nn.Conv2d(now, then, 4, 2, 1, bias=False), nn.BatchNorm2d(then), nn.LeakyReLU(0.2)]
            now, height, width_px = then, height // 2, width_px // 2
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(now * height * width_px, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to what the dense layer sees, ``float (B, d)``."""
        out: Tensor = self.body(images)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to logits ``float (B, K)``."""
        out: Tensor = self.head(self.features(images))
        return out


class CnnStrided(DescentClassifier):
    """:class:`StridedCnn` and Adam at one learning rate throughout: what a first course would build."""

    name = "cnn_strided"

    class Config(BaseConfig):
        """Size and optimizer."""

        width: int = Field(64, ge=1, description="Channels after the first convolution; doubled by every further one.")
        batch_size: int = Field(64, ge=2, description="Images a step.")
        learning_rate: float = Field(1e-4, gt=0, description="Adam's, constant.")

    def build(self, shape: tuple[int, int, int], num_classes: int) -> StridedCnn:
        """For images of at least 16x16."""
        if min(shape[1:]) < SMALLEST:
            raise too_small(self.name, shape, SMALLEST)
        return StridedCnn(shape, num_classes, self.config.width)

    def step(self, network: nn.Module) -> Descent:
        """Adam on the cross-entropy."""
        fused = next(network.parameters()).device.type in ("cpu", "cuda")
        optimizer = torch.optim.Adam(network.parameters(), lr=self.config.learning_rate, fused=fused)
        return Descent(network, optimizer, lambda index, total: 1.0)


@hookimpl
def benchbench_classifiers() -> Sequence[type[Classifier]]:
    """Bring the strided CNN."""
    return [CnnStrided]
