"""Weights files: what they must be, and pixels in the form that ImageNet networks take."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchbench.errors import DataError


def load_weights(path: Path, sha256: str) -> dict[str, Any]:
    """A state dict from ``path``, read without running any code in it.

    Args:
        path: The file.
        sha256: Its full SHA-256, hex.

    Raises:
        DataError: If the file is another one, cut short, or no state dict.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise DataError(
            f"{path}: got SHA-256 {found} ({path.stat().st_size} bytes), expected {sha256}; "
            "the file is damaged or another one: delete it and fetch it again"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # as many as there are formats that torch tries
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as weights ({reason}); fetch a file that torch.save wrote") from error
    if not isinstance(state, dict):
        raise DataError(f"{path}: got {type(state).__name__}, expected a dict of weights by name; fetch another file")
    return state


def as_rgb(images: Tensor) -> Tensor:
    """``(N, C, H, W)`` with C of 1 or 3 to ``(N, 3, H, W)``: grey is repeated."""
    return images.expand(-1, 3, -1, -1)
