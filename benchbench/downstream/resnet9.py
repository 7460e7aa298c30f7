"""ResNet-9 as downstream classifier: 94 % on CIFAR-10 in seconds of a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, max_pool2d

from benchbench.downstream._network_classifier import Descent, DescentClassifier, too_small
from benchbench.hookspecs import hookimpl
from benchbench.types import Classifier
from benchbench.types import Config as BaseConfig

SMALLEST = 8
# The logits are scaled down, so that the learning rate of the last layer is in proportion (Page 2018).
LOGIT_SCALE = 0.125


class ConvNorm(nn.Module):
    """A 3x3 convolution, batch norm, ReLU, and 2x2 max pooling where asked for."""

    def __init__(self, channels: int, width: int, *, pool: bool = False) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """``float (B, channels, H, W)`` to ``float (B, width, H, W)``, or half the size, rounded up."""
        out = self.norm(self.convolution(x)).relu()
        return max_pool2d(out, 2, ceil_mode=True) if self.pool else out


class ResNet9(nn.Module):
    """Eight convolutions and a linear layer (Page, "How to train your ResNet", 2018).

    Widths w, 2w, 4w and 8w, each after a halving; two residual blocks, at 2w and at 8w; the maximum over pixels.

    Args:
        channels: C of the images, which are at least 8x8.
        num_classes: K.
        width: w.
    """

    def __init__(self, channels: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.stem = ConvNorm(channels, width)
        self.first = ConvNorm(width, 2 * width, pool=True)
        self.first_residual = nn.Sequential(*(ConvNorm(2 * width, 2 * width) for _ in range(2)))
        self.second = ConvNorm(2 * width, 4 * width, pool=True)
        self.third = ConvNorm(4 * width, 8 * width, pool=True)
        self.third_residual = nn.Sequential(*(ConvNorm(8 * width, 8 * width) for _ in range(2)))
        self.head = nn.Linear(8 * width, num_classes, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to the penultimate activations ``float (B, 8 w)``."""
        x = self.first(self.stem(images))
        x = x + self.first_residual(x)
        x = self.third(self.second(x))
        x = x + self.third_residual(x)
        return adaptive_max_pool2d(x, 1).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to logits ``float (B, K)``."""
        out: Tensor = LOGIT_SCALE * self.head(self.features(images))
        return out


def triangle(index: int, total: int, peak: float) -> float:
    """Fraction of the largest learning rate at step ``index`` of ``total``: up to ``peak``, down to zero, straight.

    Args:
        index: 0-based step.
        total: Steps planned.
        peak: Where between the first and the last step the rate is largest, in (0, 1).

    Returns:
        A number in (0, 1].
    """
    at = (index + 1) / (total + 1)
    return at / peak if at <= peak else (1 - at) / (1 - peak)


class ResNet9Classifier(DescentClassifier):
    """:class:`ResNet9` with one triangle of learning rates; no augmentation of its own.

    With the protocol's classical augmentation, batches of 512 and some 2,300 steps (24 epochs of 50,000 images)
    these are the settings that were published for 94 % on CIFAR-10.
    """

    name = "resnet9"

    class Config(BaseConfig):
        """Size and optimizer."""

        width: int = Field(64, ge=1, description="Channels at full size; eight times as many at an eighth of it.")
        batch_size: int = Field(512, ge=2, description="Images a step.")
        learning_rate: float = Field(0.4, gt=0, description="Largest learning rate.")
        peak: float = Field(0.2, gt=0, lt=1, description="Part of the steps after which it is reached.")
        momentum: float = Field(0.9, gt=0, lt=1, description="Nesterov's momentum.")
        weight_decay: float = Field(5e-4, ge=0, description="Added to the gradient, as a part of the weights.")
        label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of the target that goes to all classes.")

    def build(self, shape: tuple[int, int, int], num_classes: int) -> ResNet9:
        """For images of at least 8x8."""
        if min(shape[1:]) < SMALLEST:
            raise too_small(self.name, shape, SMALLEST)
        return ResNet9(shape[0], num_classes, self.config.width)

    def step(self, network: nn.Module) -> Descent:
        """Stochastic gradient descent with Nesterov's momentum, on the smoothed cross-entropy."""
        config = self.config
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=True,
            fused=next(network.parameters()).device.type in ("cpu", "cuda"),
        )
        return Descent(network, optimizer, partial(triangle, peak=config.peak), config.label_smoothing)


@hookimpl
def benchbench_classifiers() -> Sequence[type[Classifier]]:
    """Bring ResNet-9."""
    return [ResNet9Classifier]
