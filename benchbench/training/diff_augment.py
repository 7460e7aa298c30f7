"""Differentiable augmentation: what lets a discriminator not learn few images by heart (Zhao 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Change = Literal["color", "translation", "cutout"]

# Zhao 2020, Appendix: brightness by up to half of the range [0, 1], so of 1 in [-1, 1] units half a unit either way;
# saturation and contrast by factors in 0..2 and 0.5..1.5; shifts of an eighth, holes of half the side.
BRIGHTNESS, SATURATION, CONTRAST = 0.5, 1.0, 0.5
SHIFT, HOLE = 0.125, 0.5


def diff_augment(images: Tensor, policy: Sequence[Change], generator: torch.Generator) -> Tensor:
    """Change every image at random by operations that gradients pass through.

    Given to real and generated images alike, before the discriminator, in its own step and in the generator's
    (Zhao 2020, Eq. 2 and 3): then the changes do not leak into what is generated.

    Args:
        images: ``float (B, C, H, W)`` in [-1, 1].
        policy: Which changes, in this order. None of them leaves the images as they are and draws nothing.
        generator: On the images' device.

    Returns:
        ``float (B, C, H, W)``; colours may leave [-1, 1], as in the paper.
    """
    for change in policy:
        images = _CHANGES[change](images, generator)
    return images


def _uniform(images: Tensor, generator: torch.Generator, count: int) -> Tensor:
    """``count`` numbers in [0, 1) an image, ``(count, B, 1, 1, 1)``."""
    return torch.rand(count, len(images), 1, 1, 1, generator=generator, device=images.device)


def _color(images: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness added; then distance from each pixel's grey, then from the image's mean, scaled."""
    shift, saturation, contrast = (2 * _uniform(images, generator, 3) - 1).to(images.dtype).unbind()
    images = images + BRIGHTNESS * shift
    grey = images.mean(dim=1, keepdim=True)
    images = torch.lerp(grey.expand_as(images), images, 1 + SATURATION * saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, 1 + CONTRAST * contrast)


def _whole(uniform: Tensor, least: int, most: int) -> Tensor:
    """Numbers in [0, 1) as whole ones from ``least`` to ``most``, all equally likely."""
    return least + (uniform * (most - least + 1)).floor().clamp(max=most - least)


def _translation(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted by whole pixels, black (0 in [-1, 1] units: grey) where nothing was."""
    height, width = images.shape[2:]
    uniform = _uniform(images, generator, 2)
    down = _whole(uniform[0], -int(height * SHIFT + 0.5), int(height * SHIFT + 0.5))
    right = _whole(uniform[1], -int(width * SHIFT + 0.5), int(width * SHIFT + 0.5))
    rows = torch.arange(height, device=images.device)[None, :] - down[:, 0, 0]
    columns = torch.arange(width, device=images.device)[None, :] - right[:, 0, 0]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    which = torch.arange(len(images), device=images.device)[:, None, None]
    source = (rows.clamp(0, height - 1)[:, :, None].long(), columns.clamp(0, width - 1)[:, None, :].long())
    moved = images.permute(0, 2, 3, 1)[which, source[0], source[1]].permute(0, 3, 1, 2)
    return moved * inside[:, None].to(images.dtype)


def _cutout(images: Tensor, generator: torch.Generator) -> Tensor:
    """A square of half the side set to 0, its centre anywhere in the image."""
    height, width = images.shape[2:]
    uniform = _uniform(images, generator, 2)
    hole = torch.ones(len(images), 1, height, width, dtype=torch.bool, device=images.device)
    for axis, side, where in ((2, height, uniform[0]), (3, width, uniform[1])):
        size = int(side * HOLE + 0.5)
        first = _whole(where, 0, side - size % 2) - size // 2
        place = torch.arange(side, device=images.device).view([-1 if at == axis else 1 for at in range(4)])
        hole &= (place >= first) & (place < first + size)
    return images * (~hole).to(images.dtype)


_CHANGES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
