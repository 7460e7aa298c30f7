"""The board: rows with intervals and ranks, a verdict, and whether all this is to be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchbench.leaderboard.records import ByColumn, Column, Record, RecordTable, RowInfo, Values, finite
from benchbench.leaderboard.trust import distrust
from benchbench.leaderboard.verdict import Verdict, decide
from benchbench.statistics import Interval, rounding_spread, t_interval, tie_ranks

# What stands in every board besides its distances.
ARMS = (
    Column("cas", "CAS", True, "accuracy", "synthetic"),
    Column("lift", "Lift", True, "lift", "mixed"),
)
FACTS = (
    Column("label_noise", "Label noise", None, "label_noise"),
    Column("bits_per_dim", "bits/dim", None, "bits_per_dim"),
    Column("fit_seconds", "Fit s", None, "fit_seconds"),
    Column("images_per_second", "Images/s", None, "images_per_second"),
    Column("parameters", "Parameters", None, "parameters"),
)


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard.

    Attributes:
        info: What it is.
        values: Interval over seeds by column key; a column without any value is missing.
        ranks: Rank by column key, for ranked columns and generators only; 1 is the best.
        ratio: The mixed arm's ratio, chosen on ``val``; None where no mixed arm was run.
    """

    info: RowInfo
    values: Mapping[str, Interval]
    ranks: Mapping[str, int]
    ratio: float | None


@dataclass(frozen=True)
class Board:
    """A finished leaderboard.

    Attributes:
        benchmark: Its name.
        dataset: The dataset's name.
        seeds: All seeds of the benchmark.
        columns: In order; distances first.
        distances: Those of ``columns`` that are distances.
        rows: Generators by rank, then the baseline, then controls.
        rank_by: The key of the column that orders the generators.
        verdict: What to do.
        warnings: Why the board is not to be trusted; empty where it is.
        records: All numbers, tidy.
    """

    benchmark: str
    dataset: str
    seeds: tuple[int, ...]
    columns: tuple[Column, ...]
    distances: tuple[Column, ...]
    rows: tuple[Row, ...]
    rank_by: str
    verdict: Verdict
    warnings: tuple[str, ...]
    records: tuple[Record, ...]

    def of_role(self, role: str) -> list[Row]:
        """Rows of one role, in order."""
        return [row for row in self.rows if row.info.role == role]


def build_board(
    *,
    benchmark: str,
    dataset: str,
    seeds: Sequence[int],
    infos: Sequence[RowInfo],
    records: Sequence[Record],
    distances: Sequence[Column],
    rank_by: str,
    margin: float,
    level: float,
) -> Board:
    """Aggregate records over seeds, rank, and decide.

    Args:
        benchmark: Its name.
        dataset: The dataset's name.
        seeds: All seeds; a cell that failed leaves a gap.
        infos: The rows.
        records: All numbers.
        distances: Columns of distances between real and synthetic images.
        rank_by: ``lift``, ``cas`` or a distance's key.
        margin: Differences in accuracy below this do not matter.
        level: Confidence of intervals, in (0, 1).
    """
    table = RecordTable(records, seeds)
    columns = (*distances, *ARMS, *FACTS)
    ratios = {info.name: best_ratio(table, info.name, records) for info in infos}
    values: ByColumn = {
        column.key: {info.name: _column_values(table, column, info, ratios[info.name]) for info in infos}
        for column in columns
    }
    least = {column.key: _least_spread(table, column) for column in columns}
    ranks = _ranks(infos, [*distances, *ARMS], values, least, 1 - level)
    rows = [_row(info, values, ranks, least, ratios[info.name], level) for info in infos]
    lifts = {info.name: finite(values["lift"][info.name]) for info in infos if info.role == "generator"}
    scored = {name: found for name, found in lifts.items() if len(found)}
    higher = {column.key for column in (*distances, *ARMS) if column.higher_is_better}
    shown = {key for row in rows for key in row.values}
    return Board(
        benchmark=benchmark,
        dataset=dataset,
        seeds=tuple(seeds),
        columns=tuple(column for column in columns if column.key in shown),
        distances=tuple(distances),
        rows=tuple(sorted(rows, key=lambda row: _order(row, rank_by, -1.0 if rank_by in higher else 1.0))),
        rank_by=rank_by,
        verdict=decide(scored, {row.info.name: row.ratio for row in rows if row.ratio}, margin, level, least["lift"]),
        warnings=tuple(distrust(infos, distances, values, 1 - level)),
        records=tuple(records),
    )


def _least_spread(table: RecordTable, column: Column) -> float:
    """The least standard deviation of an accuracy, or of a lift (two accuracies), on so many images."""
    images = table.images(column.metric)
    if column.arm is None or images is None:
        return 0.0
    return rounding_spread(1 / images) * (math.sqrt(2.0) if column.key == "lift" else 1.0)


def _ranks(
    infos: Sequence[RowInfo],
    columns: Sequence[Column],
    values: ByColumn,
    least: Mapping[str, float],
    alpha: float,
) -> dict[str, dict[str, int]]:
    """By ranked column and generator."""
    generators = [info.name for info in infos if info.role == "generator"]
    return {
        column.key: tie_ranks(
            {name: values[column.key][name] for name in generators}, column.higher_is_better, alpha, least[column.key]
        )
        for column in columns
        if column.higher_is_better is not None
    }


def _row(
    info: RowInfo,
    values: ByColumn,
    ranks: Mapping[str, Mapping[str, int]],
    least: Mapping[str, float],
    ratio: float | None,
    level: float,
) -> Row:
    """Intervals and ranks of the columns in which the row has any value."""
    measured = {key: found for key, by_row in values.items() if len(found := finite(by_row[info.name]))}
    intervals = {key: t_interval(found, level, least[key]) for key, found in measured.items()}
    return Row(
        info, intervals, {key: ranks[key][info.name] for key in measured if info.name in ranks.get(key, {})}, ratio
    )


def best_ratio(table: RecordTable, row: str, records: Sequence[Record]) -> float | None:
    """The mixed arm's ratio with the best mean accuracy on ``val``; the smallest of those that tie.

    Only ratios with as many seeds as any other are compared: a lucky single seed wins nothing.
    """
    tried = sorted({r.ratio for r in records if r.generator == row and r.arm == "mixed" and r.ratio is not None})
    found = {ratio: finite(table.by_seed(row, "val_accuracy", "mixed", ratio)) for ratio in tried}
    most = max((len(values) for values in found.values()), default=0)
    scored = {ratio: float(values.mean()) for ratio, values in found.items() if len(values) == most > 0}
    return max(scored, key=lambda ratio: (scored[ratio], -ratio)) if scored else None


def _column_values(table: RecordTable, column: Column, info: RowInfo, ratio: float | None) -> Values:
    """One value a seed. The baseline has no synthetic images: beside the others' CAS stands its own accuracy."""
    if info.role == "baseline" and column.key == "cas":
        return table.by_seed(info.name, column.metric, "real")
    return table.by_seed(info.name, column.metric, column.arm, ratio if column.arm == "mixed" else None)


def _order(row: Row, rank_by: str, sign: float) -> tuple[object, ...]:
    """Generators first, by rank and then by mean; then the baseline; then controls by name."""
    group = {"generator": 0, "baseline": 1, "control": 2}[row.info.role]
    if group == 0 and rank_by in row.values:
        return group, row.ranks.get(rank_by, 0), sign * row.values[rank_by].mean, row.info.name
    return group, float("inf"), 0.0, row.info.name
