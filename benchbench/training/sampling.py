"""Sampling in fixed blocks, so that sample i does not depend on how many are drawn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchbench.seeding import torch_generator
from benchbench.types import SampleContext

# The size of a block is part of what a sample's bits depend on, and so fixed; a GPU wants larger ones to be filled.
BLOCK = 128
GPU_BLOCK = 1024


def sample_in_blocks(labels: Tensor, ctx: SampleContext, draw: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
    """Draw ``len(labels)`` images, always one block (128; 1024 on a GPU) at a time.

    Every block has its own generator, seeded by the block's number, and always runs at full size (the last
    one is padded with its last label and cut). So a sample's bits depend on the seed, its index and its label:
    not on n, and not on how a matrix product is blocked for another batch size.

    Args:
        labels: ``int64 (n,)``.
        ctx: Seed and device.
        draw: ``draw(labels (block,), generator) -> uint8 (block, C, H, W)``, both on ``ctx.device``.

    Returns:
        ``uint8 (n, C, H, W)`` on the CPU.
    """
    size = GPU_BLOCK if ctx.device.type == "cuda" else BLOCK
    blocks = []
    for start in range(0, max(len(labels), 1), size):
        part = labels[start : start + size]
        padded = torch.nn.functional.pad(part, (0, size - len(part)), value=int(part[-1]) if len(part) else 0)
        generator = torch_generator(ctx.seed, "block", start // size, device=ctx.device)
        with torch.inference_mode():
            blocks.append(draw(padded.to(ctx.device), generator)[: len(part)].cpu().clone())
    return torch.cat(blocks)
