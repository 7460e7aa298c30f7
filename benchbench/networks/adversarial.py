"""The two players of a GAN, with or without classes."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from benchbench.networks.conditioning import ConditionalBatchNorm, ProjectionHead
from benchbench.networks.conv import Downsampler, NormFactory, Upsampler


class LatentDecoder(nn.Module):
    """Latent vectors to images: an :class:`Upsampler` with norms and a tanh.

    Args:
        z_dim: Length of a latent vector.
        shape: (C, H, W) of the images.
        width: Channels before the last convolution.
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
        self.conditional = num_classes is not None
        if num_classes is not None:
            norm = partial(ConditionalBatchNorm, num_classes=num_classes)
        self.upsampler = Upsampler(z_dim, shape, width, norm)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """``float (B, z_dim)`` and ``int64 (B,)`` to ``float (B, C, H, W)`` in [-1, 1]."""
        out: Tensor = self.upsampler(latents, labels if self.conditional else None).tanh()
        return out


class Critic(nn.Module):
    """Images to one score each: a :class:`Downsampler` and a :class:`ProjectionHead`.

    Args:
        shape: (C, H, W) of the images.
        width: Channels after the first convolution.
        num_classes: K, for a score of image and class; None for a score of the image alone.
        norm: Norm after every convolution but the first, or None.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        num_classes: int | None = None,
        norm: NormFactory | None = None,
    ) -> None:
        super().__init__()
        self.downsampler = Downsampler(shape, width, norm)
        self.head = ProjectionHead(self.downsampler.out_features, num_classes)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] and ``int64 (B,)`` to scores ``float (B,)``."""
        out: Tensor = self.head(self.downsampler(images), labels)
        return out
