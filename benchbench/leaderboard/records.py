"""Tidy records: one number each, with all that says what it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchbench.types import Outcome, Status

Values = npt.NDArray[np.float64]
# By column key and row name: one value a seed, NaN where there is none.
ByColumn = Mapping[str, Mapping[str, Values]]


@dataclass(frozen=True)
class Record:
    """One measured number (or one that is missing, and why).

    Attributes:
        generator: The row's name.
        seed: The cell's seed.
        setting: The data setting.
        metric: What was measured, e.g. ``FD[domain]``, ``accuracy``, ``fit_seconds``.
        value: The number; None where the cell did not get so far.
        higher_is_better: None for numbers that are neither good nor bad.
        n: Images it was measured on, or None.
        status: How the cell ended.
        arm: For accuracies and lifts: the training set.
        ratio: For mixed arms: synthetic images a real one.
        classifier: For arms: the downstream classifier.
    """

    generator: str
    seed: int
    setting: str
    metric: str
    value: float | None
    higher_is_better: bool | None = None
    n: int | None = None
    status: Status = Status.OK
    arm: str | None = None
    ratio: float | None = None
    classifier: str | None = None


@dataclass(frozen=True)
class RowInfo:
    """What a row is, apart from its numbers.

    Attributes:
        name: The row's name.
        generator: The plugin's name; empty for the baseline.
        role: ``generator``, ``control`` or ``baseline``.
        labels: ``own``, ``per_class``, ``pseudo_label``, or empty for the baseline.
        expected: Where a control must come out for the board to be trusted.
        failures: Cells of the row that did not end ok.
        waiting: Cells of the row that have not been run yet.
    """

    name: str
    generator: str
    role: Literal["generator", "control", "baseline"]
    labels: str
    expected: Literal["best", "worst"] | None = None
    failures: tuple[Outcome, ...] = ()
    waiting: int = 0


@dataclass(frozen=True)
class Column:
    """A column of the leaderboard.

    Attributes:
        key: Unique name: ``lift``, ``cas``, or a metric's name.
        label: For people.
        higher_is_better: None for a column that is not ranked.
        metric: The record's metric.
        arm: The record's arm, or None.
    """

    key: str
    label: str
    higher_is_better: bool | None
    metric: str
    arm: str | None = None


def finite(values: Values) -> Values:
    """The values of the seeds that have one."""
    return values[np.isfinite(values)]


class RecordTable:
    """Looks up records by row and metric, aligned by seed.

    Args:
        records: All records.
        seeds: The benchmark's seeds, in order.
    """

    def __init__(self, records: Iterable[Record], seeds: Sequence[int]) -> None:
        records = list(records)
        self.seeds = list(seeds)
        self._images = {record.metric: record.n for record in records if record.n is not None}
        self._values = {
            (record.generator, record.metric, record.arm, record.ratio, record.seed): record.value
            for record in records
            if record.value is not None
        }

    def images(self, metric: str) -> int | None:
        """Images that a metric was measured on; None where it is not measured on images."""
        return self._images.get(metric)

    def by_seed(self, row: str, metric: str, arm: str | None = None, ratio: float | None = None) -> Values:
        """One value a seed, ``float64 (len(seeds),)``, NaN where there is none."""
        return np.array([self._values.get((row, metric, arm, ratio, seed), math.nan) for seed in self.seeds])
