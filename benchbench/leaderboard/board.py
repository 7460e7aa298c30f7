"""The board of one data setting: what a finished leaderboard consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchbench.config import BASELINE
from benchbench.leaderboard.records import Column, Record, RowInfo
from benchbench.leaderboard.verdict import Verdict
from benchbench.leaderboard.worth import Worth
from benchbench.statistics import Difference, Interval


@dataclass(frozen=True)
class SettingInfo:
    """A data setting, for people.

    Attributes:
        name: As in the records.
        text: One phrase.
        train_images: Real training images.
        whole: Whether they are all there are; if not, every seed has a subset of its own.
        imbalance: The largest class over the smallest, as the setting has it.
    """

    name: str
    text: str
    train_images: int
    whole: bool
    imbalance: float = 1.0


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard.

    Attributes:
        info: What it is.
        values: Interval over seeds by column key; a column without any value is missing.
        ranks: Rank within its track by column key, for ranked columns and generators only; 1 is the best.
        ratio: The mixed arm's ratio, chosen on ``val`` (a control's: the smallest); None where no mixed arm was run.
        classical_ratio: The same of the arm with classical augmentation.
        memorizes: The memorization flag; None where it was not measured.
        pareto: Whether no other generator of its track has at least its lift for at most its cost; None where lift
            or cost is not known, and for rows that are no generators.
        worth_alone: Real images that its synthetic ones, as many as the real ones, are worth.
        worth_added: Real images that the real and the synthetic ones together are worth.
    """

    info: RowInfo
    values: Mapping[str, Interval]
    ranks: Mapping[str, int]
    ratio: float | None
    classical_ratio: float | None = None
    memorizes: bool | None = None
    pareto: bool | None = None
    worth_alone: Worth | None = None
    worth_added: Worth | None = None


@dataclass(frozen=True)
class Correlation:
    """How well a metric orders the generators as lift does.

    Attributes:
        column: The metric.
        rho: Spearman's rank correlation of "better by the metric" with lift, over generators.
    """

    column: Column
    rho: Interval


@dataclass(frozen=True)
class Board:
    """A finished leaderboard of one data setting.

    Attributes:
        benchmark: The benchmark's name.
        dataset: The dataset's name.
        setting: How much of the training images there was.
        seeds: All seeds of the benchmark.
        columns: In order; metrics first.
        metrics: Those of ``columns`` that are metrics.
        rows: Generators by rank, then those of the transfer track, then baselines, then controls.
        rank_by: The key of the column that orders the generators.
        verdict: What to do.
        beside_classical: What to do where real images are augmented classically anyway; None where not measured.
        transfer: What generators that saw more images would give; None where there is none.
        correlations: By metric.
        differences: Of the generators of the strict track, by pair, in the column that orders the rows.
        warnings: Why the board is not to be trusted; empty where it is.
        records: All numbers of the setting, tidy.
    """

    benchmark: str
    dataset: str
    setting: SettingInfo
    seeds: tuple[int, ...]
    columns: tuple[Column, ...]
    metrics: tuple[Column, ...]
    rows: tuple[Row, ...]
    rank_by: str
    verdict: Verdict
    beside_classical: Verdict | None
    transfer: Verdict | None
    correlations: tuple[Correlation, ...]
    differences: Mapping[tuple[str, str], Difference]
    warnings: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def distances(self) -> tuple[Column, ...]:
        """The metrics that controls are judged by."""
        return tuple(column for column in self.metrics if column.distance)

    @property
    def headline(self) -> tuple[Column, ...]:
        """The ranked columns that come first: distances in the main features, whatever ranks the rows, and arms."""
        main = self.metrics[0].features if self.metrics else ""
        return tuple(
            column
            for column in self.columns
            if column.higher_is_better is not None
            and (not column.output or column.key == self.rank_by or (column.distance and column.features == main))
        )

    @property
    def floors(self) -> dict[str, float]:
        """By metric column: what two sets of real images give."""
        return {
            column.key: row.values[column.key].mean
            for row in self.rows
            if row.info.name == BASELINE
            for column in self.metrics
            if column.key in row.values
        }

    @property
    def real_accuracy(self) -> float | None:
        """Mean test accuracy of the classifier trained on real images alone; None where it was not run."""
        found = [row.values["cas"].mean for row in self.rows if row.info.name == BASELINE and "cas" in row.values]
        return found[0] if found else None

    def of_role(self, role: str) -> list[Row]:
        """Rows of one role, in order."""
        return [row for row in self.rows if row.info.role == role]

    def of_track(self, track: str) -> list[Row]:
        """Generators of one track, in order."""
        return [row for row in self.of_role("generator") if row.info.track == track]


@dataclass(frozen=True)
class Rules:
    """How numbers become a board.

    Attributes:
        rank_by: ``lift``, ``cas`` or a metric column's key.
        margin: Differences in accuracy below this do not matter.
        level: Confidence of intervals, in (0, 1).
    """

    rank_by: str
    margin: float
    level: float
