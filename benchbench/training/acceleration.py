"""From a device and what the user asked for to how a step is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from benchbench.types import Compute, FitContext

Switch = Literal["auto", True, False]
Network = TypeVar("Network", bound=nn.Module)


def resolve(
    device: torch.device,
    *,
    precision: Literal["auto", "f32", "bf16"] = "auto",
    channels_last: Switch = "auto",
    compiled: Switch = "auto",
    cuda_graphs: Switch = "auto",
) -> Compute:
    """What ``auto`` means on ``device``.

    - ``precision``: bf16 on a GPU that has it, else f32. A CPU stays at f32 unless told, even where it has bf16
      instructions: a small network gains nothing, and one benchmark should mean one thing on every CPU.
    - ``channels_last``: always. Convolutions are up to a quarter faster on a CPU, and want it on a GPU in bf16.
    - ``compiled`` and ``cuda_graphs``: never, as compiling takes longer than most fits of small images.

    Args:
        device: Where training runs.
        precision: As asked for.
        channels_last: As asked for.
        compiled: As asked for.
        cuda_graphs: As asked for; on a CPU there are none, and it is off.

    Returns:
        The choices.
    """
    on_gpu = device.type == "cuda"
    if precision == "auto":
        precision = "bf16" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
    return Compute(
        precision=precision,
        channels_last=channels_last is not False,
        compile=compiled is True or (cuda_graphs is True and on_gpu),
        cuda_graphs=cuda_graphs is True and on_gpu,
    )


def place(network: Network, ctx: FitContext, *, compilable: bool = True) -> Network:
    """Move ``network`` to the context's device, into its memory format, and compile it where that is asked for.

    Args:
        network: Changed in place; its state dict keeps its names.
        ctx: Device and choices.
        compilable: False for a network whose gradient is differentiated again: compiled ones have no second derivative.

    Returns:
        ``network``.
    """
    network.to(ctx.device)
    if ctx.compute.channels_last:
        network.to(memory_format=torch.channels_last)
    if ctx.compute.compile and compilable:
        network.compile(mode="reduce-overhead" if ctx.compute.cuda_graphs else "default")
    return network


def in_memory_format(images: Tensor, compute: Compute) -> Tensor:
    """``images (B, C, H, W)`` in the memory format that the networks are in."""
    return images.contiguous(memory_format=torch.channels_last) if compute.channels_last else images


@contextmanager
def arithmetic(ctx: FitContext, *, exact: bool = False) -> Iterator[None]:
    """The precision of one training step.

    Args:
        ctx: Device and choices.
        exact: For a step whose losses do not bear rounding to 8 bits: it stays in float32.
    """
    lower = ctx.compute.precision == "bf16" and not exact
    if ctx.compute.cuda_graphs:  # what the last step's graphs left in their memory is not needed any more
        torch.compiler.cudagraph_mark_step_begin()
    # Without the cache of weights in bf16: torch before 2.11 keeps one made without gradients (a generator that only
    # feeds the discriminator) and gives it to the pass that needs them.
    with torch.autocast(ctx.device.type, dtype=torch.bfloat16, enabled=lower, cache_enabled=False):
        yield
