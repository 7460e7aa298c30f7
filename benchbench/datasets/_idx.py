"""The IDX format, in which the MNIST family of datasets is published: a strict reader for arrays of bytes."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError

Bytes = npt.NDArray[np.uint8]

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """Read an IDX file of unsigned bytes, packed by gzip or not, whatever it is called.

    The header is compared with ``shape`` before anything is allocated, and no more is unpacked than it says.

    Args:
        path: The file.
        shape: What it must hold.

    Returns:
        ``uint8`` of that shape, read-only.

    Raises:
        DataError: If it is no such file, is of another shape, or is shorter or longer than its header says.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as file:
                return _read(file, path, shape)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: got a damaged gzip file ({error}), expected a whole one; fetch it again") from error


def _read(file: gzip.GzipFile | BufferedReader, path: Path, shape: tuple[int, ...]) -> Bytes:
    """Header, then exactly as many bytes as it says, then the end."""
    expected = idx_header(shape)
    header = file.read(len(expected))
    if header != expected:
        raise DataError(
            f"{path}: got a file that begins with {header.hex(' ') or 'nothing'}, expected {expected.hex(' ')} "
            f"(IDX, unsigned bytes, shape {shape}); it is damaged or another file: fetch it again"
        )
    size = math.prod(shape)
    content = file.read(size + 1)  # the one too many finds what follows, and has gzip check its own sum
    if len(content) != size:
        seen = f"only {len(content)}" if len(content) < size else "more"
        raise DataError(f"{path}: got {seen} bytes after the header, expected {size}; fetch the file again")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def idx_header(shape: tuple[int, ...]) -> bytes:
    """Two zeros, the type, the number of axes, then each length as a big-endian ``uint32``."""
    return bytes((0, 0, UNSIGNED_BYTE, len(shape))) + np.array(shape, dtype=">u4").tobytes()


def idx_sha256(array: Bytes) -> str:
    """SHA-256 (hex) of the unpacked IDX file that holds ``array``: what ``gunzip -c FILE | sha256sum`` prints."""
    digest = hashlib.sha256(idx_header(array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
