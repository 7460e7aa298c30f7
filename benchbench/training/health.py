"""The health of a training run: what is hopeless ends it, what is odd is noted.

The rules err on one side: a poor fit is a result and goes on; only what no further step can mend ends a run.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchbench.errors import CollapsedError, DataError, DivergedError

# One step of a stored pixel, on the scale where pixels span [-1, 1].
PIXEL_STEP = 2.0 / 255

# A loss this many times its first value (or 1, if that was smaller). float32 has 24 bits, 1.7e7: beyond that, a
# change as large as the whole loss once was is lost in rounding. Relative, as a loss summed over pixels starts large.
EXPLODED_LOSS = 1e8

# Between two looks: growth of all weights' norm, and the change of any tensor's norm, relative to the norm before.
EXPLODING_UPDATE = 1.0
VANISHED_UPDATE = 1e-7

# Parts of the planned steps: before the first, samples may be alike in any fit; from the second on, variety is due;
# a collapse must have lasted for the third.
SETTLING = 0.2
VARIETY_DUE = 0.5
COLLAPSE_LASTS = 0.05
# In short runs the parts are few steps; there is little to save by ending them either.
SETTLING_STEPS = 1000

COLLAPSE_LOOKS = 3
COLLAPSED_VARIETY = 0.01  # of the real images' pairwise distance; at most a pixel step
LOW_VARIETY = 0.25  # of the real images' pairwise distance


@dataclass(frozen=True)
class HealthEvent:
    """Something odd that did not end the run.

    Attributes:
        step: The step of the look that first saw it.
        kind: ``loss_exploding``, ``weights_exploding``, ``updates_vanished``, ``samples_not_finite``,
            ``low_variety`` or ``falling_variety``.
        message: What was seen, and what was expected.
    """

    step: int
    kind: str
    message: str


@dataclass
class _Memory:
    """All that a look leaves for the next one: plain numbers, strings, lists and dicts."""

    first_losses: dict[str, float] = field(default_factory=dict)  # magnitudes
    exploded_losses: dict[str, float] = field(default_factory=dict)  # those beyond the limit at the last look
    norms: list[float] = field(default_factory=list)  # of every weight tensor: first all L2, then all L1
    norms_step: int = -1
    still_looks: int = 0
    distance: float | None = None
    collapsed_looks: int = 0
    collapsed_since: int = 0
    collapsed_least: float = 0.0
    events: list[HealthEvent] = field(default_factory=list)


class HealthWatch:
    """Watches losses, weights and samples; says when a fit is hopeless.

    Every look waits for the device once, so look now and then, not at every step.

    Args:
        total: Steps planned. Without it samples are not judged: early ones are alike in any fit.
        reference: Pairwise distance of real training images in [-1, 1] (:func:`pairwise_distance`), which that of
            samples is compared with; their labels must then be distributed alike. Without it, or where it is below a
            pixel step, alike samples may be right, and no run is ended for them.
    """

    def __init__(self, total: int | None = None, *, reference: float | None = None) -> None:
        self._total = total
        self._reference = reference if reference is not None and reference >= PIXEL_STEP else None
        self._may_fall = reference is None or reference >= PIXEL_STEP
        self._memory = _Memory()

    @property
    def warnings(self) -> tuple[HealthEvent, ...]:
        """What was odd but not fatal, in the order seen: each kind once, with its first step."""
        return tuple(self._memory.events)

    def losses(self, values: Mapping[str, float], step: int) -> None:
        """Look at the losses.

        A loss 1e8 times its first value (or 1, if that was smaller) is noted; at the next look it ends the run,
        unless it fell: one bad batch does not.

        Args:
            values: By name; the unit of each is its own.
            step: Steps taken so far.

        Raises:
            DivergedError: If one is not finite, or has exploded.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} became {value} by step {step}; a lower learning rate or a gradient clip often mends it",
                    step,
                )
        for name, value in values.items():
            self._look_at_loss(name, abs(value), step)

    def _look_at_loss(self, name: str, size: float, step: int) -> None:
        first = self._memory.first_losses.setdefault(name, size)
        before = self._memory.exploded_losses.pop(name, None)
        if size <= EXPLODED_LOSS * max(1.0, first):
            return
        self._memory.exploded_losses[name] = size
        seen = f"{name} exploded from {first:.3g} to {size:.3g} by step {step}"
        if before is not None and size >= before:
            raise DivergedError(f"{seen}; a lower learning rate or a gradient clip often mends it", step)
        self._note(step, "loss_exploding", seen)

    @torch.no_grad()
    def weights(self, parameters: Iterable[Tensor], step: int) -> None:
        """Look at the weights, and compare their norms with those of the last look.

        ``| ||w|| - ||w'|| | <= ||w - w'||``: norms bound the update from below, and need no copy of the weights.
        More than doubled weights are noted as exploding; updates as vanished if at two looks in a row neither the
        L1 nor the L2 norm of any tensor has changed by more than 1e-7 of itself. A turn keeps the one norm, but not
        both.

        Args:
            parameters: The same tensors at every look, in the same order, all on one device.
            step: Steps taken so far.

        Raises:
            DivergedError: If a weight is not finite.
        """
        tensors = [parameter.detach() for parameter in parameters]
        if not tensors:
            return
        # In float64: squares of large weights do not overflow, and small changes are not lost in the sums.
        euclidean, absolute = (torch._foreach_norm(tensors, order, dtype=torch.float64) for order in (2, 1))
        norms = torch.stack([*euclidean, *absolute]).tolist()
        if not all(map(math.isfinite, norms)):
            raise DivergedError(
                f"a weight is NaN or infinite by step {step}; a lower learning rate or a gradient clip often mends it",
                step,
            )
        before, elapsed = self._memory.norms, step - self._memory.norms_step
        self._memory.norms, self._memory.norms_step = norms, step
        if len(before) == len(norms) and elapsed > 0:
            self._compare_norms(before, norms, elapsed, step)

    def _compare_norms(self, before: list[float], norms: list[float], elapsed: int, step: int) -> None:
        count = len(norms) // 2
        old, new = math.hypot(*before[:count]), math.hypot(*norms[:count])
        if new - old > EXPLODING_UPDATE * old:
            self._note(
                step,
                "weights_exploding",
                f"the weights' norm grew from {old:.3g} to {new:.3g} in {elapsed} steps, expected less than double",
            )
        still = all(abs(now - then) <= VANISHED_UPDATE * then for then, now in zip(before, norms, strict=True))
        self._memory.still_looks = self._memory.still_looks + 1 if still else 0
        if self._memory.still_looks == 2:
            self._note(
                step,
                "updates_vanished",
                f"no weight tensor's norm changed by more than {VANISHED_UPDATE:g} of itself over two looks, "
                f"the last over {elapsed} steps: the gradients or the learning rate have vanished",
            )

    @torch.no_grad()
    def samples(self, images: Tensor, step: int) -> None:
        """Look at the variety of samples.

        A run is ended if its samples are one image: to within a pixel step and a hundredth of the real images'
        distance, at three looks in a row or more that span a twentieth of the planned steps, none of them before
        a fifth of these nor before step 1000, and without the distance growing again (an autoencoder may
        start out ignoring its code, and learn to use it).

        Args:
            images: ``float (n, C, H, W)`` in [-1, 1], those of the averaged generator. Fewer than two say nothing.
            step: Steps taken so far.

        Raises:
            CollapsedError: If all samples are one image and stay so.
            DataError: If ``images`` are not floats.
        """
        if not images.is_floating_point():
            raise DataError(f"HealthWatch: got samples of dtype {images.dtype}, expected floats in [-1, 1]")
        if len(images) < 2:
            return
        distance = float(pairwise_distance(images))
        before, self._memory.distance = self._memory.distance, distance if math.isfinite(distance) else None
        if self._memory.distance is None:
            self._memory.collapsed_looks = 0
            self._note(step, "samples_not_finite", f"samples are NaN or infinite by step {step}")
            return
        self._look_at_variety(before, distance, step)
        self._look_for_collapse(distance, step)

    def _look_at_variety(self, before: float | None, distance: float, step: int) -> None:
        real = self._reference
        beside = "" if real is None else f"; real images differ by {_steps(real)}"
        if self._is_past(VARIETY_DUE, step) and real is not None and distance < LOW_VARIETY * real:
            self._note(step, "low_variety", f"samples differ by {_steps(distance)}{beside}")
        fell = before is not None and before >= PIXEL_STEP and distance < before / 2
        # From more than the real images' variety down to it is learning.
        if fell and self._may_fall and self._is_past(SETTLING, step) and (real is None or distance < real / 2):
            self._note(
                step,
                "falling_variety",
                f"samples differ by {_steps(distance)}, at the look before by {_steps(before or 0.0)}{beside}",
            )

    def _look_for_collapse(self, distance: float, step: int) -> None:
        memory, real = self._memory, self._reference
        settled = step >= SETTLING_STEPS and self._is_past(SETTLING, step)
        if real is None or not settled or distance >= min(PIXEL_STEP, COLLAPSED_VARIETY * real):
            memory.collapsed_looks = 0
            return
        # Below a thousandth of a pixel step, growth may be rounding.
        grows = memory.collapsed_looks > 0 and distance > 2 * max(memory.collapsed_least, PIXEL_STEP / 1000)
        if memory.collapsed_looks == 0 or grows:
            memory.collapsed_looks, memory.collapsed_since, memory.collapsed_least = 0, step, distance
        memory.collapsed_looks += 1
        memory.collapsed_least = min(memory.collapsed_least, distance)
        lasted = self._is_past(COLLAPSE_LASTS, step - memory.collapsed_since)
        if memory.collapsed_looks >= COLLAPSE_LOOKS and lasted:
            raise CollapsedError(
                f"all samples are one and the same image since step {memory.collapsed_since}: they differ by "
                f"{_steps(distance)}, real images by {_steps(real)}; another seed, a lower learning rate or a larger "
                "batch often mends it",
                step,
            )

    def _is_past(self, part: float, steps: int) -> bool:
        """Whether ``steps`` make up ``part`` of those planned; never, where that is not known."""
        return self._total is not None and steps >= part * self._total

    def _note(self, step: int, kind: str, message: str) -> None:
        if all(event.kind != kind for event in self._memory.events):
            self._memory.events.append(HealthEvent(step, kind, message))

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far: numbers, strings, lists and dicts; the constructor's arguments are not in it."""
        return asdict(self._memory)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state_dict``: watching goes on as if it had never been interrupted."""
        events = [HealthEvent(**event) for event in state["events"]]
        self._memory = _Memory(**copy.deepcopy({**state, "events": events}))


def pairwise_distance(images: Tensor) -> Tensor:
    """Root mean square difference of a pixel between two images, over all pairs of a batch.

    ``sqrt(mean over i != j of ||x_i - x_j||^2 / D)``, in closed form without the pairs: of each of the D pixels,
    ``mean (x_i - x_j)^2`` is twice the variance with ``n - 1`` below the line.

    Args:
        images: ``(n, ...)``, any real dtype.

    Returns:
        A float scalar on the images' device and in their unit; 0 for fewer than two images.
    """
    values = images if images.dtype == torch.float64 else images.float()
    if len(values) < 2:
        return values.new_zeros(())
    return values.var(dim=0).mean().mul(2).sqrt()


def _steps(distance: float) -> str:
    """A distance in words, in steps of a stored pixel (1/255 of the range)."""
    return f"{distance / PIXEL_STEP:.3g} pixel steps"
