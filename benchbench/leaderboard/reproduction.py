"""Published numbers beside those of a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchbench.config import PublishedNumber
from benchbench.leaderboard.board import Board
from benchbench.leaderboard.build import ARMS, FACTS
from benchbench.statistics import Interval, t_interval

# The column of a downstream number that is not called like it: beside CAS stands the baseline's own accuracy.
COLUMNS = {"real_to_real": "cas", "synthetic_to_real": "cas"}
METRICS = {column.key: column.metric for column in (*ARMS, *FACTS)}


@dataclass(frozen=True)
class Reproduction:
    """A published number and the measured one.

    Attributes:
        source: Who published it.
        row: The row that reproduces it.
        number: As in the benchmark file.
        which: Of a number a class ``smallest`` or ``largest``; else empty.
        metric: What the number is called in the records, which says its unit.
        low: The published number, or the lower end of the published range.
        high: The same number, or the upper end.
        measured: Over seeds; None where it was not measured.
        difference: Measured minus published, with the measured interval; from the nearer end of a range. None within
            the range, and where it was not measured.
        note: What the benchmark file says of it.
    """

    source: str
    row: str
    number: str
    which: str
    metric: str
    low: float
    high: float
    measured: Interval | None
    difference: Interval | None
    note: str


def reproduce(board: Board | None, source: str, claim: PublishedNumber, label: str, level: float) -> list[Reproduction]:
    """What a board has where a source has a number.

    Args:
        board: Of all training images; None where there is none.
        source: Who published the number.
        claim: The number.
        label: What a metric's number is called in the records; empty for any other number.
        level: Confidence of the intervals.

    Returns:
        One; of a number a class two, for the smallest and for the largest of the classes.
    """
    key = label or COLUMNS.get(claim.number, claim.number)
    low, high = (claim.low, claim.high) if claim.value is None else (claim.value, claim.value)
    assert low is not None
    assert high is not None
    base = Reproduction(source, claim.row, claim.number, "", METRICS.get(key, label), low, high, None, None, claim.note)
    if board is None:
        return [base]
    of_classes = _by_seed(board, claim.row, label)
    if of_classes:
        smallest, largest = (t_interval([pick(seed) for seed in of_classes], level) for pick in (min, max))
        return [
            _measured(replace(base, which="smallest", high=low), smallest),
            _measured(replace(base, which="largest", low=high), largest),
        ]
    row = next((row for row in board.rows if row.info.name == claim.row), None)
    return [base if row is None or key not in row.values else _measured(base, row.values[key])]


def _by_seed(board: Board, row: str, metric: str) -> list[Sequence[float]]:
    """The numbers of the classes, seed by seed; empty of a metric that has none."""
    found: dict[int, list[float]] = {}
    for record in board.records:
        mine = (record.generator, record.metric) == (row, metric) and record.class_name is not None
        if mine and record.arm is None and record.value is not None:
            found.setdefault(record.seed, []).append(record.value)
    return list(found.values())


def _measured(base: Reproduction, measured: Interval) -> Reproduction:
    """With the measured interval, and how far it is from what was published."""
    if base.low < base.high and base.low <= measured.mean <= base.high:
        return replace(base, measured=measured)
    end = min(max(measured.mean, base.low), base.high)
    difference = replace(measured, mean=measured.mean - end, low=measured.low - end, high=measured.high - end)
    return replace(base, measured=measured, difference=difference)
