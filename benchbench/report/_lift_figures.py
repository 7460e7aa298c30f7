"""Lift in pictures: of every row, against the ratio, and against the number of real images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchbench.leaderboard import Board, Dossier, Row
from benchbench.leaderboard.records import RecordTable, finite, least_spread
from benchbench.report._draw import (
    INK,
    LINE,
    QUIET,
    colour,
    decides,
    dot,
    limits,
    off_scale,
    quiet_axes,
    row_label,
    scaled,
)
from benchbench.report._numbers import style
from benchbench.statistics import Interval, t_interval

Dash = Literal["-", "--", ":", "-."]
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
POINTS = style("lift").scale
PANELS_A_LINE = 4
LIFT_LABEL = "lift in test accuracy, percentage points"


@dataclass(frozen=True)
class Line:
    """Lifts of a row, joined by a line.

    Attributes:
        lifts: By place on the x axis, in points.
        filled: Whether dots are filled.
        dash: The line's style, as matplotlib calls it.
        label: For the legend.
    """

    lifts: Mapping[float, Interval]
    filled: bool
    dash: Dash
    label: str


# A row and its lines.
Panel = tuple[Row, Sequence[Line]]


def lift_figure(dossier: Dossier, board: Board) -> Figure | None:
    """Lift against the ratio, a panel a row; with one ratio a line a row. None where there is no lift."""
    table = RecordTable(board.records, board.seeds)
    rows = [row for row in board.rows if row.info.role != "baseline" and table.ratios(row.info.name, "mixed")]
    if not rows:
        return None
    panels, ratios = dose_panels(dossier, board)
    if len(ratios) == 1:
        return _dots(dossier, table, rows, ratios[0])
    ticks = {float(place): f"{ratio:g}" for place, ratio in enumerate(ratios)}
    return _multiples(dossier, panels, ticks, "synthetic images a real one", log=False) if panels else None


def dose_panels(dossier: Dossier, board: Board) -> tuple[list[Panel], list[float]]:
    """Lift in points against the ratio's place among all ratios, a panel a row; and these ratios."""
    table = RecordTable(board.records, board.seeds)
    rows = [row for row in board.rows if row.info.role != "baseline"]
    ratios = sorted({ratio for row in rows for ratio in table.ratios(row.info.name, "mixed")})
    arms: dict[str, tuple[str, bool, Dash]] = {
        "mixed": ("images as they are", True, "-"),
        "classical_mixed": ("all images, the synthetic ones too, augmented classically", False, ":"),
    }
    panels: list[Panel] = []
    for row in rows:
        lines = []
        for arm, (label, filled, dash) in arms.items():
            found = {ratio: _lift(dossier, table, row, arm, ratio) for ratio in table.ratios(row.info.name, arm)}
            known = {float(ratios.index(ratio)): lift for ratio, lift in found.items() if lift and ratio in ratios}
            if known:
                lines.append(Line(known, filled, dash, label))
        if lines:
            panels.append((row, lines))
    return panels, ratios


def settings_figure(dossier: Dossier) -> Figure | None:
    """Lift at the chosen ratio against the number of real images, a panel a generator; None with one setting."""
    panels, counts = setting_panels(dossier)
    ticks = {float(count): f"{count:,}" for count in counts}
    return _multiples(dossier, panels, ticks, "real images", log=True) if panels else None


def setting_panels(dossier: Dossier) -> tuple[list[Panel], list[int]]:
    """Lift in points against the number of real images, a panel a generator; and these numbers; none of one setting."""
    panels: list[Panel] = []
    counts = sorted({board.setting.train_images for board in dossier.boards})
    if len(dossier.boards) < 2:
        return panels, counts
    imbalances = list(dict.fromkeys(board.setting.imbalance for board in dossier.boards))
    for row in _all_generators(dossier.boards):
        lines = []
        for place, imbalance in enumerate(imbalances):
            known = {
                float(board.setting.train_images): scaled(found.values["lift"], POINTS)
                for board in dossier.boards
                if board.setting.imbalance == imbalance
                for found in board.rows
                if found.info.name == row.info.name and "lift" in found.values
            }
            if known:
                label = f"classes imbalanced {imbalance:g}:1" if imbalance > 1 else "classes as they are"
                lines.append(Line(known, place == 0, DASHES[place % 4], label))
        if lines:
            panels.append((row, lines))
    return panels, counts


def _all_generators(boards: Sequence[Board]) -> list[Row]:
    """Of all boards, each once, the strict ones first."""
    found = {row.info.name: row for board in reversed(boards) for row in board.of_role("generator")}
    order = dict.fromkeys(
        row.info.name for track in ("strict", "transfer") for board in boards for row in board.of_track(track)
    )
    return [found[name] for name in order]


def _lift(dossier: Dossier, table: RecordTable, row: Row, arm: str, ratio: float) -> Interval | None:
    """In points."""
    values, least = finite(table.by_seed(row.info.name, "lift", arm, ratio)), least_spread("lift", table.images("lift"))
    return scaled(t_interval(values, dossier.level, least), POINTS) if len(values) else None


def _dots(dossier: Dossier, table: RecordTable, rows: Sequence[Row], ratio: float) -> Figure:
    """A line a row: mean, interval and single seeds."""
    figure = Figure(figsize=(7.2, 1.2 + 0.36 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    lifts = {place: _lift(dossier, table, row, "mixed", ratio) for place, row in enumerate(rows)}
    margin = POINTS * dossier.margin
    low, high = limits([lift for place, lift in lifts.items() if lift and decides(rows[place])], [-margin, margin])
    for place, row in enumerate(rows):
        lift = lifts[place]
        if lift is not None and low <= lift.mean <= high:
            values = POINTS * finite(table.by_seed(row.info.name, "lift", "mixed", ratio))
            axes.plot(values, np.full(len(values), place), "|", color=QUIET, markersize=8)
            dot(axes, lift, place, colour(row))
        elif lift is not None:
            off_scale(axes, place, lift.mean, lift.mean > high, colour(row))
    _reference(axes, dossier, upright=True)
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    quiet_axes(axes)
    axes.set_yticks(range(len(rows)), [row_label(row) for row in rows], fontsize=8, color=INK)
    note = "(dot and bar: mean and interval; ticks: seeds; shaded: does not matter)"
    axes.set_xlabel(f"{LIFT_LABEL}, at ratio {ratio:g}\n{note}", fontsize=8, color=INK)
    return figure


def _reference(axes: Axes, dossier: Dossier, upright: bool) -> None:
    """Zero, and the lifts that do not matter."""
    margin = POINTS * dossier.margin
    span, line = (axes.axvspan, axes.axvline) if upright else (axes.axhspan, axes.axhline)
    span(-margin, margin, color=LINE, alpha=0.5, zorder=0, linewidth=0)
    line(0, color=QUIET, linewidth=1, linestyle="--", zorder=0)


def _multiples(
    dossier: Dossier,
    panels: Sequence[Panel],
    ticks: Mapping[float, str],
    what: str,
    log: bool,
) -> Figure:
    """A panel a row, all with the same axes."""
    columns = min(PANELS_A_LINE, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(1.0 + 2.3 * max(columns, 2), 0.8 + 2.0 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (row, drawn) in zip(grid.flat, panels, strict=False):
        _panel(axes, row, drawn)
        _reference(axes, dossier, upright=False)
        if log:
            axes.set_xscale("log")
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_xticks([], minor=True)
        axes.tick_params(labelbottom=True, labelleft=True)
    _room(grid.flat[0], list(ticks), log)
    margin = POINTS * dossier.margin
    shown = [lift for row, drawn in panels if decides(row) for line in drawn for lift in line.lifts.values()]
    low, high = limits(shown, [-margin, margin])
    grid.flat[0].set_ylim(low, high)
    for axes, (row, drawn) in zip(grid.flat, panels, strict=False):
        _off_panel(axes, row, drawn, low, high)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    _legend(figure, [line for _, drawn in panels for line in drawn])
    figure.supxlabel(f"{what} (shaded: does not matter)", fontsize=8, color=INK)
    figure.supylabel(LIFT_LABEL, fontsize=8, color=INK)
    return figure


def _legend(figure: Figure, lines: Sequence[Line]) -> None:
    """What filled and open dots are, where there are both."""
    kinds = {line.label: line for line in lines}
    handles = [
        Line2D(
            [],
            [],
            color=INK,
            marker="o",
            markersize=4,
            linewidth=1,
            linestyle=line.dash,
            label=label,
            markerfacecolor=INK if line.filled else "white",
        )
        for label, line in kinds.items()
    ]
    if len(handles) > 1:
        figure.legend(handles=handles, loc="outside upper left", fontsize=8, frameon=False, ncols=len(handles))


def _panel(axes: Axes, row: Row, drawn: Sequence[Line]) -> None:
    for line in drawn:
        places = sorted(line.lifts)
        for place in places:
            if math.isfinite(line.lifts[place].low):
                axes.plot(
                    [place, place],
                    [line.lifts[place].low, line.lifts[place].high],
                    color=colour(row),
                    linewidth=1.2,
                    alpha=0.7,
                )
        axes.plot(
            places,
            [line.lifts[place].mean for place in places],
            "o",
            linestyle=line.dash,
            color=colour(row),
            markersize=4,
            linewidth=1,
            markerfacecolor=colour(row) if line.filled else "white",
            label=line.label,
        )
    quiet_axes(axes)
    axes.set_title(row_label(row), fontsize=8, color=colour(row))


def _off_panel(axes: Axes, row: Row, drawn: Sequence[Line], low: float, high: float) -> None:
    """Numbers with arrows at the edges, for means that lie far beyond them."""
    for place, lift in ((place, lift) for line in drawn for place, lift in line.lifts.items()):
        if not low <= lift.mean <= high:
            above = lift.mean > high
            text = f"{lift.mean:.3g} {'↑' if above else '↓'}"
            edge, side = (high, "top") if above else (low, "bottom")
            axes.text(place, edge, text, ha="center", va=side, fontsize=7, color=colour(row), clip_on=False)


def _room(axes: Axes, places: Sequence[float], log: bool) -> None:
    """Space beside the outermost places."""
    low, high = min(places), max(places)
    if log:
        axes.set_xlim(low / 1.4, high * 1.4)
    else:
        axes.set_xlim(low - 0.4, high + 0.4)
