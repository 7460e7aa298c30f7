"""What the framework hands a generator while it fits and samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from benchbench.types.compute import Compute


@dataclass(frozen=True)
class Budget:
    """How much training a cell may have, equally for every generator.

    Attributes:
        max_steps: Cap on optimizer steps; None leaves it to the generator's own config.
        max_seconds: Wall-clock seconds after which training stops early and keeps what it has; None is
            no limit. A fit that was cut by it is not reproducible bit for bit.
    """

    max_steps: int | None = None
    max_seconds: float | None = None

    def steps(self, wanted: int) -> int:
        """``wanted`` steps, cut to the cap."""
        return wanted if self.max_steps is None else min(wanted, self.max_steps)


class Checkpoint(Protocol):
    """Where training may leave its state, and find it again after an interruption."""

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None."""
        ...

    def due(self) -> bool:
        """Whether enough time has gone since the last save."""
        ...

    def save(self, state: dict[str, Any]) -> None:
        """Keep ``state`` (tensors, numbers, strings, lists, dicts), replacing the last one atomically."""
        ...


class NoCheckpoint:
    """A checkpoint that keeps nothing: for tests and for training that takes seconds."""

    def load(self) -> dict[str, Any] | None:
        """Always None."""
        return None

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, state: dict[str, Any]) -> None:
        """Forget it."""


def _no_log(phase: str, step: int, total: int, values: Mapping[str, float]) -> None:
    """Drop a progress report."""


def _no_note(step: int, kind: str, message: str) -> None:
    """Drop a remark."""


def _no_show(step: int, images: Tensor) -> None:
    """Drop a look at samples."""


@dataclass(frozen=True)
class FitContext:
    """What a generator gets besides its training images.

    Attributes:
        seed: The cell's seed. Derive sub-seeds with :func:`benchbench.derive_seed`.
        device: Where to train.
        generator: A ``torch.Generator`` on ``device``, seeded. The only source of randomness in training.
        budget: Steps and seconds allowed.
        deadline: ``time.monotonic()`` value at which training should stop early, or None.
        log: ``log(phase, step, total, values)``, called now and then with the losses.
        note: ``note(step, kind, message)``, called for what was odd but did not end the fit; it goes to the report.
        show: ``show(step, images)``, called now and then with samples of what is being trained, ``float (B, C, H, W)``
            in [-1, 1], for people who watch.
        checkpoint: Keeps and returns the training state.
        augment: For classifiers only: ``augment(images, generator)`` changes a batch of training images
            (``uint8 (B, C, H, W)``, on the device), anew in every step; None leaves them as they are. A classifier
            that trains by ``fit_loop`` has it applied there; one that brings its own loop calls it on every batch.
        compute: Precision, memory format and compilation. ``fit_loop`` and ``place`` follow it; a plugin that brings
            its own loop may.
    """

    seed: int
    device: torch.device
    generator: torch.Generator
    budget: Budget = Budget()
    deadline: float | None = None
    log: Callable[[str, int, int, Mapping[str, float]], None] = _no_log
    note: Callable[[int, str, str], None] = _no_note
    show: Callable[[int, Tensor], None] = _no_show
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    compute: Compute = field(default_factory=Compute)


@dataclass(frozen=True)
class SampleContext:
    """What a generator gets besides the labels it shall sample.

    Attributes:
        seed: Sample ``i`` is a function of the fitted weights, this seed, ``i`` and label ``i`` alone.
        device: Where to sample.
    """

    seed: int
    device: torch.device
