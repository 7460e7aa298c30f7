"""EfficientNet-Lite0 (Tan & Le 2019): ReLU6 and no squeeze-and-excitation, so that small devices can run it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Tan & Le 2019, Table 1, in Lite0's widths: kernel, stride of the first block, expansion, channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD, CLASSES = 32, 1280, 1000

# TensorFlow's default for these networks; torch's 1e-5 would change every activation.
EPSILON = 1e-3


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's ``SAME``: output is ceil(size / stride), the odd pixel right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ceil(H / stride), ceil(W / stride))``."""
        padding = []
        for size, kernel, stride in zip(images.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(nn.functional.pad(images, padding))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """Inverted bottleneck (Sandler 2018): widen, filter each channel, narrow; skipped where shapes agree.

    Attributes are named as in the published state dict, here and in :class:`EfficientNetLite0`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv(inputs, inner, 1)
            self._bn0 = _norm(inner)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _norm(inner)
        self._project_conv = SameConv(inner, outputs, 1)
        self._bn2 = _norm(outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ...)``."""
        x = nn.functional.relu6(self._bn0(self._expand_conv(images))) if self.expands else images
        x = nn.functional.relu6(self._bn1(self._depthwise_conv(x)))
        x = self._bn2(self._project_conv(x))
        out: Tensor = x + images if self.skips else x
        return out


class EfficientNetLite0(nn.Module):
    """The ImageNet network. Parameters are on the ``meta`` device until a state dict is assigned."""

    def __init__(self) -> None:
        super().__init__()
        with torch.device("meta"):
            self._conv_stem = SameConv(3, STEM, 3, 2)
            self._bn0 = _norm(STEM)
            blocks, inputs = [], STEM
            for kernel, first_stride, expansion, outputs, repeats in STAGES:
                for repeat in range(repeats):
                    stride = first_stride if repeat == 0 else 1
                    blocks.append(Block(inputs, outputs, kernel, stride, expansion))
                    inputs = outputs
            self._blocks = nn.Sequential(*blocks)
            self._conv_head = SameConv(inputs, HEAD, 1)
            self._bn1 = _norm(HEAD)
            self._fc = nn.Linear(HEAD, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """``float (B, 3, H, W)``, (pixel - 127) / 128, to the pooled ``float (B, 1280)``."""
        x = nn.functional.relu6(self._bn0(self._conv_stem(images)))
        x = nn.functional.relu6(self._bn1(self._conv_head(self._blocks(x))))
        return x.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """``float (B, 3, H, W)``, (pixel - 127) / 128, to ImageNet logits ``float (B, 1000)``."""
        out: Tensor = self._fc(self.features(images))
        return out
