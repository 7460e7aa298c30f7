"""What a cell's process says while it works: in files that others read, and to its loggers."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from benchbench.runner.followers import Followers
from benchbench.store.files import write_atomic, write_json
from benchbench.training import to_uint8

# Often enough to watch, seldom enough to cost nothing.
INTERVAL_S = 0.5
THUMBNAIL = "latest.png"
# Samples in a thumbnail, and how wide it is at least, in pixels.
SHOWN = 32
LEAST_WIDTH = 256


class ProgressFile:
    """Writes ``progress.json``, at most twice a second, and the latest samples beside it.

    Args:
        path: Where to write.

    Attributes:
        phase: What the cell is at.
        followers: Told of every step; nobody at first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.phase = "start"
        self.followers = Followers()
        self._images_a_step = 0
        self._thumbnail = ""
        self._pace = Pace()
        self._written = 0.0

    def enter(self, phase: str, images_a_step: int = 0) -> None:
        """A new phase begins.

        Args:
            phase: Its name.
            images_a_step: Training images that a step of it takes, 0 where not known.
        """
        self.phase = phase
        self._images_a_step = images_a_step
        self._pace = Pace()
        self._write({"phase": phase, "step": 0, "total": 0, "values": {}, "rate": 0.0})

    def step(self, part: str, step: int, total: int, values: Mapping[str, float]) -> None:
        """A step of training is done; in the form that :class:`FitContext.log` has."""
        rate = self._pace.rate(part, step)
        images = rate * self._images_a_step
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        phase = self.phase if part == self.phase else f"{self.phase}: {part}"
        self.followers.log(phase, step, {**finite, **({"images_per_second": images} if images else {})})
        if time.monotonic() - self._written >= INTERVAL_S or step >= total:
            said = {"phase": phase, "step": step, "total": total, "values": finite, "rate": rate}
            self._write({**said, "images_per_second": images})

    def show(self, step: int, images: Tensor) -> None:
        """Samples of what is trained; in the form that :class:`FitContext.show` has."""
        pixels = images[:SHOWN].detach().float().cpu()
        seen = to_uint8(pixels.nan_to_num(nan=-1.0).clamp(-1, 1))  # a training that goes wrong is shown, too
        self.followers.show(self.phase, step, seen)
        path = self.path.with_name(THUMBNAIL)
        with contextlib.suppress(OSError):
            write_atomic(path, _png(seen))
            self._thumbnail = str(path)

    def _write(self, value: Mapping[str, object]) -> None:
        self._written = time.monotonic()
        with contextlib.suppress(OSError):  # a full disk costs the display, not the training
            write_json(self.path, {**value, "thumbnail": self._thumbnail})


class Pace:
    """Steps a second since a training, or the rest of one that was interrupted, was first heard of."""

    def __init__(self) -> None:
        self._part = ""
        self._first = self._last = 0
        self._began = 0.0

    def rate(self, part: str, step: int) -> float:
        """Take note of a step; 0 at the first one, which may be far into a training that goes on.

        Args:
            part: Which training.
            step: Steps done in it.
        """
        now = time.monotonic()
        if part != self._part or step <= self._last:
            self._part, self._first, self._began = part, step, now
        self._last = step
        return (step - self._first) / max(now - self._began, 1e-9) if step > self._first else 0.0


def _png(images: Tensor) -> bytes:
    """``uint8 (n, C, H, W)`` side by side, magnified until people can see them."""
    from PIL import Image
    from torchvision.utils import make_grid

    shown = images if images.shape[1] in (1, 3) else images[:, :1]
    pixels = Image.fromarray(make_grid(shown, padding=1).permute(1, 2, 0).contiguous().numpy())
    factor = -(-LEAST_WIDTH // pixels.width)
    buffer = io.BytesIO()
    pixels.resize((pixels.width * factor, pixels.height * factor), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
