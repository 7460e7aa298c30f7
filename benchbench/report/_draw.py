"""What all figures share: colours, axes, dots with intervals. Without matplotlib's global state."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from benchbench.config import BASELINE
from benchbench.leaderboard import Row
from benchbench.statistics import Interval
from benchbench.store.files import write_atomic

INK = "#22272e"
QUIET = "#8b949e"
LINE = "#d8dee4"
TRANSFER = "#8250df"
COLOURS = {"generator": "#0b62c4", "baseline": INK, "control": "#9a6700"}
PIXELS_PER_INCH = 144
# Letters of a row's name on a line.
NAME_WIDTH = 26


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, the same bytes for the same figure."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None}, facecolor="white")
    write_atomic(path, buffer.getvalue())
    return path


def colour(row: Row) -> str:
    """By role; the transfer track has its own."""
    transfer = row.info.role == "generator" and row.info.track == "transfer"
    return TRANSFER if transfer else COLOURS[row.info.role]


def row_label(row: Row) -> str:
    """A row's name and what it is, on as many lines as it needs."""
    what = " (control)" if row.info.role == "control" else ""
    what = " (transfer)" if colour(row) == TRANSFER else what
    lines = [""]
    for part in re.findall(r"[^_ ]*[_ ]?", row.info.name + what):
        if lines[-1] and len(lines[-1]) + len(part) > NAME_WIDTH:
            lines.append("")
        lines[-1] += part
    return plain("\n".join(line.strip() for line in lines))


def short_label(row: Row) -> str:
    """A row's name on one line, its middle left out where it is long."""
    name = row.info.name
    half = NAME_WIDTH // 2
    return plain(name if len(name) <= 2 * half + 1 else f"{name[:half]}…{name[-half:]}")


def wrapped(text: str, width: int) -> str:
    """``text`` on lines of at most ``width`` letters."""
    return plain("\n".join(textwrap.wrap(text, width)))


def plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")


def scaled(interval: Interval, scale: float) -> Interval:
    """An interval in another unit."""
    return replace(interval, mean=scale * interval.mean, low=scale * interval.low, high=scale * interval.high)


def dot(axes: Axes, x: Interval, y: float, color: str, filled: bool = True) -> None:
    """A mean with its interval, lying."""
    if math.isfinite(x.low):
        axes.plot([x.low, x.high], [y, y], color=color, linewidth=1.6, solid_capstyle="round")
    axes.plot([x.mean], [y], "o", color=color, markersize=4.5, markerfacecolor=color if filled else "white")


def limits(intervals: Iterable[Interval], others: Sequence[float] = ()) -> tuple[float, float]:
    """A range that holds all means, the other values, and intervals as far as they do not dwarf these.

    On two seeds an interval may be a hundred times as long as the means lie apart; it runs off the edge then.
    """
    known = list(intervals)
    firm = [*(one.mean for one in known), *others] or [0.0, 1.0]
    low, high = min(firm), max(firm)
    reach = 1.5 * (high - low) or math.inf
    ends = [end for one in known for end in (one.low, one.high) if math.isfinite(end)]
    low, high = max(min([low, *ends]), low - reach), min(max([high, *ends]), high + reach)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def decides(row: Row) -> bool:
    """Whether a panel's range must hold it: what is far beyond would squeeze the rest, and is shown as a number."""
    if row.info.role == "control":
        return row.info.expected in ("best", "copied")  # the others are spoilt on purpose
    return row.info.role != "baseline" or row.info.name == BASELINE


def off_scale(axes: Axes, line: float, value: float, right: bool, color: str) -> None:
    """A number with an arrow at the edge, for a row that lies far beyond it."""
    text = f"{value:.3g} \N{RIGHTWARDS ARROW}" if right else f"\N{LEFTWARDS ARROW} {value:.3g}"
    x, side = (0.99, "right") if right else (0.01, "left")
    axes.text(x, line, text, ha=side, va="center", fontsize=8, color=color, transform=axes.get_yaxis_transform())


def quiet_axes(axes: Axes) -> None:
    """Only a bottom line, small grey numbers."""
    axes.tick_params(labelsize=7, colors=QUIET)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)


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


def grid_figure(images: Tensor, classes: tuple[str, ...]) -> Figure:
    """Samples, one class a column."""
    columns = len(classes)
    _, _, height, width = images.shape
    lines = len(images) // columns
    figure = Figure(figsize=(0.55 * columns, 0.55 * lines * height / width + 0.25), layout="constrained")
    axes = figure.add_subplot()
    gap = max(1, width // 8)
    axes.imshow(mosaic(images, columns, gap), interpolation="nearest")
    centres = [width / 2 - 0.5 + place * (width + gap) for place in range(columns)]
    tilt = 0 if max(map(len, classes)) < 8 else 30
    axes.set_xticks(centres, [plain(name) for name in classes], fontsize=6, color=QUIET, rotation=tilt)
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure
