"""``leaderboard.md``: the board for people, with figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Column, Dossier, Row
from benchbench.statistics import Interval
from benchbench.store.files import write_atomic
from benchbench.types import Report

# Digits after the point, where two significant ones are not the right choice.
_FORMATS = {"lift": "{:+.2f}", "fit_seconds": "{:.1f}", "images_per_second": "{:,.0f}", "parameters": "{:,.0f}"}
# Shown in percentage points.
_PERCENT = {"lift", "cas", "label_noise"}
# An empty place in the table.
NOTHING = "-"
_NO_SPREAD = {"images_per_second", "parameters"}


class Markdown(Report):
    """The leaderboard as Markdown that renders on a code host, with PNG figures beside it."""

    name = "markdown"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``leaderboard.md`` and ``figures/``."""
        from benchbench.report._figures import grid_figure, leaderboard_figure, lift_figure, save

        figures = folder / "figures"
        written = [
            save(leaderboard_figure(dossier), figures / "leaderboard.png"),
            save(lift_figure(dossier), figures / "lift.png"),
            save(grid_figure(dossier.real, dossier.classes), figures / "real.png"),
        ]
        grids = [(row, dossier.grids[row.info.name]) for row in dossier.board.rows if row.info.name in dossier.grids]
        for stale in (figures / "samples").glob("*.png"):  # of rows that are no longer on the board
            if stale.stem not in dossier.grids:
                stale.unlink()
        for row, grid in grids:
            written.append(save(grid_figure(grid, dossier.classes), figures / "samples" / f"{row.info.name}.png"))
        write_atomic(folder / "leaderboard.md", render(dossier).encode())
        return [*written, folder / "leaderboard.md"]


def render(dossier: Dossier) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("benchbench", "report/templates"),
        autoescape=False,  # noqa: S701  (Markdown, not HTML; names from data go through the filter below)
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["md"] = escape
    board = dossier.board
    return environment.get_template("leaderboard.md.j2").render(
        board=board,
        dossier=dossier,
        manifest=dossier.manifest,
        protocol=dossier.manifest["benchmark"]["protocol"],
        table=table(dossier),
        failures=[(row, failure) for row in board.rows for failure in row.info.failures],
        shown=[row.info.name for row in board.rows if row.info.name in dossier.grids],
        real_accuracy=dossier.real_accuracy,
    )


def escape(text: object) -> str:
    """Text from data or plugins, so that it stays text in a Markdown table."""
    clean = " ".join(str(text).split())
    for mark in "\\`*_[]<>|#":
        clean = clean.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return clean


def table(dossier: Dossier) -> str:
    """The leaderboard as a pipe table."""
    from tabulate import tabulate

    board = dossier.board
    headings = ["Rank", "Row", "Labels", *(_heading(dossier, column) for column in board.columns), "Seeds"]
    body = [_line(dossier, row, board.columns) for row in board.rows]
    return tabulate(body, headings, tablefmt="pipe", stralign="left", disable_numparse=True)


def _heading(dossier: Dossier, column: Column) -> str:
    arrow = {True: " ↑", False: " ↓", None: ""}[column.higher_is_better]
    unit = ", pts" if column.key == "lift" else " %" if column.key in _PERCENT else ""
    floor = dossier.floors.get(column.key)
    tail = f"<br>(floor {number(column.key, floor)})" if floor is not None else ""
    return f"{column.label}{unit}{arrow}{tail}"


def _line(dossier: Dossier, row: Row, columns: Sequence[Column]) -> list[str]:
    rank = row.ranks.get(dossier.board.rank_by)
    name = escape(row.info.name)
    named = {"generator": f"**{name}**", "control": f"*{name}* (control)", "baseline": f"{name} images alone"}
    cells = [_cell(row, column) for column in columns]
    seeds = max((interval.n for interval in row.values.values()), default=0)
    lost = f", {len(row.info.failures)} failed" if row.info.failures else ""
    lost += f", {row.info.waiting} not run" if row.info.waiting else ""
    return [
        "" if rank is None else str(rank),
        named[row.info.role],
        row.info.labels or NOTHING,
        *cells,
        f"{seeds}{lost}",
    ]


def _cell(row: Row, column: Column) -> str:
    """``0.71 ± 0.05 (1)``: mean, half-width of the interval, rank in this column."""
    interval = row.values.get(column.key)
    if interval is None or (row.info.role == "control" and column.higher_is_better is None):
        return NOTHING
    text = with_spread(column.key, interval)
    rank = row.ranks.get(column.key)
    return f"{text} ({rank})" if rank is not None else text


def with_spread(key: str, interval: Interval) -> str:
    """``mean ± half-width``, rounded alike."""
    mean = number(key, interval.mean)
    if key in _NO_SPREAD or not math.isfinite(interval.half_width):
        return mean
    return f"{mean} ± {number(key, interval.half_width).removeprefix('+')}"


def number(key: str, value: float) -> str:
    """A number in the column's unit and precision."""
    scaled = 100 * value if key in _PERCENT else value
    if key in _FORMATS:
        return _FORMATS[key].format(scaled).replace("-0.00", "+0.00")
    if key in _PERCENT:
        return f"{scaled:.1f}"
    if scaled and abs(scaled) < 0.001:
        return f"{scaled:.1e}"
    return f"{scaled:.3f}" if abs(scaled) < 10 else f"{scaled:.1f}"


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the page."""
    return [Markdown]
