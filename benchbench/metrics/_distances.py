"""Squared distances between feature vectors: bounded fast, measured exactly, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError

Floats = npt.NDArray[np.floating]
Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# The largest block that is ever held: 50 000 x 50 000 distances would take 20 GB.
BLOCK_BYTES = 2**25
# What is gone through several times stays in a processor's cache.
CACHED_BYTES = 2**19


def blocks(count: int, bytes_each: int, at_most: int | None = None) -> Iterator[slice]:
    """``range(count)`` in parts that take at most :data:`BLOCK_BYTES` (or ``at_most``), if ``bytes_each`` allows."""
    rows = max(1, (at_most or BLOCK_BYTES) // max(bytes_each, 1))
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


def squared_lengths(x: Floats, y: Floats, rows: Indices, columns: Indices) -> Array:
    """``|x[rows] - y[columns]|^2``, ``(p,)`` from ``(p,)`` pairs, in float64.

    As the length of a difference: exactly zero between copies, the same whichever way round, and the same for
    two copies of a vector, so that they can be compared with ``<``.
    """
    squares = np.empty(len(rows))
    for part in blocks(len(rows), 16 * x.shape[1], CACHED_BYTES):
        difference = np.subtract(x[rows[part]], y[columns[part]], dtype=np.float64, order="C")
        difference *= difference
        difference.sum(axis=1, out=squares[part])  # row by row, whatever stands beside it: not so in einsum
    return squares


@dataclass(frozen=True)
class Placed:
    """Vectors in a :class:`Frame`.

    Attributes:
        vectors: ``(n, d)``, float32 or float64, of length at most the root of d.
        norms: ``(n,)``: their squared lengths, before they were rounded.
        unit: Of length; squared distances are in its square.
    """

    vectors: Floats
    norms: Array
    unit: float

    @property
    def slack(self) -> float:
        """How far a fast squared distance may be off, as a part of the sum of the two squared lengths.

        A product of two vectors of length d is off by at most ``d u |x| |y|`` (Higham 2002, section 3.1; u is half of
        numpy's eps), whatever the order of summation; in float64, the norms themselves by half as much. Rounding the
        vectors and adding the norms takes a few u more.
        """
        return float((self.vectors.shape[1] + 16) * np.finfo(self.vectors.dtype).eps)

    @property
    def floor(self) -> float:
        """What underflow may add to that."""
        return float(4.0 * (self.vectors.shape[1] + 16) * np.finfo(self.vectors.dtype).tiny)

    def width(self, norms: Array, others: Array) -> Array:
        """By how much a distance between vectors of such squared lengths may lie above its bound, at most."""
        return 2.0 * self.slack * (norms + others) + 2.0 * self.floor


class Frame:
    """A centre and a unit. Around the one fewer digits cancel; in the other no square overflows.

    Args:
        centred: ``(n, d)``: the vectors in whose mean the centre is.
        others: Further vectors that are to be placed.

    Raises:
        DataError: If a vector is not finite.
    """

    def __init__(self, centred: Floats, *others: Floats) -> None:
        self.centre = centred.mean(axis=0, dtype=np.float64)
        largest = max(max(float(x.max()), -float(x.min())) for x in (centred, *others) if x.size)
        if not np.isfinite([*self.centre, largest]).all():
            raise DataError(
                "nearest neighbours: got NaN or infinite features, expected finite ones; the extractor or the images "
                "are broken"
            )
        self.unit = 2.0 * largest or 1.0

    def place(self, x: Floats, dtype: type[np.floating]) -> Placed:
        """``x (n, d)`` in this frame, rounded to ``dtype``."""
        vectors, norms = np.empty(x.shape, dtype=dtype), np.empty(len(x))
        for rows in blocks(len(x), 16 * x.shape[1], CACHED_BYTES):
            wide = (x[rows] - self.centre) / self.unit
            vectors[rows] = wide
            np.einsum("ij,ij->i", wide, wide, out=norms[rows])
        return Placed(vectors, norms, self.unit)


def squared_bounds(x: Placed, y: Placed, *, upper: bool = False) -> Iterator[tuple[slice, Floats]]:
    """Lower bounds of the squared distances from rows of ``x`` to all rows of ``y``, a block at a time.

    They are ``|x|^2 + |y|^2 - 2 x.y`` from one matrix product, less :attr:`Placed.slack` and :attr:`Placed.floor`: the
    true ones lie above by at most twice as much. Some are negative.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``, in the same frame and precision.
        upper: Whether rows before a block's own are left out of it, as those of one set with itself may be: the first
            row and the first column of every block are then of one element.

    Yields:
        Which rows of ``x``, and their block ``(b, m)``, of at most :data:`BLOCK_BYTES`, which the caller may change.
        The next one takes its place.
    """
    dtype = x.vectors.dtype
    of_x = ((1.0 - x.slack) * x.norms).astype(dtype)
    of_y = ((1.0 - x.slack) * y.norms - x.floor).astype(dtype)
    parts = list(blocks(len(of_x), dtype.itemsize * max(y.vectors.shape)))  # rows of x are copied, too
    place = np.empty(parts[0].stop * len(of_y) if parts else 0, dtype=dtype)
    for rows in parts:
        first = rows.start if upper else 0
        shape = rows.stop - rows.start, len(of_y) - first
        block = np.matmul(-2.0 * x.vectors[rows], y.vectors[first:].T, out=place[: shape[0] * shape[1]].reshape(shape))
        block += of_y[first:]
        block += of_x[rows, None]
        yield rows, block
