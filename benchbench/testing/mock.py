"""Tiny labelled images that take no file, and a checkpoint that takes no disk."""

from __future__ import annotations

import io
from typing import Any

import torch

from benchbench.seeding import torch_generator
from benchbench.types import LabelledImages


def mock_images(
    channels: int = 1, height: int = 8, width: int = 8, classes: int = 3, per_class: int = 16, seed: int = 0
) -> LabelledImages:
    """One bright blob an image, whose place and colour tell the class, over faint noise.

    Args:
        channels: 1 or 3.
        height: Pixels.
        width: Pixels.
        classes: How many classes; their blobs stand evenly around the centre.
        per_class: Images of each class.
        seed: Decides jitter and noise.

    Returns:
        ``classes * per_class`` images, classes taking turns.
    """
    generator = torch_generator(seed, "mock", channels, height, width)
    labels = torch.arange(classes * per_class) % classes
    angle = labels * (2 * torch.pi / classes) + 0.2 * torch.randn(len(labels), generator=generator)
    y = torch.arange(height)[None, :, None] - (height - 1) / 2 - height / 4 * angle.sin()[:, None, None]
    x = torch.arange(width)[None, None, :] - (width - 1) / 2 - width / 4 * angle.cos()[:, None, None]
    blob = torch.exp(-(y**2 / (height / 6) ** 2 + x**2 / (width / 6) ** 2) / 2)
    tint = 0.4 + 0.6 * torch.cos(angle[:, None] + torch.arange(channels) * (2 * torch.pi / 3)).square()
    brightness = 200 * blob[:, None] * tint[:, :, None, None]
    noise = 30 * torch.rand(len(labels), channels, height, width, generator=generator)
    names = tuple(f"class {label}" for label in range(classes))
    return LabelledImages((brightness + noise).to(torch.uint8), labels, names)


class MemoryCheckpoint:
    """A checkpoint kept in memory, in the form it would have on disk.

    Args:
        due_at: Due at this call of :meth:`due`, and never again.

    Attributes:
        loads: How often :meth:`load` was called.
        saved: The state's bytes, or None.
    """

    def __init__(self, due_at: int) -> None:
        self.due_at = due_at
        self.asked = 0
        self.loads = 0
        self.saved: bytes | None = None

    def load(self) -> dict[str, Any] | None:
        """The saved state, read as from a file, or None."""
        self.loads += 1
        if self.saved is None:
            return None
        state: dict[str, Any] = torch.load(io.BytesIO(self.saved), weights_only=True)
        return state

    def due(self) -> bool:
        """Whether this is call number ``due_at``."""
        self.asked += 1
        return self.asked == self.due_at

    def save(self, state: dict[str, Any]) -> None:
        """Keep it, unless one is kept already."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.saved = self.saved or buffer.getvalue()
