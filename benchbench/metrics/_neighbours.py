"""Nearest neighbours among feature vectors, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# The largest block of distances that is ever held: 50 000 x 50 000 of them would take 20 GB.
BLOCK_BYTES = 2**27

# Candidates beyond those asked for: rounding of the fast distances may change the order of near ties.
SPARE = 4


def squared_distances(x: Array, y: Array, *, upper: bool = False) -> Iterator[tuple[slice, Array]]:
    """Squared Euclidean distances from rows of ``x (n, d)`` to all rows of ``y (m, d)``, a block at a time.

    They are ``|x|^2 + |y|^2 - 2 x.y`` from one matrix product, never negative, exact on small whole numbers;
    otherwise they are off by some 1e-16 of ``|x|^2 + |y|^2``, so that copies need not come out as zero.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``.
        upper: Whether rows before a block's own are left out of it, as those of one set with itself may be: the first
            row and the first column of every block are then of one element.

    Yields:
        Which rows of ``x``, and their block ``(b, m)``, of at most :data:`BLOCK_BYTES`, which the caller may change.
    """
    norms = (y * y).sum(axis=1)
    # d counts too: callers gather b rows of features
    rows = max(1, BLOCK_BYTES // (8 * max(len(y), x.shape[1], 1)))
    for start in range(0, len(x), rows):
        part, first = x[start : start + rows], start if upper else 0
        block = part @ y[first:].T
        block *= -2.0
        block += norms[first:]
        block += (part * part).sum(axis=1)[:, None]
        np.maximum(block, 0.0, out=block)
        yield slice(start, start + len(part)), block


def nearest(x: Array, y: Array, k: int) -> tuple[Indices, Array]:
    """The ``k`` nearest rows of ``y`` to every row of ``x``.

    The few best by :func:`squared_distances` are measured again as the length of a difference, so that the
    distance to a copy is exactly zero and an order does not hang on cancelled digits.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``, m >= k.
        k: How many.

    Returns:
        Indices into ``y`` and distances, both ``(n, k)``, the nearest first.
    """
    count = min(len(y), k + SPARE)
    indices, distances = np.empty((len(x), k), dtype=np.intp), np.empty((len(x), k))
    centre = y.mean(axis=0)  # fewer digits cancel around it
    for rows, block in squared_distances(x - centre, y - centre):
        found = np.argpartition(block, count - 1, axis=1)[:, :count]
        exact = np.stack([np.sqrt(((x[rows] - y[column]) ** 2).sum(axis=1)) for column in found.T], axis=1)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        indices[rows] = np.take_along_axis(found, order, axis=1)
        distances[rows] = np.take_along_axis(exact, order, axis=1)
    return indices, distances


def distinct(features: Array) -> Array:
    """The rows of ``features`` without exact repeats, in the order of their first appearance."""
    first: dict[bytes, int] = {}
    for index, row in enumerate(features):  # 0.0 is added so that -0.0 and 0.0 have the same bytes
        first.setdefault(hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).digest(), index)
    return features if len(first) == len(features) else features[list(first.values())]
