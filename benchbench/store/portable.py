"""State dicts as safetensors and JSON: what is handed to others is read without running code, by other programs too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchbench.errors import DataError


def pack(state: object) -> tuple[dict[str, Tensor], Any]:
    """A state dict in two parts.

    Args:
        state: Tensors, numbers, strings, bytes, None, and lists, tuples and dicts of them.

    Returns:
        The tensors by name, each on its own memory, and a JSON value that says where each belongs.

    Raises:
        DataError: If there is anything else in it.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _packed(state, "state", tensors)


def _packed(value: object, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        while name in tensors:  # two paths may read alike
            name += "_"
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[key, _packed(item, f"{name}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_packed(item, f"{name}.{place}", tensors) for place, item in enumerate(value)]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, bool | int | float | str | None):
        return {"value": value}
    raise DataError(f"{name}: got a {type(value).__name__}, expected tensors, numbers, strings, lists and dicts")


def unpack(tensors: Mapping[str, Tensor], tree: Any) -> Any:
    """The state dict again.

    Raises:
        DataError: If the two parts do not belong together.
    """
    try:
        ((kind, value),) = tree.items()
        if kind == "tensor":
            return tensors[value]
        if kind == "dict":
            return {key: unpack(tensors, item) for key, item in value}
        if kind in ("list", "tuple"):
            items = [unpack(tensors, item) for item in value]
            return items if kind == "list" else tuple(items)
        if kind == "bytes":
            return bytes.fromhex(value)
        if kind == "value":
            return value
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"a saved state cannot be put together: {type(error).__name__}: {error}") from error
    raise DataError(f"a saved state cannot be put together: got {kind!r}, expected tensor, dict, list or value")
