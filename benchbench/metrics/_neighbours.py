"""Nearest neighbours among feature vectors: looked for in float32, measured in float64, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from benchbench.metrics._distances import (
    Array,
    Floats,
    Frame,
    Indices,
    Placed,
    squared_bounds,
    squared_lengths,
)

Bools = npt.NDArray[np.bool_]
# Indices and squared distances, ``(n, k)`` both, the nearest first, and in which rows they are beyond doubt, ``(n,)``.
Found = tuple[Indices, Array, Bools]

# Candidates beyond those asked for: what is nearest in float32 may come a little later in float64.
SPARE = 4

# By how much a squared distance may be longer than one to a row that was passed over. Ties are no reason to look again.
TIE = 1e-9

# A block of which a larger part has to be measured pair by pair is computed in float64 first.
DOUBTFUL = 1 / 64

# News that would fill more of a block, all rows as long as the longest, are not sorted out: it is gone through.
NEWS = 1 / 32


def nearest(x: Floats, y: Floats, k: int) -> tuple[Indices, Array]:
    """The ``k`` nearest rows of ``y`` to every row of ``x``.

    Those that come first in float32 are measured as the length of a difference in float64, so that the distance to a
    copy is exactly zero. Where by its rounding another row might be nearer, float64 is taken for the search, too, and
    every row is measured where that does not settle it.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``, m >= k.
        k: How many.

    Returns:
        Indices into ``y`` and distances, both ``(n, k)``, the nearest first.
    """
    indices, squares = _settled(x, y, k, _searched(x, y, k, np.float32))
    return indices, np.sqrt(squares)


def squared_radii(features: Floats, k: int) -> Array:
    """Squared distance from each row of ``features (n, d)`` to its k-th nearest other row, ``(n,)``; n > k.

    As :func:`nearest` has it, but every pair is looked at once: a block's rows and its columns both learn from it.
    """
    placed = Frame(features).place(features, np.float32)
    best = _Best(placed, placed, k + 1)  # each row itself among them, at distance zero
    for rows, block in squared_bounds(placed, placed, upper=True):
        own = rows.stop - rows.start
        best.learn(rows, rows.start, block)
        best.learn(slice(rows.stop, len(features)), rows.start, block[:, own:], across=True)
    _, squares = _settled(features, features, k + 1, best.measured(features, features))
    return np.asarray(squares[:, k])


def _settled(x: Floats, y: Floats, k: int, found: Found) -> tuple[Indices, Array]:
    """What was found, with better means where it is in doubt."""
    indices, squares, sure = found
    for means in (partial(_searched, dtype=np.float64), _measured_throughout):
        rows = np.flatnonzero(~sure)
        if len(rows):
            indices[rows], squares[rows], sure[rows] = means(x[rows], y, k)
    return indices, squares


def _measured_throughout(x: Floats, y: Floats, k: int) -> Found:
    """Measure every row that may be among the nearest: as slow as it is certain."""
    indices, squares = np.empty((len(x), k), dtype=np.intp), np.empty((len(x), k))
    frame = Frame(y, x)
    placed_x, placed_y = frame.place(x, np.float64), frame.place(y, np.float64)
    for rows, block in squared_bounds(placed_x, placed_y):
        reach = np.partition(block, k - 1, axis=1)[:, k - 1]
        reach = reach + placed_x.width(placed_x.norms[rows], placed_y.norms.max())
        for row, bounds, most in zip(range(rows.start, rows.stop), block, reach, strict=True):
            near = np.flatnonzero(bounds <= most)
            lengths = squared_lengths(x, y, np.full(len(near), row), near)
            order = np.argsort(lengths, kind="stable")[:k]
            indices[row], squares[row] = near[order], lengths[order]
    return indices, squares, np.ones(len(x), dtype=bool)


def _searched(x: Floats, y: Floats, k: int, dtype: type[np.floating]) -> Found:
    """With the precision of ``dtype``."""
    frame = Frame(y, x)
    placed_x, placed_y = frame.place(x, dtype), frame.place(y, dtype)
    best = _Best(placed_x, placed_y, k)
    for rows, block in squared_bounds(placed_x, placed_y):
        best.learn(rows, 0, block)
    return best.measured(x, y)


def _places(mask: Bools) -> tuple[Indices, Indices]:
    """``np.nonzero`` of a matrix, several times as fast where little of it is set."""
    places = np.flatnonzero(mask)
    rows = places // mask.shape[1]
    places %= mask.shape[1]
    return rows, places


class _Best:
    """For every row of one set, the rows of another that have the lowest bounds of all seen so far.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``.
        k: How many are wanted.
    """

    def __init__(self, x: Placed, y: Placed, k: int) -> None:
        self.k, self.unit = k, y.unit
        self.width = x.width(x.norms, y.norms.max())
        self.all = len(y.norms) <= k + SPARE
        size = len(x.norms), min(len(y.norms), k + SPARE)
        self.bounds, self.found = np.full(size, np.inf, dtype=y.vectors.dtype), np.zeros(size, dtype=np.intp)

    def learn(self, rows: slice, first: int, block: Floats, *, across: bool = False) -> None:
        """See the bounds of some rows.

        Args:
            rows: Which of ``x``, b of them.
            first: Which of ``y`` comes first in the block; the others follow it.
            block: ``(b, c)``; with ``across``, ``(c, b)``.
            across: Whether it lies the other way round.
        """
        bounds, found = self._news(rows, block, across) or self._lowest(block, across)
        bounds = np.concatenate([self.bounds[rows], bounds], axis=1)
        found = np.concatenate([self.found[rows], first + found], axis=1)
        count = self.bounds.shape[1]
        kept = np.argpartition(bounds, count - 1, axis=1)[:, :count]
        self.bounds[rows] = np.take_along_axis(bounds, kept, axis=1)
        self.found[rows] = np.take_along_axis(found, kept, axis=1)

    def _lowest(self, block: Floats, across: bool) -> tuple[Floats, Indices]:
        """The lowest bounds of a block, and which of ``y`` they belong to, ``(b, count)`` both."""
        along = 0 if across else 1
        count = min(self.bounds.shape[1], block.shape[along])
        seen = torch.from_numpy(block).topk(count, dim=along, largest=False, sorted=False)
        bounds, found = (part.numpy().T if across else part.numpy() for part in seen)
        return bounds, found

    def _news(self, rows: slice, block: Floats, across: bool) -> tuple[Floats, Indices] | None:
        """The bounds of a block that are below the highest of those kept, padded with infinity; None if many."""
        highest = self.bounds[rows].max(axis=1)
        lower = block < (highest if across else highest[:, None])
        if np.count_nonzero(lower) > NEWS * block.size:
            return None
        row, column = _places(lower)
        if across:
            order = np.argsort(column, kind="stable")
            row, column = column[order], row[order]
        counts = np.bincount(row, minlength=len(highest))
        size = len(highest), int(counts.max(initial=0))
        if size[0] * size[1] > NEWS * block.size:
            return None
        place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        bounds, found = np.full(size, np.inf, dtype=block.dtype), np.zeros(size, dtype=np.intp)
        bounds[row, place] = block[column, row] if across else block[row, column]
        found[row, place] = column
        return bounds, found

    def measured(self, x: Floats, y: Floats) -> Found:
        """The k nearest of those that have the lowest bounds."""
        order = np.argsort(self.found, axis=1)  # of equals, the first
        found = np.take_along_axis(self.found, order, axis=1)
        bounds = np.take_along_axis(self.bounds, order, axis=1).astype(np.float64)
        # k of them are no farther than this, so that those beyond need not be measured
        reach = np.partition(bounds, self.k - 1, axis=1)[:, self.k - 1] + self.width
        rows, columns = np.nonzero(bounds <= reach[:, None])
        squares = np.full(found.shape, np.inf)
        squares[rows, columns] = squared_lengths(x, y, rows, found[rows, columns])
        order = np.argsort(squares, axis=1, kind="stable")[:, : self.k]
        squares = np.take_along_axis(squares, order, axis=1)
        farthest = squares[:, -1]
        # A row that was not found lies beyond the highest bound of those that were.
        beyond = bounds.max(axis=1) * self.unit * self.unit
        sure = ((1.0 - TIE) * farthest <= beyond) | (farthest == 0) | self.all
        return np.take_along_axis(found, order, axis=1), squares, sure


def closer(x: Floats, y: Floats, of_x: Array, of_y: Array) -> Iterator[tuple[slice, Bools, Bools]]:
    """Which pairs are closer than a limit that belongs to the one or to the other.

    Float32 says it of all but the pairs near a limit. Those are measured as the length of a difference in float64, as
    the limits of :func:`squared_radii` are, so that a copy of a neighbour on the rim of a ball lies outside of it.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``.
        of_x: ``(n,)``, squared.
        of_y: ``(m,)``, squared.

    Yields:
        Which rows of ``x``, and ``(b, m)`` twice: whether ``|x - y|^2`` is below that of ``of_x``, and of ``of_y``.
    """
    frame = Frame(x, y)
    placed_x, placed_y = frame.place(x, np.float32), frame.place(y, np.float32)
    wide_y: Placed | None = None
    for rows, block in squared_bounds(placed_x, placed_y):
        pairs = _Pairs(block, placed_x.norms[rows], placed_y, of_x[rows], of_y)
        if pairs.in_doubt <= DOUBTFUL * block.size:
            yield rows, *pairs.settled(x[rows], y)
            continue
        wide_y = wide_y or frame.place(y, np.float64)
        wide_x = frame.place(x[rows], np.float64)
        for part, block in squared_bounds(wide_x, wide_y):
            here = slice(rows.start + part.start, rows.start + part.stop)
            pairs = _Pairs(block, wide_x.norms[part], wide_y, of_x[here], of_y)
            yield here, *pairs.settled(x[here], y)


class _Pairs:
    """A block of pairs, and what is known of them by the bounds of their distances.

    Args:
        bounds: ``(b, m)``, as from :func:`squared_bounds`.
        norms: ``(b,)``: those of the first of each pair.
        y: The second ones.
        of_x: ``(b,)``: limits of the first.
        of_y: ``(m,)``: limits of the second.
    """

    def __init__(self, bounds: Floats, norms: Array, y: Placed, of_x: Array, of_y: Array) -> None:
        self.limits = of_x[:, None], of_y[None]
        own, other = (norms[:, None], y.norms[None]), (y.norms.max(), norms.max())
        self.below: list[Bools] = []
        self.doubt: list[Bools] = []
        for limits, mine, theirs in zip(self.limits, own, other, strict=True):
            scaled = limits / y.unit / y.unit
            # One far vector shall not put all in doubt: what is longer than this lies beyond the limit for certain, as
            # d >= |y|/2 + r, so that the bound of d^2 is above r^2 + |y|^2 (1/4 - 2.5 slack).
            longest = 4.0 * (np.sqrt(mine) + np.sqrt(scaled)) ** 2 if y.slack < 0.1 else np.inf
            measured = (y.vectors.shape[1] + 4) * float(np.finfo(np.float64).eps) * scaled  # limits are rounded, too
            width = y.width(mine, np.minimum(theirs, longest)) + measured
            # Nothing is closer than zero: a set of copies, whose balls have no size, leaves no doubt.
            scaled = np.where(scaled > 0, scaled, -np.inf)
            self.below.append(bounds < (scaled - width).astype(bounds.dtype))
            self.doubt.append(self.below[-1] ^ (bounds < scaled.astype(bounds.dtype)))

    @property
    def in_doubt(self) -> int:
        """How many have to be measured."""
        return int(sum(map(np.count_nonzero, self.doubt)))

    def settled(self, x: Floats, y: Floats) -> tuple[Bools, Bools]:
        """Which are below the one and the other limit, ``(b, m)`` both."""
        for limits, below, doubt in zip(self.limits, self.below, self.doubt, strict=True):
            first, second = _places(doubt)
            squares = squared_lengths(x, y, first, second)
            below[first, second] = squares < np.broadcast_to(limits, below.shape)[first, second]
        return self.below[0], self.below[1]


def distinct(features: Floats) -> Floats:
    """The rows of ``features`` without exact repeats, in the order of their first appearance."""
    first: dict[bytes, int] = {}
    for index, row in enumerate(features):  # 0.0 is added so that -0.0 and 0.0 have the same bytes
        first.setdefault(hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).digest(), index)
    return features if len(first) == len(features) else features[list(first.values())]
