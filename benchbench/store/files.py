"""Writing files so that a reader never sees half of one, and reading them without executing anything."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

# Kinds of dtype: booleans, whole numbers, floats, complex numbers, bytes and text.
PLAIN = "biufcSU"


def write_atomic(path: Path, content: bytes) -> None:
    """Write to a temporary name beside ``path``, flush to the disk, then rename over ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as readable JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any | None:
    """The JSON value in ``path``, or None where it is missing or not whole."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``, an empty one where there is none."""
    value = read_json(path)
    return value if isinstance(value, dict) else {}


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_bytes(array: npt.NDArray[Any]) -> bytes:
    """``array`` in the npy format, never pickled."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def load_array(path: Path) -> npt.NDArray[Any]:
    """An npy file (see :func:`read_array`)."""
    return read_array(path.read_bytes())


def read_array(content: bytes) -> npt.NDArray[Any]:
    """An array of numbers or text from the bytes of an npy file.

    ``numpy.load`` allocates what the header says before it looks whether it is there, and takes what is no npy file
    for a zip or a pickle.

    Args:
        content: All of the file.

    Raises:
        ValueError: If it is no npy file, holds objects, or is not as long as its header says.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
    except Exception as error:  # the header is parsed as Python, and fails in as many ways
        raise ValueError(f"no header of an npy file: {type(error).__name__}: {str(error)[:100]}") from error
    if dtype.kind not in PLAIN or not dtype.itemsize:
        raise ValueError(f"an array of {dtype}, expected numbers or text")
    declared, there = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if min(shape, default=0) < 0 or declared != there:
        raise ValueError(f"an array {shape} of {dtype} in {there} bytes")
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.ndarray(shape, dtype, bytearray(content), file.tell(), order=order)


def state_bytes(state: object) -> bytes:
    """A state dict in torch's format."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(path: Path) -> dict[str, Any]:
    """A state dict from torch's format, tensors and plain values only, onto the CPU."""
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state
