"""The tables of one data setting, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchbench.config import BASELINE
from benchbench.leaderboard import Board, Column, Dossier, Row
from benchbench.leaderboard.build import COSTS
from benchbench.leaderboard.records import RecordTable, Values, finite, least_spread
from benchbench.report._numbers import (
    NOTHING,
    correlation,
    escape,
    heading,
    number,
    style,
    with_spread,
    worth_number,
)
from benchbench.statistics import Interval, t_interval

# Outputs that are Fréchet distances between moments of n images.
FRECHET = ("fd", "fd_infinity")
# The same, of the images of one class: the mean's output, and what the numbers themselves are called.
FRECHET_OF_CLASS = "fd_class_mean"
FRECHET_BY_CLASS = "FD per class"
COST_KEYS = tuple(column.key for column in COSTS)
YES_OR_NO = {True: "yes", False: "no", None: NOTHING}
# Arms of real images alone.
REAL_ARMS = {
    "real": "real→real",
    "classical": "classical augmentation→real",
    "oversampled": "oversampled→real",
}
# The columns of the arms table that have no ratio of their own, before and after "mixed→real" at each one.
PLAIN_ARMS = {
    "cas": "synthetic→real (CAS)",
    "synthetic_to_synthetic": "synthetic→synthetic",
    "real_to_synthetic": "real→synthetic",
    "mixed_to_mixed": "mixed→mixed",
}
RATIO_ARMS = {"mixed": "mixed→real", "classical_mixed": "classical + mixed→real"}

# A table's column: its heading and what stands in a row's line.
Part = tuple[str, Callable[[Row], str]]


def pipe_table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; empty where there is no line."""
    from tabulate import tabulate

    if not lines:
        return ""
    return tabulate(lines, headings, tablefmt="pipe", stralign="left", disable_numparse=True)


def too_few(dossier: Dossier, column: Column) -> bool:
    """Whether a column is a Fréchet distance on fewer than 2d images: mostly bias."""
    if column.output == FRECHET_OF_CLASS:
        return too_few_of_class(dossier, column.features)
    return column.output in FRECHET and dossier.too_few(column.features)


def too_few_of_class(dossier: Dossier, features: str) -> bool:
    """The same for the images of one class, the same number of each."""
    images = int(dossier.manifest["images_per_distance"]) // max(1, len(dossier.classes))
    return images < 2 * dossier.dimensions.get(features, 0)


def row_name(row: Row, track: bool = False) -> str:
    """A row's name, marked by what it is; with ``track`` those of the transfer track say so."""
    name = escape(row.info.name)
    if row.info.role == "generator":
        return f"**{name}** (transfer)" if track and row.info.track == "transfer" else f"**{name}**"
    if row.info.role == "control":
        return f"*{name}* (control)"
    return f"{name} images alone" if row.info.name == BASELINE else name


def main_table(dossier: Dossier, board: Board) -> str:
    """The leaderboard: rank, headline columns, label noise, copies, worth. Without the transfer track."""
    transfer = board.of_track("transfer")
    return _headline_table(dossier, board, [row for row in board.rows if row not in transfer])


def transfer_table(dossier: Dossier, board: Board) -> str:
    """The same for generators that saw more than the classifier; empty where there is none."""
    saw: Part = ("Saw", lambda row: f"{row.info.generator_data}")
    return _headline_table(dossier, board, board.of_track("transfer"), [saw])


def _headline_table(dossier: Dossier, board: Board, rows: Sequence[Row], extra: Sequence[Part] = ()) -> str:
    noise = [column for column in board.columns if column.key in ("label_noise", "bits_per_dim")]
    rank: Part = ("Rank", lambda row: str(row.ranks.get(board.rank_by, "")))
    parts: list[Part] = [
        *([rank] if len(board.seeds) > 1 else []),
        ("Row", row_name),
        *extra,
        ("Labels", lambda row: row.info.labels or NOTHING),
        *(_measured(dossier, board, column) for column in (*board.headline, *noise)),
    ]
    if any(row.memorizes is not None for row in board.rows):
        parts.append(("Copies?", lambda row: YES_OR_NO[row.memorizes]))
    if any(row.worth_alone is not None for row in board.rows):
        parts.append(("Worth alone, real images", lambda row: worth_number(row.worth_alone)))
    return _table(rows, [*parts, ("Seeds", lambda row: _seeds(board, row))])


def _table(rows: Sequence[Row], parts: Sequence[Part]) -> str:
    return pipe_table([title for title, _ in parts], [[write(row) for _, write in parts] for row in rows])


def _measured(dossier: Dossier, board: Board, column: Column) -> Part:
    """``0.71 ± 0.05 (1)``: mean, half-width of the interval, rank in this column (of one seed there is none)."""

    def write(row: Row) -> str:
        interval = row.values.get(column.key)
        if interval is None or (row.info.role == "control" and column.key == "bits_per_dim"):
            return NOTHING
        text, rank = with_spread(column.metric, interval), row.ranks.get(column.key)
        return f"{text} ({rank})" if rank is not None and len(board.seeds) > 1 else text

    return heading(column, board.floors.get(column.key), too_few(dossier, column)), write


def _seeds(board: Board, row: Row) -> str:
    """How many seeds the number has that the row is ranked by: ``3``, ``3 of 5, 1 failed, 1 not run``."""
    counts = {key: interval.n for key, interval in row.values.items()}
    keys = ("cas",) if row.info.role == "baseline" else (board.rank_by, "lift")
    known = [key for key in keys if any(column.key == key for column in board.columns)]
    seeds = counts.get(known[0], 0) if known else max(counts.values(), default=0)
    text = str(seeds) if seeds == len(board.seeds) else f"{seeds} of {len(board.seeds)}"
    lost = f", {len(row.info.failures)} failed" if row.info.failures else ""
    return f"{text}{lost}" + (f", {row.info.waiting} not run" if row.info.waiting else "")


def metrics_table(dossier: Dossier, board: Board) -> str:
    """Every metric in every feature space, what two sets of real images give first."""
    measured = [row for row in board.rows if any(column.key in row.values for column in board.metrics)]
    rows = sorted(measured, key=lambda row: row.info.role != "baseline")
    name: Part = ("Row", lambda row: "floor: real images" if row.info.name == BASELINE else row_name(row, track=True))
    columns = [_measured(dossier, board, column) for column in board.metrics]
    return _table(rows, [name, *[(title.split("<br>")[0], write) for title, write in columns]])


def real_arms_table(dossier: Dossier, board: Board) -> str:
    """Classifiers trained on real images alone."""
    table = RecordTable(board.records, board.seeds)
    lines = [
        [title, *(_real_arm(dossier, table, metric, arm) for metric in ("accuracy", "lift"))]
        for arm, title in REAL_ARMS.items()
    ]
    return pipe_table(["Train→test", "Accuracy %", "Lift, pts"], [line for line in lines if line[1] != NOTHING])


def _real_arm(dossier: Dossier, table: RecordTable, metric: str, arm: str) -> str:
    return accuracy_cell(dossier.level, metric, table.by_seed(BASELINE, metric, arm), table.images(metric))


def arms_table(dossier: Dossier, board: Board) -> str:
    """Accuracies of every arm with synthetic images; the ratio chosen on ``val`` (of controls the smallest) is bold."""
    table = RecordTable(board.records, board.seeds)
    rows = [row for row in board.rows if row.info.role != "baseline"]
    parts: list[Part] = [("Row", lambda row: row_name(row, track=True))]
    for column in board.columns:
        if column.key in PLAIN_ARMS:
            parts.append((f"{PLAIN_ARMS[column.key]} %", _plain(column)))
    for arm, title in RATIO_ARMS.items():
        for ratio in sorted({ratio for row in rows for ratio in table.ratios(row.info.name, arm)}):
            parts.append((f"{title}, ratio {ratio:g}, %", _at_ratio(dossier, table, arm, ratio)))
    return _table(rows, parts) if len(parts) > 1 else ""


def _plain(column: Column) -> Callable[[Row], str]:
    return lambda row: with_spread(column.metric, row.values[column.key]) if column.key in row.values else NOTHING


def _at_ratio(dossier: Dossier, table: RecordTable, arm: str, ratio: float) -> Callable[[Row], str]:
    def write(row: Row) -> str:
        values = table.by_seed(row.info.name, "accuracy", arm, ratio)
        text = accuracy_cell(dossier.level, "accuracy", values, table.images("accuracy"))
        chosen = row.ratio if arm == "mixed" else row.classical_ratio
        several = len(table.ratios(row.info.name, arm)) > 1
        return f"**{text}**" if several and ratio == chosen and text != NOTHING else text

    return write


def accuracy_cell(level: float, metric: str, values: Values, images: int | None) -> str:
    """One value a seed as ``mean ± half-width``, with the least spread that so many test images allow."""
    found = finite(values)
    if not len(found):
        return NOTHING
    return with_spread(metric, t_interval(found, level, least_spread(metric, images)))


def cost_table(dossier: Dossier, board: Board) -> str:
    """What every generator costs, and whether any other gives as much for less."""
    rows = [row for row in board.of_role("generator") if any(key in row.values for key in COST_KEYS)]
    parts: list[Part] = [("Row", lambda row: row_name(row, track=True))]
    parts += [_measured(dossier, board, column) for column in board.columns if column.key in COST_KEYS]
    return _table(rows, [*parts, ("Pareto", lambda row: YES_OR_NO[row.pareto])])


def pairs_table(board: Board) -> str:
    """Differences between generators in the column that orders the rows, the surest first; empty on one seed."""
    lines = []
    for (first, second), difference in board.differences.items():
        if not math.isnan(difference.p_value):
            flipped = difference.interval.mean < 0
            better, other = (second, first) if flipped else (first, second)
            interval = _turned(difference.interval) if flipped else difference.interval
            lines.append((difference.p_value, better, other, interval))
    column = next((column for column in board.columns if column.key == board.rank_by), None)
    if column is None or not lines:
        return ""
    unit = style(column.metric).unit
    body = [
        [escape(better), escape(other), _bracketed(column.metric, interval), f"{p:.3f}" if p >= 0.001 else "< 0.001"]
        for p, better, other, interval in sorted(lines, key=lambda line: (line[0], line[1], line[2]))
    ]
    return pipe_table(["Has more", "Than", f"Difference{unit}", "p"], body)


def _turned(interval: Interval) -> Interval:
    return replace(interval, mean=-interval.mean, low=-interval.high, high=-interval.low)


def _bracketed(metric: str, interval: Interval) -> str:
    ends = [number(metric, end) for end in (interval.low, interval.high)]
    return f"{number(metric, interval.mean)} [{ends[0]}, {ends[1]}]"


def correlation_table(board: Board) -> str:
    """How every metric orders the generators beside how lift does; the strongest first."""

    def strength(rho: float) -> float:
        return -abs(rho) if math.isfinite(rho) else 1.0

    found = sorted(board.correlations, key=lambda one: (strength(one.rho.mean), one.column.key))
    lines = [[escape(one.column.label), correlation(one.rho), str(one.rho.n)] for one in found]
    return pipe_table(["Metric", "Spearman's rho with lift", "Generators"], lines)


def settings_table(dossier: Dossier, anchors: Sequence[str]) -> str:
    """The answer for every data setting."""
    transfer = any(board.transfer is not None for board in dossier.boards)
    headings = ["Data", "Real images", "Real accuracy %", "Verdict", "Beside classical augmentation"]
    lines = []
    for board, anchor in zip(dossier.boards, anchors, strict=True):
        line = [
            f"[{escape(board.setting.text)}](#{anchor})",
            f"{board.setting.train_images:,}",
            _real_arm(dossier, RecordTable(board.records, board.seeds), "accuracy", "real"),
            f"**{escape(board.verdict.text)}**",
            NOTHING if board.beside_classical is None else escape(board.beside_classical.text),
        ]
        lines.append(line + ([NOTHING if board.transfer is None else escape(board.transfer.text)] if transfer else []))
    return pipe_table(headings + (["Transfer track"] if transfer else []), lines)


def noticed_table(dossier: Dossier) -> str:
    """What the watch over the generators' training noted, one line a cell; empty where nothing was odd."""
    several = len(dossier.boards) > 1
    lines = [
        [
            *([escape(fit.setting)] if several else []),
            escape(fit.row),
            str(fit.seed),
            str(note["step"]),
            escape(str(note["kind"])),
            escape(str(note["message"])),
        ]
        for fit in dossier.fits
        for note in fit.notes
    ]
    headings = [*(["Setting"] if several else []), "Row", "Seed", "Step", "What", "What was seen"]
    return pipe_table(headings, lines) if lines else ""
