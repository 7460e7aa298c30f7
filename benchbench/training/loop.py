"""One loop for every network that is trained here: batches, budget, logging, checkpoints, divergence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from benchbench.seeding import derive_seed, torch_generator
from benchbench.training.acceleration import arithmetic, in_memory_format
from benchbench.training.batches import BatchPlan
from benchbench.training.health import HealthWatch, pairwise_distance
from benchbench.training.pixels import to_float
from benchbench.types import FitContext, LabelledImages

# Reading a loss waits for the device, so losses and weights are looked at once in so many steps.
CHECK_EVERY = 50
# Samples cost a forward pass: looked at this many times a fit.
PROBES = 20
PROBED_IMAGES = 64


class TrainStep(Protocol):
    """Owns networks, optimizers and loss; takes one optimizer step on one batch.

    Three more members are looked for and may be left out:

    - ``parameters() -> Iterable[Tensor]``: the trained weights, whose health is then watched.
    - ``probe(count) -> Tensor``: samples ``float (count, C, H, W)`` in [-1, 1] of what is trained, whose variety is
      then watched. It must not use the training's source of randomness.
    - ``exact = True``: the step stays in float32 where others are taken in bfloat16.
    """

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
        DivergedError: If a loss or a weight is NaN or infinite, or a loss exploded; looked at every 50 steps.
        CollapsedError: If all samples are one image and stay so (see :class:`HealthWatch`).
    """
    total = ctx.budget.steps(steps)
    images, labels = train.images.to(ctx.device), train.labels.to(ctx.device)
    plan = BatchPlan(len(train), batch_size, derive_seed(ctx.seed, "batches", phase), ctx.device)
    watch = HealthWatch(total, reference=float(pairwise_distance(to_float(images[plan.batch(0)]))))
    index = _resume(train_step, watch, ctx, phase)
    exact = bool(getattr(train_step, "exact", False))
    losses: Mapping[str, float] = {}
    while index < total:
        batch = plan.batch(index)
        pixels = in_memory_format(_augmented(images[batch], ctx, phase, index), ctx.compute)
        with arithmetic(ctx, exact=exact):
            latest = train_step.step(to_float(pixels), labels[batch], index, total)
        index += 1
        out_of_time = ctx.deadline is not None and time.monotonic() >= ctx.deadline
        if index % CHECK_EVERY == 0 or index == total or out_of_time:
            losses = _read(latest)
            _look(watch, train_step, losses, index, total, ctx)
            ctx.log(phase, index, total, losses)
        if ctx.checkpoint.due() and index < total:
            state = {"phase": phase, "index": index, "step": train_step.state_dict(), "watch": watch.state_dict()}
            ctx.checkpoint.save(state | {"random": ctx.generator.get_state()})
        if out_of_time:
            break
    for event in watch.warnings:
        ctx.note(event.step, event.kind, event.message)
    return LoopResult(index, losses)


def _read(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """The losses as numbers, in one transfer from the device; a step may report none."""
    return dict(zip(losses, torch.stack([*losses.values()]).tolist(), strict=True)) if losses else {}


def _look(
    watch: HealthWatch, train_step: TrainStep, losses: Mapping[str, float], index: int, total: int, ctx: FitContext
) -> None:
    """Have the health of the fit looked at, as far as the step lets itself be looked into."""
    watch.losses(losses, index)
    parameters: Callable[[], Iterable[Tensor]] | None = getattr(train_step, "parameters", None)
    if parameters is not None:
        watch.weights(parameters(), index)
    probe: Callable[[int], Tensor] | None = getattr(train_step, "probe", None)
    every = max(CHECK_EVERY, total // PROBES // CHECK_EVERY * CHECK_EVERY)
    if probe is not None and index % every == 0:
        samples = probe(PROBED_IMAGES)
        ctx.show(index, samples)
        watch.samples(samples, index)


def _augmented(images: Tensor, ctx: FitContext, phase: str, index: int) -> Tensor:
    """The batch as the context changes it: a function of the seed and the step, so that training can resume."""
    if ctx.augment is None:
        return images
    return ctx.augment(images, torch_generator(ctx.seed, "augment", phase, index, device=images.device))


def _resume(train_step: TrainStep, watch: HealthWatch, ctx: FitContext, phase: str) -> int:
    """Restore the last checkpoint, if there is one of this phase; the step to go on with.

    A fit may train several networks, one loop each: an earlier phase is then trained again, to the same bits.
    """
    state = ctx.checkpoint.load()
    if state is None or state["phase"] != phase:
        return 0
    train_step.load_state_dict(state["step"])
    watch.load_state_dict(state["watch"])
    ctx.generator.set_state(state["random"])
    return int(state["index"])
