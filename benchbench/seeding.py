"""Randomness, always from a passed-in seed; the global generators are never touched."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

_CPU = torch.device("cpu")


def derive_seed(seed: int, *scope: str | int) -> int:
    """A seed for one purpose, independent of every other purpose's.

    Args:
        seed: The parent seed.
        *scope: Names and numbers that say what the seed is for, e.g. ``("fit", "epoch", 3)``.

    Returns:
        63 bits of SHA-256 over the arguments: the same on every machine and Python.
    """
    text = "\x1f".join(
        [str(int(seed)), *(f"str:{part}" if isinstance(part, str) else f"int:{int(part)}" for part in scope)]
    )
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(seed: int, *scope: str | int, device: torch.device = _CPU) -> torch.Generator:
    """A ``torch.Generator`` on ``device`` for one purpose (see :func:`derive_seed`)."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *scope))


def numpy_generator(seed: int, *scope: str | int) -> np.random.Generator:
    """A ``numpy.random.Generator`` for one purpose (see :func:`derive_seed`)."""
    return np.random.default_rng(derive_seed(seed, *scope))
