"""A small convolutional classifier."""

from __future__ import annotations

from torch import Tensor, nn

from benchbench.networks.conv import size_ladder


class SmallCnn(nn.Module):
    """Two 3x3 convolutions at every size, then a linear feature layer and a linear classifier.

    Args:
        shape: (C, H, W) of the images.
        num_classes: K.
        width: Channels at the full size; doubled at every halving, up to ``4 * width``.
        features: Length d of the penultimate layer.
    """

    def __init__(self, shape: tuple[int, int, int], num_classes: int, width: int, features: int) -> None:
        super().__init__()
        channels, height, width_px = shape
        ladder = size_ladder(height, width_px)
        layers: list[nn.Module] = []
        now = channels
        for level in range(len(ladder)):
            then = width * min(4, 2**level)
            stride = 1 if level == 0 else 2
            layers += [nn.Conv2d(now, then, 3, stride, 1, bias=False), nn.BatchNorm2d(then), nn.ReLU()]
            layers += [nn.Conv2d(then, then, 3, 1, 1, bias=False), nn.BatchNorm2d(then), nn.ReLU()]
            now = then
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.feature = nn.Linear(now * ladder[-1][0] * ladder[-1][1], features)
        self.head = nn.Linear(features, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to the penultimate activations ``float (B, d)``, before ReLU."""
        out: Tensor = self.feature(self.body(images))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to logits ``float (B, K)``."""
        out: Tensor = self.head(self.features(images).relu())
        return out
