"""Between stored pixels (uint8, 0..255) and what networks see (float32, -1..1)."""

from __future__ import annotations

import torch
from torch import Tensor

from benchbench.errors import DataError
from benchbench.types.images import check_images


def to_float(images: Tensor) -> Tensor:
    """``uint8 (N, C, H, W)`` to ``float32`` in [-1, 1]: x / 127.5 - 1.

    Raises:
        DataError: If ``images`` are not uint8 images.
    """
    check_images(images, "to_float")
    return images.float().div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1] to ``uint8 (N, C, H, W)``: round((x + 1) * 127.5), the inverse of :func:`to_float`.

    Raises:
        DataError: If the values are not floats, not finite, or outside [-1, 1] by more than 1e-3. Values
            meant as 0..255 are found out here; clamp on purpose where a model has no bounded output.
    """
    if not images.is_floating_point():
        raise DataError(f"to_uint8: got dtype {images.dtype}, expected floats in [-1, 1]")
    low, high = (float(images.amin()), float(images.amax())) if images.numel() else (0.0, 0.0)
    if not (low >= -1.001 and high <= 1.001):  # also catches NaN
        raise DataError(f"to_uint8: got values {low:.4g}..{high:.4g}, expected [-1, 1]; clamp or rescale them first")
    return images.add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
