"""The board: rows with intervals and ranks, a verdict, and whether all this is to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchbench.leaderboard.records import Record, RecordTable, RowInfo
from benchbench.leaderboard.verdict import Verdict, decide
from benchbench.statistics import Interval, t_interval, tie_ranks

Values = npt.NDArray[np.float64]


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
    ratios = {info.name: best_ratio(table, info.name, records) for info in infos}
    values = {
        column.key: {info.name: _column_values(table, column, info, ratios[info.name]) for info in infos}
        for column in (*distances, *ARMS, *FACTS)
    }
    generators = [info.name for info in infos if info.role == "generator"]
    ranks = {
        column.key: tie_ranks(
            {name: values[column.key][name] for name in generators}, column.higher_is_better, 1 - level
        )
        for column in (*distances, *ARMS)
        if column.higher_is_better is not None
    }
    rows = [
        Row(
            info,
            {
                key: t_interval(found[np.isfinite(found)], level)
                for key, by_row in values.items()
                if np.isfinite(found := by_row[info.name]).any()
            },
            {
                key: by_row[info.name]
                for key, by_row in ranks.items()
                if info.name in by_row and np.isfinite(values[key][info.name]).any()
            },
            ratios[info.name],
        )
        for info in infos
    ]
    lifts = {name: found[np.isfinite(found)] for name in generators if np.isfinite(found := values["lift"][name]).any()}
    sign = -1.0 if rank_by in {column.key for column in (*distances, *ARMS) if column.higher_is_better} else 1.0
    shown = {key for row in rows for key in row.values}
    return Board(
        benchmark=benchmark,
        dataset=dataset,
        seeds=tuple(seeds),
        columns=tuple(column for column in (*distances, *ARMS, *FACTS) if column.key in shown),
        distances=tuple(distances),
        rows=tuple(sorted(rows, key=lambda row: _order(row, rank_by, sign))),
        rank_by=rank_by,
        verdict=decide(lifts, {name: ratio for name, ratio in ratios.items() if ratio is not None}, margin, level),
        warnings=tuple(distrust(infos, distances, values, level)),
        records=tuple(records),
    )


def best_ratio(table: RecordTable, row: str, records: Sequence[Record]) -> float | None:
    """The mixed arm's ratio with the best mean accuracy on ``val``; the smallest of those that tie."""
    tried = sorted({r.ratio for r in records if r.generator == row and r.arm == "mixed" and r.ratio is not None})
    means = {ratio: table.by_seed(row, "val_accuracy", "mixed", ratio) for ratio in tried}
    scored = {ratio: float(np.nanmean(found)) for ratio, found in means.items() if np.isfinite(found).any()}
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


def distrust(
    infos: Sequence[RowInfo],
    distances: Sequence[Column],
    values: Mapping[str, Mapping[str, Values]],
    level: float,
) -> list[str]:
    """Why a board is not to be trusted.

    A control that should come out best must not be significantly worse than any generator; one that should
    come out worst must have a worse mean than every generator. Controls are not compared with each other.
    """
    generators = [info.name for info in infos if info.role == "generator"]
    reasons = []
    for column in distances:
        mine = values[column.key]
        higher = bool(column.higher_is_better)
        scored = [name for name in generators if np.isfinite(mine[name]).any()]
        for info in infos:
            if info.expected is None or not scored or not np.isfinite(mine[info.name]).any():
                continue
            if info.expected == "best":
                ranks = tie_ranks({name: mine[name] for name in [info.name, *scored]}, higher, 1 - level)
                beaten = ranks[info.name] > 1
            else:
                means = [float(np.nanmean(mine[name])) for name in scored]
                own = float(np.nanmean(mine[info.name]))
                beaten = own >= min(means) if higher else own <= max(means)
            if beaten:
                reasons.append(f"{info.name} does not come out {info.expected} by {column.label}")
    return reasons
