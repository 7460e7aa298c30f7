"""The learning curve of real images, and where every generator's CAS lies on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchbench.config import BASELINE
from benchbench.leaderboard import Board, Dossier, Row, Worth
from benchbench.report._draw import INK, QUIET, colour, limits, quiet_axes, short_label
from benchbench.report._numbers import readable, style
from benchbench.statistics import Interval, t_interval

PERCENT = style("accuracy").scale


def curve_figure(dossier: Dossier, board: Board) -> Figure | None:
    """Accuracy by number of real images, and every generator's worth at the height of its CAS.

    None where the curve was measured at fewer than two numbers of images.
    """
    curve = learning_curve(dossier, board)
    if len(curve) < 2:
        return None
    rows = [row for row in board.of_role("generator") if "cas" in row.values]
    figure = Figure(figsize=(7.2, max(3.6, 1.2 + 0.3 * len(rows))), layout="constrained")
    axes = figure.add_subplot()
    counts = sorted(curve)
    for count in counts:
        if math.isfinite(curve[count].low):
            axes.plot([count, count], [curve[count].low, curve[count].high], color=INK, linewidth=1.4, alpha=0.6)
    axes.plot(counts, [curve[count].mean for count in counts], "o-", color=INK, markersize=4, linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(counts[0] / 1.3, counts[-1] * 1.3)
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_xticks([], minor=True)
    low, high = limits(curve.values(), [PERCENT * row.values["cas"].mean for row in rows])
    axes.set_ylim(max(low, -3.0), min(high, 103.0))  # accuracies, whatever a long interval says
    _marks(axes, rows, (counts[0], counts[-1]))
    quiet_axes(axes)
    axes.set_xlabel("real training images", fontsize=8, color=INK)
    axes.set_ylabel("test accuracy %", fontsize=8, color=INK)
    said = "line with dots: real images alone; diamond: worth, averaged over seeds; arrow: beyond the curve"
    axes.set_title(said, fontsize=8, color=QUIET)
    return figure


def learning_curve(dossier: Dossier, board: Board) -> dict[int, Interval]:
    """By number of real images, the accuracy in percent: parts of all settings of the same imbalance."""
    found: dict[int, dict[int, list[float]]] = {}
    for other in dossier.boards:
        if other.setting.imbalance != board.setting.imbalance:
            continue
        for record in other.records:
            real = record.generator == BASELINE and record.arm in ("real", "real_part") and record.class_name is None
            if real and record.metric == "accuracy" and None not in (record.value, record.train_images):
                by_seed = found.setdefault(int(record.train_images or 0), {})
                by_seed.setdefault(record.seed, []).append(PERCENT * float(record.value or 0.0))
    return {
        count: t_interval([float(np.mean(one)) for one in seeds.values()], dossier.level)
        for count, seeds in found.items()
    }


def _marks(axes: Axes, rows: Sequence[Row], ends: tuple[int, int]) -> None:
    """Every row's worth at the height of its CAS, and a line from there to the row's name at the right."""
    heights = {row.info.name: PERCENT * row.values["cas"].mean for row in rows}
    low, high = axes.get_ylim()
    places = spread({name: (height - low) / (high - low) for name, height in heights.items()}, 1 / (len(rows) + 8))
    right = axes.get_xlim()[1]
    for row in rows:
        height, worth, start = heights[row.info.name], row.worth_alone, right / 1.15
        if worth is not None and readable(worth):
            start = _worth(axes, worth, height, ends, colour(row))
        axes.plot([start, right], [height, height], color=colour(row), linewidth=0.8, linestyle=":")
        axes.annotate(
            short_label(row),
            (right, height),
            (1.04, places[row.info.name]),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=colour(row),
            arrowprops={"arrowstyle": "-", "color": colour(row), "linewidth": 0.5, "relpos": (0.0, 0.5)},
        )


def _worth(axes: Axes, worth: Worth, height: float, ends: tuple[int, int], color: str) -> float:
    """A diamond with its interval; of a bound only an arrow at the curve's end. Returns where it stands."""
    left, right = axes.get_xlim()
    if worth.below or worth.above:
        end, tip = (ends[0], left) if worth.below else (ends[1], right)
        arrow = {"arrowstyle": "->", "color": color, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (tip, height), (end, height), arrowprops=arrow)
        return float(end)
    if not math.isnan(worth.low):  # an open end runs off the edge
        axes.plot([max(worth.low, left), min(worth.high, right)], [height, height], color=color, linewidth=0.8)
    axes.plot([worth.value], [height], "D", color=color, markersize=4)
    return worth.value


def spread(wanted: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places near the wanted ones, in their order, at least ``gap`` apart where there is room in [0, 1]."""
    names = sorted(wanted, key=lambda name: (wanted[name], name))
    placed: dict[str, float] = {}
    lowest = 0.0
    for name in names:
        placed[name] = max(wanted[name], lowest)
        lowest = placed[name] + gap
    highest = 1.0
    for name in reversed(names):
        placed[name] = min(placed[name], highest)
        highest = placed[name] - gap
    return placed
