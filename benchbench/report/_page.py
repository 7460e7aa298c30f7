"""What the HTML page shows, made of the same tables and intervals as the Markdown one."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Tensor

from benchbench.leaderboard import Board, Column, Dossier, Row
from benchbench.leaderboard.dossier import ArmDetail, FitDetail
from benchbench.report import _inline as inline
from benchbench.report import _svg as svg
from benchbench.report._classes import ClassTables
from benchbench.report._draw import decides, limits, mosaic, scaled
from benchbench.report._inline import Cell, Table
from benchbench.report._lift_figures import DASHES, POINTS, Panel, dose_panels, setting_panels
from benchbench.report._numbers import file_name, style
from benchbench.report._section import Section, section
from benchbench.statistics import Interval

# More classes make a confusion matrix that nobody reads; details.json has it.
MOST_CLASSES = 30
BAR_WIDTH = 150.0


@dataclass(frozen=True)
class Line:
    """A line of the leaderboard.

    Attributes:
        row: Whose.
        cells: As in the Markdown table.
        bar: Its lift as a line with a dot; empty where it has none.
        anchor: Where the page tells more of it; empty where it does not.
    """

    row: Row
    cells: tuple[Cell, ...]
    bar: Markup
    anchor: str


@dataclass(frozen=True)
class Chart:
    """A scatter that may be chosen.

    Attributes:
        name: The metric's.
        picture: The chart.
    """

    name: str
    picture: Markup


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix.

    Attributes:
        title: Of which classifiers.
        lines: By true class: count and share of that class, by called class.
    """

    title: str
    lines: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True)
class Exhibit:
    """What the page tells of one row.

    Attributes:
        row: The row.
        anchor: Its place in the page.
        samples: The first samples of every class, as an image; empty where there are none.
        pairs: The samples nearest to a training image above that image; empty where not known.
        pairs_note: What these are.
        curves: Losses by step, a chart a seed.
        notes: What was odd in training.
        matrices: Confusion matrices.
    """

    row: Row
    anchor: str
    samples: str
    pairs: str
    pairs_note: str
    curves: tuple[tuple[int, Markup], ...]
    notes: tuple[tuple[int, Mapping[str, object]], ...]
    matrices: tuple[Matrix, ...]


@dataclass(frozen=True)
class View:
    """One data setting, ready for the template.

    Attributes:
        board: Its board.
        said: The sentences and tables of the Markdown page.
        anchor: Its place in the page.
        headings: Of the leaderboard.
        lines: Its lines, those of the transfer track after the others.
        tables: Further tables by title.
        dose: Lift against ratio, a panel a row.
        pareto: Lift against cost.
        scatters: Lift against every metric.
        by_class: Tables by class.
        exhibits: What there is of every row.
    """

    board: Board
    said: Section
    anchor: str
    headings: tuple[Cell, ...]
    lines: tuple[Line, ...]
    tables: tuple[tuple[str, str, Table], ...]
    dose: tuple[Markup, ...]
    pareto: Markup
    scatters: tuple[Chart, ...]
    by_class: tuple[Table, ...]
    exhibits: tuple[Exhibit, ...]


def view(dossier: Dossier, board: Board) -> View:
    """Everything the page shows of a board."""
    said = section(dossier, board, ())
    anchors = {row.info.name: f"row-{file_name(board.setting.name)}-{file_name(row.info.name)}" for row in board.rows}
    exhibits = tuple(_exhibits(dossier, board, anchors))
    shown = {exhibit.row.info.name for exhibit in exhibits}
    headings, lines = _leaderboard(dossier, board, said, {name: at for name, at in anchors.items() if name in shown})
    classes = ClassTables(dossier, board)
    by_class = [found for text in (classes.lifts(), *classes.metrics()) if (found := inline.table(text))]
    return View(
        board=board,
        said=said,
        anchor=said.anchor,
        headings=headings,
        lines=lines,
        tables=tuple(_tables(said)),
        dose=tuple(_dose(dossier, board)),
        pareto=_pareto(dossier, board),
        scatters=tuple(_scatters(dossier, board)),
        by_class=tuple(by_class),
        exhibits=exhibits,
    )


def role(row: Row) -> str:
    """How a row is coloured and filtered."""
    return "transfer" if row.info.role == "generator" and row.info.track == "transfer" else row.info.role


def _leaderboard(
    dossier: Dossier, board: Board, said: Section, anchors: Mapping[str, str]
) -> tuple[tuple[Cell, ...], tuple[Line, ...]]:
    """The main table's headings, and all its lines with their bars; the transfer track's in the same columns."""
    table = inline.table(said.table) or inline.table(said.transfer)
    if table is None:
        return (), ()
    transfer = board.of_track("transfer")
    strict = [row for row in board.rows if row not in transfer]
    further = inline.table(said.transfer)
    lines = list(zip(strict, table.lines, strict=True)) if strict else []
    if further is not None:
        saw = next((place for place, cell in enumerate(further.headings) if cell.name == "Saw"), len(further.headings))
        lines += [(row, cells[:saw] + cells[saw + 1 :]) for row, cells in zip(transfer, further.lines, strict=True)]
    lifts = {row.info.name: scaled(row.values["lift"], POINTS) for row in board.rows if "lift" in row.values}
    margin = POINTS * dossier.margin
    known = [lifts[row.info.name] for row in board.rows if row.info.name in lifts and decides(row)]
    low, high = limits(known, [-margin, margin]) if known else (-margin, margin)
    scale = svg.Scale(low, high, 6, BAR_WIDTH - 6)
    return table.headings, tuple(
        Line(row, cells, _bar(lifts.get(row.info.name), scale, margin, row), anchors.get(row.info.name, ""))
        for row, cells in lines
    )


def _bar(lift: Interval | None, scale: svg.Scale, margin: float, row: Row) -> Markup:
    if lift is None:
        return Markup("")
    return svg.bar(lift, scale, margin, role(row), f"lift of {row.info.name}: {svg.told(lift, ' points')}")


def _tables(said: Section) -> list[tuple[str, str, Table]]:
    """Title, what it is, and the table."""
    wanted = [
        (
            "Metrics",
            "Every metric in every feature space; the floor is what two sets of real images give.",
            said.metrics,
        ),
        ("Real images alone", "Classifiers trained on real images alone.", said.real_arms),
        ("All arms", "Test accuracy by training set; bold: the ratio chosen on validation images.", said.arms),
        ("Costs", "What every generator costs, and whether another gives as much for less.", said.costs),
        ("Metrics and lift", "How well every metric orders the generators as lift does.", said.correlations),
        ("Differences", "Between generators, in the column that orders the rows, the surest first.", said.pairs),
    ]
    return [(title, about, found) for title, about, text in wanted if (found := inline.table(text))]


def _panels(dossier: Dossier, panels: Sequence[Panel], ticks: Mapping[float, str], log: bool) -> list[Markup]:
    margin = POINTS * dossier.margin
    shown = [lift for row, drawn in panels if decides(row) for one in drawn for lift in one.lifts.values()]
    y_range = limits(shown, [-margin, margin]) if shown else (-margin, margin)
    return [
        svg.panel(
            row.info.name,
            [svg.Series(one.lifts, DASHES.index(one.dash)) for one in drawn],
            y_range=y_range,
            ticks=ticks,
            role=role(row),
            margin=margin,
            log=log,
        )
        for row, drawn in panels
    ]


def _dose(dossier: Dossier, board: Board) -> list[Markup]:
    """Lift against the ratio; empty where there was but one."""
    panels, ratios = dose_panels(dossier, board)
    ticks = {float(place): f"{ratio:g}" for place, ratio in enumerate(ratios)}
    return _panels(dossier, panels, ticks, log=False) if len(ratios) > 1 else []


def settings_charts(dossier: Dossier) -> list[Markup]:
    """Lift against the number of real images; empty of one setting."""
    panels, counts = setting_panels(dossier)
    return _panels(dossier, panels, {float(count): f"{count:,}" for count in counts}, log=True) if panels else []


def settings_lines(dossier: Dossier) -> list[str]:
    """What the lines of these charts are, such as ``solid: classes as they are``."""
    panels, _ = setting_panels(dossier)
    words = dict(zip(DASHES, ("solid", "dashed", "dotted", "dash-dotted"), strict=True))
    labels = {one.dash: one.label for _, drawn in panels for one in drawn}
    return [f"{words[dash]}: {labels[dash]}" for dash in DASHES if dash in labels]


def _pareto(dossier: Dossier, board: Board) -> Markup:
    """Lift against what the training took."""
    points = [
        svg.Point(
            row.values["fit_seconds"].mean,
            scaled(row.values["lift"], POINTS),
            role(row),
            row.info.name,
            hollow=row.pareto is False,
        )
        for row in board.of_role("generator")
        if "lift" in row.values and "fit_seconds" in row.values and row.values["fit_seconds"].mean > 0
    ]
    if not points:
        return Markup("")
    return svg.scatter(
        points,
        x_label="seconds of training",
        y_label="lift, points",
        what="Lift against seconds of training",
        log=True,
        margin=POINTS * dossier.margin,
    )


def _scatters(dossier: Dossier, board: Board) -> list[Chart]:
    """Lift against every metric, of generators and the controls that are not spoilt on purpose."""
    return [chart for column in board.metrics if (chart := _scatter(dossier, board, column)) is not None]


def _scatter(dossier: Dossier, board: Board, column: Column) -> Chart | None:
    how = style(column.metric)
    points = [
        svg.Point(how.scale * row.values[column.key].mean, scaled(row.values["lift"], POINTS), role(row), row.info.name)
        for row in board.rows
        if row.info.role != "baseline" and decides(row) and "lift" in row.values and column.key in row.values
    ]
    if len(points) < 2:
        return None
    better = {True: " (higher is better)", False: " (lower is better)", None: ""}[column.higher_is_better]
    label = f"{column.label}{how.unit}{better}"
    chart = svg.scatter(
        points,
        x_label=label,
        y_label="lift, points",
        what=f"Lift against {column.label}",
        margin=POINTS * dossier.margin,
    )
    return Chart(column.label, chart)


def _exhibits(dossier: Dossier, board: Board, anchors: Mapping[str, str]) -> list[Exhibit]:
    setting = board.setting.name
    found = []
    for row in board.rows:
        name = row.info.name
        fits = [fit for fit in dossier.fits if (fit.setting, fit.row) == (setting, name)]
        images, pairs = dossier.grids.get(setting, {}).get(name), dossier.nearest.get(setting, {}).get(name)
        matrices = tuple(_matrices(dossier, row, setting))
        if row.info.role == "baseline" and not matrices:
            continue
        note = ""
        both = ""
        if pairs is not None:
            note = (
                f"Of {pairs.searched:,} samples of the first seed the {len(pairs.samples)} that are nearest to a "
                f"training image, in {pairs.features} features: samples above, that training image below."
            )
            both = png(mosaic(torch.cat([pairs.samples, pairs.training]), len(pairs.samples)))
        found.append(
            Exhibit(
                row=row,
                anchor=anchors[name],
                samples="" if images is None else grid(images, dossier.classes),
                pairs=both,
                pairs_note=note,
                curves=tuple((fit.seed, _curves(fit)) for fit in fits if fit.curve),
                notes=tuple((fit.seed, note) for fit in fits for note in fit.notes),
                matrices=matrices,
            )
        )
    return found


def _curves(fit: FitDetail) -> Markup:
    """The losses of one fit by step; of phases that begin anew, one after the other."""
    lines: dict[str, list[tuple[float, float]]] = {}
    base, last = 0.0, 0.0
    for point in fit.curve:
        step = float(point["step"])
        if step < last:
            base += last
        last = step
        for name, value in point.items():
            if name != "step":
                lines.setdefault(name, []).append((base + step, float(value) if value is not None else math.nan))
    return svg.curves(lines, f"losses of {fit.row}, seed {fit.seed}, by step: {', '.join(lines)}")


def _matrices(dossier: Dossier, row: Row, setting: str) -> list[Matrix]:
    """Of the arms that concern a row: its synthetic images alone, and mixed at its ratio; of the baseline the real."""
    if len(dossier.classes) > MOST_CLASSES:
        return []
    wanted = {("real", None), ("synthetic", None), ("mixed", row.ratio)}
    return [
        Matrix(_title(detail), tuple(tuple(_shares(line)) for line in detail.confusion))
        for detail in dossier.details
        if (detail.setting, detail.row) == (setting, row.info.name) and (detail.arm, detail.ratio) in wanted
    ]


def _title(detail: ArmDetail) -> str:
    what = {"real": "real images", "synthetic": "synthetic images", "mixed": "real and synthetic images"}[detail.arm]
    ratio = "" if detail.ratio is None else f" at ratio {detail.ratio:g}"
    return f"trained on {what}{ratio}, {detail.classifiers} classifier{'s' if detail.classifiers > 1 else ''}"


def _shares(line: Sequence[int]) -> list[tuple[int, float]]:
    total = sum(line)
    return [(count, count / total if total else 0.0) for count in line]


def grid(images: Tensor, classes: Sequence[str]) -> str:
    """Images, one class a column, as a picture in a data URL."""
    return png(mosaic(images, len(classes)))


def png(pixels: object) -> str:
    """``uint8 (height, width, 3)`` as a PNG in a data URL, at its own size."""
    import numpy as np
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
