"""Classical augmentation of whole batches, every image with its own draw."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from benchbench.types.augmentation import Augmentation
from benchbench.types.images import check_images

# One uniform number an image for each, drawn whether it is used or not.
DRAWS = ("flip", "shift_x", "shift_y", "rotation", "brightness", "contrast", "saturation", "hue", "cut_x", "cut_y")

GREY = 127.5

LUMA = (0.299, 0.587, 0.114)
# Of R - Y and of B - Y in the two chroma axes I and Q of the American colour television standard of 1953.
CHROMA = ((0.74, -0.27), (0.48, 0.41))


def _quarter_turn() -> list[list[float]]:
    """RGB to RGB ``(3, 3)``: luma to nothing, and the chroma (I, Q) to (Q, -I), from red towards yellow."""
    axes = np.array(CHROMA) @ (np.eye(3) - LUMA)[[0, 2]]
    back = np.linalg.inv(np.vstack([LUMA, axes]))
    turned: list[list[float]] = (back[:, 1:] @ np.array([[0.0, 1.0], [-1.0, 0.0]]) @ axes).tolist()
    return turned


QUARTER_TURN = _quarter_turn()


def augment(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Change every image at random, as ``how`` allows, and round once at the end.

    First geometry: mirrored, turned about the centre, shifted, in one bilinear interpolation in which edges
    repeat. Then colour: one linear map of an image's pixels, clipped to 0..255. Last, one square within the image is
    made grey (DeVries & Taylor 2017). With everything off the images come back bit for bit.

    ``len(DRAWS)`` numbers an image are drawn, whatever ``how`` says, so switching one change off leaves the
    others as they were. On the CPU the first k images do not depend on those after them.

    Args:
        images: ``uint8 (B, C, H, W)``, C = 1 or 3.
        how: The changes.
        generator: On the images' device; the only source of randomness.

    Returns:
        ``uint8 (B, C, H, W)``, a new tensor on the same device.

    Raises:
        DataError: If ``images`` are not uint8 images.
    """
    check_images(images, "augment")
    draws = torch.rand(len(images), len(DRAWS), generator=generator, device=images.device)
    drawn = dict(zip(DRAWS, draws.unbind(dim=1), strict=True))
    height, width = images.shape[2:]
    out = images.float()
    if len(images) and (how.flip or how.rotation or _most(how.crop, height) or _most(how.crop, width)):
        out = _warp(out, how, drawn)
    factors = how.brightness or how.contrast
    if factors or (images.shape[1] == 3 and (how.saturation or how.hue)):
        out = _recolour(out, how, drawn)
    if _most(how.cutout, height) and _most(how.cutout, width):
        out = out.masked_fill(_square(how, drawn, (height, width)), GREY)
    return out.round_().clamp_(0, 255).to(torch.uint8)


def _most(fraction: float, size: int) -> int:
    """The largest shift in whole pixels, which alone leave sharp what is not turned as well; the side of a square."""
    return int(fraction * size)


def _square(how: Augmentation, drawn: dict[str, Tensor], shape: tuple[int, int]) -> Tensor:
    """Where one square of every image lies, ``bool (B, 1, H, W)``; all places within the image are equally likely."""
    along = []
    for name, size in zip(("cut_y", "cut_x"), shape, strict=True):
        side = _most(how.cutout, size)
        start = (drawn[name] * (size - side + 1)).floor().clamp_(max=size - side)[:, None]
        place = torch.arange(size, device=start.device)
        along.append((place >= start) & (place < start + side))
    return (along[0][:, :, None] & along[1][:, None, :])[:, None]


def _signed(uniform: Tensor, bound: float) -> Tensor:
    """Uniform numbers in [0, 1) as uniform ones in [-bound, bound)."""
    return bound * (2 * uniform - 1)


def _whole(uniform: Tensor, most: int) -> Tensor:
    """Uniform numbers in [0, 1) as the whole ones -most..most, all equally likely."""
    return (uniform * (2 * most + 1)).floor().clamp_(max=2 * most) - most


def _warp(pixels: Tensor, how: Augmentation, drawn: dict[str, Tensor]) -> Tensor:
    """Mirror, turn (positive is clockwise) and shift ``float (B, C, H, W)``.

    ``grid_sample`` asks where each output pixel comes from, so it is the inverse map that is written down:
    the shift undone, then the turn, then the mirror, in pixels from the centre, divided by half the size.
    """
    height, width = pixels.shape[2:]
    mirror = 1 - 2 * (drawn["flip"] < 0.5).float() if how.flip else torch.ones_like(drawn["flip"])
    angle = _signed(drawn["rotation"], math.radians(how.rotation))
    right, down = (
        _whole(drawn[name], _most(how.crop, size)) for name, size in (("shift_x", width), ("shift_y", height))
    )
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([cos, sin * (height / width), -(cos * right + sin * down) * (2 / width)], dim=1)
            * mirror[:, None],
            torch.stack([-sin * (width / height), cos, (sin * right - cos * down) * (2 / height)], dim=1),
        ],
        dim=1,
    )
    grid = torch.nn.functional.affine_grid(theta, list(pixels.shape), align_corners=False)
    return torch.nn.functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _recolour(pixels: Tensor, how: Augmentation, drawn: dict[str, Tensor]) -> Tensor:
    """Brightness, contrast, saturation and hue of ``float (B, C, H, W)`` in 0..255, not clipped.

    With b, c, s the factors and Y the luma, x becomes ``b c chroma(x) + (1 - c) b mean(Y)``, where ``chroma``
    scales what differs from Y by s and turns it by the hue's angle in the plane of I and Q (YIQ). Brightness,
    contrast and saturation are those of torchvision and PIL; the hue keeps Y, unlike a turn in HSV.
    """
    channels = pixels.shape[1]
    brightness, contrast, saturation = (
        1 + _signed(drawn[name], getattr(how, name)) for name in ("brightness", "contrast", "saturation")
    )
    flat = pixels.flatten(2)
    if channels == 3:
        luma, _ = _colours(pixels.device)
        level = (luma[:, None] * flat).sum(dim=1).mean(dim=1)
        flat = _chroma(saturation, _signed(drawn["hue"], 2 * math.pi * how.hue)) @ flat
    else:
        level = flat.mean(dim=(1, 2))
    gain, offset = brightness * contrast, (1 - contrast) * brightness * level
    return (flat * gain[:, None, None] + offset[:, None, None]).view_as(pixels)


@functools.cache  # a number sent to a GPU anew is one that the GPU is waited for
def _colours(device: torch.device) -> tuple[Tensor, Tensor]:
    """:data:`LUMA` ``(3,)`` and :data:`QUARTER_TURN` ``(3, 3)`` in float32."""
    with torch.inference_mode(False):  # it may be asked for in that mode first
        return torch.tensor(LUMA, device=device), torch.tensor(QUARTER_TURN, device=device)


def _chroma(saturation: Tensor, angle: Tensor) -> Tensor:
    """The map of colours ``(B, 3, 3)`` that keeps luma, and scales and turns the rest; ``angle`` in radians."""
    luma, quarter_turn = _colours(angle.device)
    grey = luma.expand(3, 3)  # every channel becomes Y
    identity = torch.eye(3, device=luma.device)
    scale, cos, sin = saturation[:, None, None], angle.cos()[:, None, None], angle.sin()[:, None, None]
    return grey + scale * (cos * (identity - grey) + sin * quarter_turn)
