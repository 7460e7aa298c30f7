"""From the records of one data setting to its board."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchbench.config import BASELINE
from benchbench.leaderboard.board import Board, Correlation, Row, Rules, SettingInfo
from benchbench.leaderboard.records import (
    ByColumn,
    Column,
    Record,
    RecordTable,
    RowInfo,
    Values,
    finite,
    least_spread,
)
from benchbench.leaderboard.trust import copies, distrust
from benchbench.leaderboard.verdict import Verdict, decide
from benchbench.leaderboard.worth import LearningCurve, Worth, worth
from benchbench.statistics import (
    Difference,
    pairwise_differences,
    pareto_front,
    rank_correlation,
    t_interval,
    tie_ranks,
)

# What stands in every board besides its metrics. Those that are ranked are the board's headline.
ARMS = (
    Column("cas", "CAS", True, "accuracy", "synthetic"),
    Column("lift", "Lift", True, "lift", "mixed"),
    Column("lift_classical", "Lift over classical", True, "lift", "classical_mixed"),
    Column("synthetic_to_synthetic", "Synthetic→synthetic", None, "accuracy_on_synthetic", "synthetic"),
    Column("real_to_synthetic", "Real→synthetic", None, "accuracy_on_synthetic", "real"),
    Column("mixed_to_mixed", "Mixed→mixed", None, "accuracy_on_mixed", "mixed"),
)
FACTS = (
    Column("label_noise", "Label noise", None, "label_noise"),
    Column("bits_per_dim", "bits/dim", None, "bits_per_dim"),
)
COSTS = (
    Column("fit_seconds", "Fit s", None, "fit_seconds"),
    Column("sample_seconds", "Sample s", None, "sample_seconds"),
    Column("images_per_second", "Images/s", None, "images_per_second"),
    Column("peak_memory_bytes", "Peak memory", None, "peak_memory_bytes"),
    Column("parameters", "Parameters", None, "parameters"),
)
# Real images alone, otherwise treated: rows of their own, of the baseline's cell.
TREATMENTS = {"classical": "real, classical augmentation", "oversampled": "real, oversampled"}

# The baseline's learning curve by seed.
Curves = Mapping[int, LearningCurve]


def build_board(
    *,
    benchmark: str,
    dataset: str,
    setting: SettingInfo,
    seeds: Sequence[int],
    infos: Sequence[RowInfo],
    records: Sequence[Record],
    metrics: Sequence[Column],
    curves: Curves,
    rules: Rules,
) -> Board:
    """Aggregate a setting's records over seeds, rank, and decide.

    Args:
        benchmark: Its name.
        dataset: The dataset's name.
        setting: The data setting.
        seeds: All seeds; a cell that failed leaves a gap.
        infos: The rows.
        records: All numbers of this setting.
        metrics: Columns of metrics between real and synthetic images.
        curves: The baseline's learning curves.
        rules: How to rank and decide.
    """
    work = _Aggregate(RecordTable(records, seeds), infos, (*metrics, *ARMS, *FACTS, *COSTS), rules)
    rows = [work.row(info, curves, seeds) for info in work.infos]
    shown = {key for row in rows for key in row.values}
    memorizes = {row.info.name: row.memorizes for row in rows if row.memorizes is not None}
    distances = [column for column in metrics if column.distance]
    transfer = work.verdict("lift", "transfer")
    return Board(
        benchmark=benchmark,
        dataset=dataset,
        setting=setting,
        seeds=tuple(seeds),
        columns=tuple(column for column in work.columns if column.key in shown),
        metrics=tuple(column for column in metrics if column.key in shown),
        rows=tuple(sorted(rows, key=work.order)),
        rank_by=rules.rank_by,
        verdict=work.verdict("lift", "strict"),
        beside_classical=work.verdict("lift_classical", "strict") if "lift_classical" in shown else None,
        transfer=transfer if any(info.track == "transfer" for info in infos) else None,
        correlations=tuple(work.correlations(metrics)),
        differences=work.differences(),
        warnings=tuple(distrust(infos, distances, work.values, memorizes, 1 - rules.level)),
        records=tuple(records),
    )


class _Aggregate:
    """Numbers by column and row, and what follows from them.

    Args:
        table: The records.
        infos: The rows that have cells; the baseline's treatments are added.
        columns: All columns.
        rules: How to rank and decide.
    """

    def __init__(self, table: RecordTable, infos: Sequence[RowInfo], columns: Sequence[Column], rules: Rules) -> None:
        self.table = table
        self.columns = columns
        self.rules = rules
        self.infos = [*infos, *_treatments(table, infos)]
        arms = ("mixed", "classical_mixed")
        self.ratios = {(info.name, arm): self._ratio(info, arm) for info in infos for arm in arms}
        self.values: ByColumn = {
            column.key: {info.name: self._of(column, info) for info in self.infos} for column in columns
        }
        self.least = {column.key: self._least_spread(column) for column in columns}
        self.ranks = {track: self._ranks(track) for track in ("strict", "transfer")}
        self.pareto = {name: on for track in self.ranks for name, on in self._pareto(track).items()}

    def _ratio(self, info: RowInfo, arm: str) -> float | None:
        """The best on ``val``; of a control the smallest, since some controls give back the images of ``val``."""
        if info.role == "control":
            return next(iter(self.table.ratios(info.name, arm)), None)
        return best_ratio(self.table, info.name, arm)

    def _of(self, column: Column, info: RowInfo) -> Values:
        """One value a seed. The baseline has no synthetic images: beside the others' CAS stands its own accuracy."""
        if info.role == "baseline":
            arm = next((arm for arm, name in TREATMENTS.items() if name == info.name), "real")
            if column.key in ("cas", "lift"):
                return self.table.by_seed(BASELINE, column.metric, arm)
            return self.table.by_seed(info.name, column.metric, column.arm)
        ratio = self.ratios.get((info.name, column.arm or ""))
        return self.table.by_seed(info.name, column.metric, column.arm, ratio)

    def _least_spread(self, column: Column) -> float:
        """Of accuracies, lifts, and all else that is a share of so many images; else nothing is known."""
        images = self.table.images(column.metric)
        share = column.arm is not None or column.key == "label_noise" or self._counts(column, images)
        return least_spread(column.metric, images) if share else 0.0

    def _counts(self, column: Column, images: int | None) -> bool:
        """Whether a metric's values are all shares of its images: a recall, a memorized share and the like."""
        found = np.concatenate([finite(values) for values in self.values[column.key].values()])
        if not column.output or images is None or not len(found):
            return False
        counts = found * images
        return bool((np.abs(counts - np.rint(counts)) < 1e-6).all() and (np.abs(found) <= 1).all())

    def _generators(self, track: str) -> list[str]:
        return [info.name for info in self.infos if info.role == "generator" and info.track == track]

    def _ranks(self, track: str) -> dict[str, dict[str, int]]:
        """By ranked column and generator of one track."""
        alpha = 1 - self.rules.level
        return {
            column.key: tie_ranks(
                {name: self.values[column.key][name] for name in self._generators(track)},
                column.higher_is_better,
                alpha,
                self._single(column.key),
            )
            for column in self.columns
            if column.higher_is_better is not None
        }

    def _mean(self, key: str, name: str) -> float:
        found = finite(self.values[key][name])
        return float(found.mean()) if len(found) else math.nan

    def _pareto(self, track: str) -> dict[str, bool]:
        """Which of the generators whose lift and cost are known are on the front of lift against seconds."""
        names = self._generators(track)
        cost = {name: self._mean("fit_seconds", name) + self._mean("sample_seconds", name) for name in names}
        lift = {name: self._mean("lift", name) for name in names}
        front = pareto_front(lift, cost)
        return {name: name in front for name in names if math.isfinite(lift[name] + cost[name])}

    def _memorizes(self, info: RowInfo) -> bool | None:
        """The flag, in the main features."""
        for column in self.columns:
            if column.output == "memorized":
                shares = finite(self.values[column.key][info.name])
                images = self.table.images(column.metric)
                return None if not len(shares) or images is None else copies(shares, images, self.rules.level)
        return None

    def row(self, info: RowInfo, curves: Curves, seeds: Sequence[int]) -> Row:
        """Intervals and ranks of the columns in which the row has any value."""
        measured = {key: found for key, by_row in self.values.items() if len(found := finite(by_row[info.name]))}
        intervals = {key: t_interval(found, self.rules.level, self.least[key]) for key, found in measured.items()}
        ranks = self.ranks[info.track]
        mixed = self.table.by_seed(info.name, "accuracy", "mixed", self.ratios.get((info.name, "mixed")))
        return Row(
            info,
            intervals,
            {key: ranks[key][info.name] for key in measured if info.name in ranks.get(key, {})},
            self.ratios.get((info.name, "mixed")),
            self.ratios.get((info.name, "classical_mixed")),
            self._memorizes(info),
            self.pareto.get(info.name),
            self._worth(self.table.by_seed(info.name, "accuracy", "synthetic"), curves, seeds),
            self._worth(mixed, curves, seeds),
        )

    def _worth(self, accuracies: Values, curves: Curves, seeds: Sequence[int]) -> Worth | None:
        """The accuracies as numbers of real images; None where there is nothing to compare."""
        pairs = {
            seed: float(value)
            for seed, value in zip(seeds, accuracies, strict=True)
            if math.isfinite(value) and seed in curves
        }
        return worth({seed: curves[seed] for seed in pairs}, pairs, self.rules.level) if pairs else None

    def verdict(self, key: str, track: str) -> Verdict:
        """From the lifts in one column."""
        arm = next(column.arm for column in ARMS if column.key == key)
        lifts = {name: finite(self.values[key][name]) for name in self._generators(track)}
        scored = {name: found for name, found in lifts.items() if len(found)}
        ratios = {name: ratio for name in scored if (ratio := self.ratios[name, str(arm)]) is not None}
        tries = max((len(self.table.ratios(name, str(arm))) for name in scored), default=1)
        return decide(scored, ratios, self.rules.margin, self.rules.level, self.least[key], tries)

    def differences(self) -> dict[tuple[str, str], Difference]:
        """Of the strict track's generators, in the column that orders the rows."""
        key = self.rules.rank_by
        if key not in self.values:
            return {}
        scores = {name: self.values[key][name] for name in self._generators("strict")}
        return pairwise_differences(scores, self._single(key), self.rules.level)

    def _single(self, key: str) -> float:
        """The least spread of one value, where rows are compared with each other.

        Two lifts of a seed differ by two accuracies, not by four: the real arm's is the same in both.
        """
        metric = next(column.metric for column in self.columns if column.key == key)
        return self.least[key] / (math.sqrt(2.0) if metric == "lift" else 1.0)

    def correlations(self, metrics: Sequence[Column]) -> list[Correlation]:
        """Of every metric with lift, over the generators of the strict track."""
        names = [name for name in self._generators("strict") if math.isfinite(self._mean("lift", name))]
        found = []
        for column in metrics:
            scored = [name for name in names if math.isfinite(self._mean(column.key, name))]
            if column.higher_is_better is None or len(scored) < 2:
                continue
            sign = 1.0 if column.higher_is_better else -1.0
            goodness = [sign * self._mean(column.key, name) for name in scored]
            lifts = [self._mean("lift", name) for name in scored]
            found.append(Correlation(column, rank_correlation(goodness, lifts, self.rules.level)))
        return found

    def order(self, row: Row) -> tuple[object, ...]:
        """Generators first, by track, rank and mean; then baselines; then controls by name."""
        key = self.rules.rank_by
        group = {"generator": 0, "baseline": 2, "control": 3}[row.info.role]
        group += row.info.role == "generator" and row.info.track == "transfer"
        higher = any(column.key == key and column.higher_is_better for column in self.columns)
        if row.info.role == "generator" and key in row.values:
            return group, row.ranks.get(key, 0), (-1.0 if higher else 1.0) * row.values[key].mean, row.info.name
        if row.info.role == "baseline":
            return group, 0.0, 0.0, [BASELINE, *TREATMENTS.values()].index(row.info.name)
        return group, math.inf, 0.0, row.info.name


def _treatments(table: RecordTable, infos: Sequence[RowInfo]) -> list[RowInfo]:
    """Rows for what else was done with real images alone."""
    if not any(info.role == "baseline" for info in infos):
        return []
    return [
        RowInfo(name, "", "baseline", "")
        for arm, name in TREATMENTS.items()
        if len(finite(table.by_seed(BASELINE, "accuracy", arm)))
    ]


def best_ratio(table: RecordTable, row: str, arm: str = "mixed") -> float | None:
    """The arm's ratio with the best mean accuracy on ``val``; the smallest of those that tie.

    Only ratios with as many seeds as any other are compared: a lucky single seed wins nothing.
    """
    found = {ratio: finite(table.by_seed(row, "val_accuracy", arm, ratio)) for ratio in table.ratios(row, arm)}
    most = max((len(values) for values in found.values()), default=0)
    scored = {ratio: float(values.mean()) for ratio, values in found.items() if len(values) == most > 0}
    return max(scored, key=lambda ratio: (scored[ratio], -ratio)) if scored else None
