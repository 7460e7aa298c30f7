"""One loop for every network that is trained here: batches, budget, logging, checkpoints, divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from benchbench.errors import DivergedError
from benchbench.seeding import derive_seed, torch_generator
from benchbench.training.batches import BatchPlan
from benchbench.training.pixels import to_float
from benchbench.types import FitContext, LabelledImages

# Reading a loss waits for the device, so losses are read (and checked) once in so many steps.
CHECK_EVERY = 50


class TrainStep(Protocol):
    """Owns networks, optimizers and loss; takes one optimizer step on one batch."""

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """Take step ``index`` of ``total``.

        Args:
            images: ``float32 (B, C, H, W)`` in [-1, 1] on the device.
            labels: ``int64 (B,)`` on the device.
            index: 0-based step.
            total: Steps planned; for learning-rate schedules.

        Returns:
            Named losses, each a detached scalar tensor.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimizers and averages: all that the next step depends on but the random state."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        ...


@dataclass(frozen=True)
class LoopResult:
    """How the loop ended.

    Attributes:
        steps: Steps taken, those before a resumption included.
        losses: The last losses read.
    """

    steps: int
    losses: Mapping[str, float]


def fit_loop(
    train_step: TrainStep,
    train: LabelledImages,
    ctx: FitContext,
    *,
    steps: int,
    batch_size: int,
    phase: str = "fit",
) -> LoopResult:
    """Train for ``steps`` optimizer steps, or fewer where the budget says so.

    Args:
        train_step: What is trained.
        train: The training images; copied to the device once, as uint8.
        ctx: Seed, budget, deadline, logging and checkpoint.
        steps: Steps wanted; ``ctx.budget`` may cut them.
        batch_size: Images a step.
        phase: Named in progress reports and in checkpoints; different for each loop of one fit.

    Returns:
        Steps taken and the last losses.

    Raises:
        DivergedError: If a loss is NaN or infinite; looked at every 50 steps.
    """
    total = ctx.budget.steps(steps)
    images, labels = train.images.to(ctx.device), train.labels.to(ctx.device)
    plan = BatchPlan(len(train), batch_size, derive_seed(ctx.seed, "batches", phase))
    index = _resume(train_step, ctx, phase)
    losses: Mapping[str, float] = {}
    while index < total:
        batch = plan.batch(index).to(ctx.device)
        pixels = _augmented(images[batch], ctx, phase, index)
        latest = train_step.step(to_float(pixels), labels[batch], index, total)
        index += 1
        out_of_time = ctx.deadline is not None and time.monotonic() >= ctx.deadline
        if index % CHECK_EVERY == 0 or index == total or out_of_time:
            losses = _checked(latest, index)
            ctx.log(phase, index, total, losses)
        if ctx.checkpoint.due() and index < total:
            state = {"phase": phase, "index": index, "step": train_step.state_dict()}
            ctx.checkpoint.save(state | {"random": ctx.generator.get_state()})
        if out_of_time:
            break
    return LoopResult(index, losses)


def _augmented(images: Tensor, ctx: FitContext, phase: str, index: int) -> Tensor:
    """The batch as the context changes it: a function of the seed and the step, so that training can resume."""
    if ctx.augment is None:
        return images
    return ctx.augment(images, torch_generator(ctx.seed, "augment", phase, index, device=images.device))


def _resume(train_step: TrainStep, ctx: FitContext, phase: str) -> int:
    """Restore the last checkpoint, if there is one of this phase; the step to go on with.

    A fit may train several networks, one loop each: an earlier phase is then trained again, to the same bits.
    """
    state = ctx.checkpoint.load()
    if state is None or state["phase"] != phase:
        return 0
    train_step.load_state_dict(state["step"])
    ctx.generator.set_state(state["random"])
    return int(state["index"])


def _checked(latest: Mapping[str, Tensor], index: int) -> dict[str, float]:
    """The losses as numbers.

    Raises:
        DivergedError: If one is not finite.
    """
    losses = {name: float(value) for name, value in latest.items()}
    for name, value in losses.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"{name} became {value} by step {index}; a lower learning rate or a gradient clip often mends it",
                index,
            )
    return losses
