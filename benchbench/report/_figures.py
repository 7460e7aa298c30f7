"""Figures, drawn without matplotlib's global state and saved atomically."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from benchbench.leaderboard import Column, Dossier, Row
from benchbench.leaderboard.records import RecordTable
from benchbench.statistics import Interval, t_interval
from benchbench.store.files import write_atomic

INK = "#22272e"
QUIET = "#8b949e"
LINE = "#d8dee4"
COLOURS = {"generator": "#0b62c4", "baseline": INK, "control": "#9a6700"}
PIXELS_PER_INCH = 144


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, the same bytes for the same figure."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None}, facecolor="white")
    write_atomic(path, buffer.getvalue())
    return path


def mosaic(images: Tensor, columns: int, gap: int = 1) -> npt.NDArray[np.uint8]:
    """Images side by side on white: ``uint8 (N, C, H, W)`` to ``uint8 (height, width, 3)``."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    pixels = np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels
    count, height, width, _ = pixels.shape
    lines = -(-count // columns)
    canvas = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place, image in enumerate(pixels):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def leaderboard_figure(dossier: Dossier) -> Figure:
    """The board as a picture: a strip of samples a row, then one panel a ranked column with intervals."""
    board = dossier.board
    rows = board.rows
    panels = [column for column in board.columns if column.higher_is_better is not None]
    classes = len(dossier.classes)
    strips = min(classes, 10)
    height = 1.5 + 0.42 * len(rows)
    figure = Figure(figsize=(3.6 + 2.1 * len(panels) + 0.2 * strips, height), layout="constrained")
    grid = figure.add_gridspec(1, len(panels) + 1, width_ratios=[0.7 + 0.22 * strips, *[1.6] * len(panels)])
    _strip_panel(figure.add_subplot(grid[0, 0]), dossier, rows, strips)
    for place, column in enumerate(panels):
        _interval_panel(figure.add_subplot(grid[0, place + 1]), dossier, rows, column)
    figure.suptitle(
        f"{board.benchmark}: {_wrap(board.verdict.text, 34 + 22 * len(panels))}",
        x=0.01,
        ha="left",
        fontsize=10,
        color=INK,
    )
    return figure


def _wrap(text: str, width: int) -> str:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + 1 > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def _strip_panel(axes: Axes, dossier: Dossier, rows: Sequence[Row], strips: int) -> None:
    """Row names with one sample of each class beside them; real training images for the baseline."""
    _, _, height, width = dossier.real.shape
    cell = width / height
    for line, row in enumerate(rows):
        grid = dossier.real if row.info.role == "baseline" else dossier.grids.get(row.info.name)
        if grid is not None:
            strip = mosaic(grid[:strips], strips, gap=max(1, width // 8))
            axes.imshow(
                strip, extent=(0, strips * cell, line + 0.4, line - 0.4), interpolation="nearest", aspect="auto"
            )
    axes.set_xlim(0, strips * cell)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=9)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(COLOURS[row.info.role])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("first sample of each class", fontsize=9, color=QUIET)


def _name(row: Row) -> str:
    return row.info.name if row.info.role != "control" else f"{row.info.name} (control)"


def _interval_panel(axes: Axes, dossier: Dossier, rows: Sequence[Row], column: Column) -> None:
    """One dot and interval a row; the reference line is the floor, the real accuracy, or zero."""
    scale = _scale(column)
    reference = _reference(dossier, column)
    drawn = [
        (line, row, _scaled(row.values[column.key], scale)) for line, row in enumerate(rows) if column.key in row.values
    ]
    low, high = _limits([interval for _, row, interval in drawn if row.info.expected != "worst"], reference, scale)
    for line, row, interval in drawn:
        if column in dossier.board.distances and row.info.role == "baseline":
            continue  # the reference line already
        if low <= interval.mean <= high:
            _dot(axes, line, interval, COLOURS[row.info.role])
        else:
            _off_scale(axes, line, interval.mean, interval.mean > high, COLOURS[row.info.role])
    if reference is not None:
        axes.axvline(reference * scale, color=QUIET, linewidth=1, linestyle="--", zorder=0)
    if column.key == "lift":
        axes.axvspan(-dossier.margin * scale, dossier.margin * scale, color=LINE, alpha=0.5, zorder=0, linewidth=0)
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=7, colors=QUIET)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    for line in range(len(rows)):
        axes.axhline(line, color=LINE, linewidth=0.5, zorder=-1)
    unit = {"lift": ", points", "cas": " %"}.get(column.key, "")
    direction = "higher is better" if column.higher_is_better else "lower is better"
    axes.set_title(f"{column.label}{unit}\n{direction}", fontsize=9, color=INK)


def _scale(column: Column) -> float:
    """Accuracies and their differences are shown in hundredths."""
    return 100.0 if column.key in ("lift", "cas") else 1.0


def _scaled(interval: Interval, scale: float) -> Interval:
    return replace(interval, mean=scale * interval.mean, low=scale * interval.low, high=scale * interval.high)


def _limits(intervals: Sequence[Interval], reference: float | None, scale: float) -> tuple[float, float]:
    """A range that holds all intervals and the reference. The control that must be worst would squeeze the rest."""
    ends = [end for one in intervals for end in (one.low, one.mean, one.high) if math.isfinite(end)]
    ends += [] if reference is None else [reference * scale]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _off_scale(axes: Axes, line: float, value: float, right: bool, colour: str) -> None:
    """A number with an arrow at the edge, for a row that lies far beyond it."""
    text = f"{value:.3g} \N{RIGHTWARDS ARROW}" if right else f"\N{LEFTWARDS ARROW} {value:.3g}"
    x, side = (0.99, "right") if right else (0.01, "left")
    axes.text(x, line, text, ha=side, va="center", fontsize=8, color=colour, transform=axes.get_yaxis_transform())


def _reference(dossier: Dossier, column: Column) -> float | None:
    if column.key in dossier.floors:
        return dossier.floors[column.key]
    if column.key == "lift":
        return 0.0
    if column.key == "cas":
        return dossier.real_accuracy
    return None


def _dot(axes: Axes, line: float, interval: Interval, colour: str) -> None:
    if math.isfinite(interval.low):
        axes.plot([interval.low, interval.high], [line, line], color=colour, linewidth=1.6, solid_capstyle="round")
    axes.plot([interval.mean], [line], "o", color=colour, markersize=4.5)


def lift_figure(dossier: Dossier) -> Figure:
    """Lift against ratio: a line a generator with intervals, the margin shaded."""
    board = dossier.board
    table = RecordTable(board.records, board.seeds)
    ratios = sorted({r.ratio for r in board.records if r.metric == "lift" and r.ratio is not None})
    rows = [row for row in board.rows if row.info.role != "baseline"]
    figure = Figure(figsize=(7.2, 1.2 + 0.36 * len(rows) * len(ratios)), layout="constrained")
    axes = figure.add_subplot()
    labels = []
    for line, (row, ratio) in enumerate([(row, ratio) for row in rows for ratio in ratios]):
        values = table.by_seed(row.info.name, "lift", "mixed", ratio) * 100
        values = values[np.isfinite(values)]
        labels.append(f"{_name(row)}, ratio {ratio:g}")
        if len(values):
            axes.plot(values, [line] * len(values), "|", color=QUIET, markersize=8)
            _dot(axes, line, t_interval(values, dossier.level), COLOURS[row.info.role])
    margin = 100 * dossier.margin
    axes.axvspan(-margin, margin, color=LINE, alpha=0.5, zorder=0, linewidth=0)
    axes.axvline(0, color=QUIET, linewidth=1, linestyle="--", zorder=0)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8, colors=QUIET)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.set_xlabel(
        "lift in test accuracy over real images alone, percentage points\n"
        "(dot and bar: mean and interval; ticks: seeds; shaded: does not matter)",
        fontsize=8,
        color=INK,
    )
    return figure


def grid_figure(images: Tensor, classes: Sequence[str]) -> Figure:
    """Samples, one class a column."""
    columns = len(classes)
    _, _, height, width = images.shape
    lines = len(images) // columns
    figure = Figure(figsize=(0.55 * columns, 0.55 * lines * height / width + 0.25), layout="constrained")
    axes = figure.add_subplot()
    gap = max(1, width // 8)
    canvas = mosaic(images, columns, gap)
    axes.imshow(canvas, interpolation="nearest")
    centres = [width / 2 - 0.5 + place * (width + gap) for place in range(columns)]
    axes.set_xticks(centres, classes, fontsize=6, color=QUIET, rotation=0 if max(map(len, classes)) < 8 else 30)
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure
