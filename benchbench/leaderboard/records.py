"""Tidy records: one number each, with all that says what it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchbench.statistics import rounding_spread
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
        ratio: For mixed arms: synthetic images a real one; for ``real_part``: the part of the training images.
        classifier: For arms: the downstream classifier.
        classifier_seed: For arms: which of the cell's classifiers, 0, 1, ...
        train_images: For accuracies: images in the training set, real and synthetic ones.
        class_name: For numbers of one class.
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
    classifier_seed: int | None = None
    train_images: int | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class RowInfo:
    """What a row is, apart from its numbers.

    Attributes:
        name: The row's name.
        generator: The plugin's name; empty for the baseline.
        role: ``generator``, ``control`` or ``baseline``.
        labels: ``own``, ``per_class``, ``pseudo_label``, or empty for the baseline.
        generator_data: What the generator was shown: ``labelled``, ``unlabelled`` or ``full``.
        given: Whether its images were made elsewhere: nothing was fitted here.
        expected: Where a control must come out for the board to be trusted.
        failures: Cells of the row that did not end ok.
        waiting: Cells of the row that have not been run yet.
    """

    name: str
    generator: str
    role: Literal["generator", "control", "baseline"]
    labels: str
    expected: Literal["best", "worst", "copied"] | None = None
    failures: tuple[Outcome, ...] = ()
    waiting: int = 0
    generator_data: str = "labelled"
    given: bool = False

    @property
    def track(self) -> Literal["strict", "transfer"]:
        """Whether its generator saw what the classifier has, or more. Tracks are never ranked together."""
        return "strict" if self.generator_data == "labelled" else "transfer"


@dataclass(frozen=True)
class Column:
    """A column of the leaderboard.

    Attributes:
        key: Unique name: ``lift``, ``cas``, or a metric's name.
        label: For people.
        higher_is_better: None for a column that is not ranked.
        metric: The record's metric.
        arm: The record's arm, or None.
        output: For metrics: the key of the metric's output.
        features: For metrics: the features they are taken in.
        distance: For metrics: whether controls are judged by it.
    """

    key: str
    label: str
    higher_is_better: bool | None
    metric: str
    arm: str | None = None
    output: str = ""
    features: str = ""
    distance: bool = False


def least_spread(metric: str, images: int | None) -> float:
    """The least standard deviation that one value of a share of so many images can be said to have.

    Args:
        metric: The record's metric; a ``lift`` is a difference of two shares.
        images: Images that each share is of; None where it is not known, which claims nothing.
    """
    if images is None:
        return 0.0
    return rounding_spread(1 / images) * (math.sqrt(2.0) if metric == "lift" else 1.0)


def finite(values: Values) -> Values:
    """The values of the seeds that have one."""
    return values[np.isfinite(values)]


class RecordTable:
    """Looks up the records of one data setting by row and metric, aligned by seed.

    Args:
        records: All records of the setting; those of single classes are passed over.
        seeds: The benchmark's seeds, in order.
    """

    def __init__(self, records: Iterable[Record], seeds: Sequence[int]) -> None:
        self.seeds = list(seeds)
        self._images: dict[str, int] = {}
        self._values: dict[tuple[str, str, str | None, float | None, int], list[float]] = {}
        self._ratios: dict[tuple[str, str], set[float]] = {}
        for record in records:
            if record.class_name is not None or record.value is None:
                continue
            if record.n is not None:
                self._images[record.metric] = record.n
            key = (record.generator, record.metric, record.arm, record.ratio, record.seed)
            self._values.setdefault(key, []).append(record.value)
            if record.arm is not None and record.ratio is not None:
                self._ratios.setdefault((record.generator, record.arm), set()).add(record.ratio)

    def images(self, metric: str) -> int | None:
        """Images that a metric was measured on; None where it is not measured on images."""
        return self._images.get(metric)

    def ratios(self, row: str, arm: str) -> list[float]:
        """The ratios at which an arm was run, ascending."""
        return sorted(self._ratios.get((row, arm), ()))

    def by_seed(self, row: str, metric: str, arm: str | None = None, ratio: float | None = None) -> Values:
        """One value a seed, ``float64 (len(seeds),)``, NaN where there is none; a cell's classifiers are averaged."""
        found = [self._values.get((row, metric, arm, ratio, seed), [math.nan]) for seed in self.seeds]
        return np.array([np.mean(values) for values in found], dtype=np.float64)
