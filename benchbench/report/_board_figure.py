"""A board as a picture: a strip of samples a row, then one panel a headline column with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchbench.config import BASELINE
from benchbench.leaderboard import Board, Column, Dossier, Row
from benchbench.report._draw import (
    INK,
    LINE,
    QUIET,
    colour,
    decides,
    dot,
    limits,
    mosaic,
    off_scale,
    row_label,
    scaled,
    wrapped,
)
from benchbench.report._numbers import style

# Samples in a strip.
MOST_STRIPS = 10


def leaderboard_figure(dossier: Dossier, board: Board) -> Figure:
    """The board as a picture."""
    rows, panels = board.rows, board.headline
    strips = min(len(dossier.classes), MOST_STRIPS)
    titles = 1 + wrapped(board.verdict.text, 34 + 22 * len(panels)).count("\n")
    figure = Figure(
        figsize=(4.2 + 2.1 * len(panels) + 0.2 * strips, 1.2 + 0.2 * titles + 0.42 * len(rows)), layout="constrained"
    )
    grid = figure.add_gridspec(1, len(panels) + 1, width_ratios=[0.7 + 0.22 * strips, *[1.6] * len(panels)])
    axes = [figure.add_subplot(grid[0, place]) for place in range(len(panels) + 1)]
    _strip_panel(axes[0], dossier, board, strips)
    for one, column in zip(axes[1:], panels, strict=True):
        _interval_panel(one, dossier, board, column)
    border = _border(rows)
    if border is not None:
        for one in axes:
            one.axhline(border, color=QUIET, linewidth=0.8, linestyle=":", zorder=1)
    title = f"{board.benchmark}, {board.setting.text}: {board.verdict.text}"
    figure.suptitle(wrapped(title, 48 + 24 * len(panels)), x=0.01, ha="left", fontsize=10, color=INK)
    return figure


def _border(rows: Sequence[Row]) -> float | None:
    """Between the strict rows and those of the transfer track; None where there is no such place."""
    transfer = [line for line, row in enumerate(rows) if row.info.role == "generator" and row.info.track == "transfer"]
    return transfer[0] - 0.5 if transfer and transfer[0] > 0 else None


def _strip_panel(axes: Axes, dossier: Dossier, board: Board, strips: int) -> None:
    """Row names with one sample of each class beside them; real training images for the baseline."""
    _, _, height, width = dossier.real.shape
    cell = width / height
    grids = {**dossier.grids.get(board.setting.name, {}), BASELINE: dossier.real}
    for line, row in enumerate(board.rows):
        if row.info.name in grids:
            strip = mosaic(grids[row.info.name][:strips], strips, gap=max(1, width // 8))
            extent = (0, strips * cell, line + 0.4, line - 0.4)
            axes.imshow(strip, extent=extent, interpolation="nearest", aspect="auto")
    axes.set_xlim(0, strips * cell)
    axes.set_ylim(len(board.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(board.rows)), [row_label(row) for row in board.rows], fontsize=9)
    for label, row in zip(axes.get_yticklabels(), board.rows, strict=True):
        label.set_color(colour(row))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("first sample of each class", fontsize=9, color=QUIET)


def _interval_panel(axes: Axes, dossier: Dossier, board: Board, column: Column) -> None:
    """One dot and interval a row; the reference line is the floor, the real accuracy, or zero."""
    scale = style(column.metric).scale
    reference = _reference(board, column)
    drawn = [
        (line, row, scaled(row.values[column.key], scale))
        for line, row in enumerate(board.rows)
        if column.key in row.values and not (column in board.metrics and row.info.role == "baseline")
    ]  # the baseline of a metric is the reference line already
    others = [] if reference is None else [scale * reference]
    others += [-scale * dossier.margin, scale * dossier.margin] if column.metric == "lift" else []
    low, high = limits([interval for _, row, interval in drawn if decides(row)], others)
    for line, row, interval in drawn:
        if low <= interval.mean <= high:
            dot(axes, interval, line, colour(row))
        else:
            off_scale(axes, line, interval.mean, interval.mean > high, colour(row))
    if reference is not None:
        axes.axvline(scale * reference, color=QUIET, linewidth=1, linestyle="--", zorder=0)
    if column.metric == "lift":
        axes.axvspan(-dossier.margin * scale, dossier.margin * scale, color=LINE, alpha=0.5, zorder=0, linewidth=0)
    for line in range(len(board.rows)):
        axes.axhline(line, color=LINE, linewidth=0.5, zorder=-1)
    axes.set_xlim(low, high)
    axes.set_ylim(len(board.rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=7, colors=QUIET)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    direction = "higher is better" if column.higher_is_better else "lower is better"
    title = wrapped(column.label + style(column.metric).unit, 26)
    axes.set_title(f"{title}\n{direction}", fontsize=9, color=INK)


def _reference(board: Board, column: Column) -> float | None:
    if column.metric == "lift":
        return 0.0
    return board.real_accuracy if column.key == "cas" else board.floors.get(column.key)
