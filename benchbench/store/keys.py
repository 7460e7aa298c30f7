"""Content keys: a SHA-256 of exactly what determines a result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises:
        TypeError: If ``value`` holds anything but dicts, lists, strings, numbers, booleans and None.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(stage: str, inputs: Mapping[str, Any]) -> str:
    """The key of a stage's result: SHA-256 (hex) over the stage's name and its inputs."""
    return hashlib.sha256(canonical({"stage": stage, "inputs": inputs}).encode()).hexdigest()


def weights_digest(state: object) -> str:
    """SHA-256 (hex) over a nest of dicts and lists of tensors and numbers: by value, not by file layout."""
    digest = hashlib.sha256()
    _feed(digest, state)
    return digest.hexdigest()


def _feed(digest: Any, value: object) -> None:
    if isinstance(value, Tensor):
        array = value.detach().cpu().contiguous()
        digest.update(f"tensor {array.dtype} {tuple(array.shape)};".encode())
        digest.update(array.numpy().tobytes())
    elif isinstance(value, Mapping):
        for name in sorted(value):
            digest.update(f"key {name};".encode())
            _feed(digest, value[name])
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)};".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"value {value!r};".encode())
