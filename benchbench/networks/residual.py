"""The two players of a GAN as residual networks."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, relu

from benchbench.networks.conditioning import ConditionalBatchNorm, ProjectionHead
from benchbench.networks.conv import NormFactory, size_ladder

# The discriminator halves its images down to this size and looks at them there twice more (Miyato 2018, App. B).
SMALLEST_SEEN = 8
BLOCKS_THERE = 2

Size = tuple[int, int]


class UpBlock(nn.Module):
    """Norm, ReLU, upsampling, convolution, norm, ReLU, convolution, beside an upsampled 1x1 convolution.

    Args:
        width: Channels in and out.
        size: Height and width of the output.
        norm: Made from the number of channels.
    """

    def __init__(self, width: int, size: Size, norm: NormFactory) -> None:
        super().__init__()
        self.size = size
        self.first_norm, self.second_norm = norm(width), norm(width)
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        """``float (B, width, h, w)`` to ``float (B, width, *size)``; ``condition`` goes to the norms."""
        h = self.first(interpolate(relu(self.first_norm(x, *condition)), size=self.size, mode="nearest"))
        h = self.second(relu(self.second_norm(h, *condition)))
        # A 1x1 convolution and copying pixels commute; it is cheaper on the smaller image.
        out: Tensor = h + interpolate(self.shortcut(x), size=self.size, mode="nearest")
        return out


class DownBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, average pooling, beside a 1x1 convolution that is pooled too.

    A block that neither shrinks nor widens has its input beside it, as in the papers' code.

    Args:
        channels: In.
        width: Out.
        seen: Height and width of the input.
        size: Height and width of the output.
        first: Whether this block sees pixels: it then has no ReLU before its first convolution, which would
            throw away all that is darker than grey.
    """

    def __init__(self, channels: int, width: int, seen: Size, size: Size, *, first: bool = False) -> None:
        super().__init__()
        self.size, self.shrinks, self.sees_pixels = size, seen != size, first
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        if first or channels != width or self.shrinks:
            self.shortcut = nn.Conv2d(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``float (B, channels, h, w)`` to ``float (B, width, *size)``."""
        h = self.second(relu(self.first(x if self.sees_pixels else relu(x))))
        if self.shrinks:  # pooling first gives the same shortcut from fewer pixels
            h, x = adaptive_avg_pool2d(h, self.size), adaptive_avg_pool2d(x, self.size)
        out: Tensor = h + self.shortcut(x)
        return out


class ResidualDecoder(nn.Module):
    """Latent vectors to images (Gulrajani 2017, App. F; Miyato 2018, App. B): blocks of one width, and a tanh.

    Args:
        z_dim: Length of a latent vector.
        shape: (C, H, W) of the images.
        width: Channels throughout; 128 and 256 in the papers, for 32x32.
        num_classes: K, for class-conditional batch norm; None for ``norm``.
        norm: Of an unconditional network.
    """

    def __init__(
        self,
        z_dim: int,
        shape: tuple[int, int, int],
        width: int,
        num_classes: int | None = None,
        norm: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        channels, height, width_px = shape
        self.conditional = num_classes is not None
        if num_classes is not None:
            norm = partial(ConditionalBatchNorm, num_classes=num_classes)
        ladder = size_ladder(height, width_px)[::-1]
        self.start = ladder[0]
        self.first = nn.Linear(z_dim, width * self.start[0] * self.start[1])
        self.blocks = nn.ModuleList(UpBlock(width, size, norm) for size in ladder[1:])
        self.last_norm = nn.BatchNorm2d(width) if self.conditional else norm(width)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """``float (B, z_dim)`` and ``int64 (B,)`` to ``float (B, C, H, W)`` in [-1, 1]."""
        condition = (labels,) if self.conditional else ()
        x = self.first(latents).unflatten(1, (-1, *self.start))
        for block in self.blocks:
            x = block(x, *condition)
        return torch.tanh(self.last(relu(self.last_norm(x))))


class ResidualCritic(nn.Module):
    """Images to one score each (Miyato 2018, App. B): shrinking blocks, two more, a sum over pixels, a linear head.

    Without norms: for spectral norm, or for a gradient penalty.

    Args:
        shape: (C, H, W) of the images.
        width: Channels throughout; 128 in the papers, for 32x32.
        num_classes: K, for a score of image and class; None for a score of the image alone.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, num_classes: int | None = None) -> None:
        super().__init__()
        channels, height, width_px = shape
        ladder = size_ladder(height, width_px, smallest=SMALLEST_SEEN)
        steps = [*pairwise(ladder), *[(ladder[-1], ladder[-1])] * BLOCKS_THERE]
        self.blocks = nn.Sequential(
            *(DownBlock(width if at else channels, width, *step, first=at == 0) for at, step in enumerate(steps))
        )
        self.head = ProjectionHead(width, num_classes)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] and ``int64 (B,)`` to scores ``float (B,)``."""
        features = relu(self.blocks(images)).sum(dim=(2, 3))
        out: Tensor = self.head(features, labels)
        return out
