"""``leaderboard.md``: the boards for people, with figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Board, Dossier
from benchbench.leaderboard.trust import COPIED_SHARE
from benchbench.report._citation import citation
from benchbench.report._classes import ClassTables
from benchbench.report._numbers import escape, file_name
from benchbench.report._phrases import distrust
from benchbench.report._reproduction import reproduction_note, reproduction_tables
from benchbench.report._section import figures_folder, section
from benchbench.report._tables import noticed_table, settings_table
from benchbench.store.files import write_atomic
from benchbench.types import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What this report calls its figures, besides samples.
FIGURES = ("leaderboard", "lift", "learning_curve", "settings", "real")


class Markdown(Report):
    """The leaderboard as Markdown that renders on a code host, with PNG figures beside it."""

    name = "markdown"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``leaderboard.md`` and ``figures/``; figures of rows and settings that are gone are removed."""
        from benchbench.report._draw import save

        drawn = {name: save(figure, folder / name) for name, figure in _figures(dossier) if figure is not None}
        _tidy(folder / "figures", set(drawn.values()))
        write_atomic(folder / "leaderboard.md", render(dossier, set(drawn)).encode())
        return [*drawn.values(), folder / "leaderboard.md"]


def _figures(dossier: Dossier) -> Iterator[tuple[str, Figure | None]]:
    """Path below the report's folder and figure; None where there is nothing to show."""
    from benchbench.report._board_figure import leaderboard_figure
    from benchbench.report._curve_figure import curve_figure
    from benchbench.report._draw import grid_figure
    from benchbench.report._lift_figures import lift_figure, settings_figure

    yield "figures/real.png", grid_figure(dossier.real, dossier.classes)
    yield "figures/settings.png", settings_figure(dossier)
    for board in dossier.boards:
        where = figures_folder(dossier, board)
        yield f"{where}leaderboard.png", leaderboard_figure(dossier, board)
        yield f"{where}lift.png", lift_figure(dossier, board)
        yield f"{where}learning_curve.png", curve_figure(dossier, board)
        for name in _sampled(dossier, board):
            grid = dossier.grids[board.setting.name][name]
            yield f"{where}samples/{file_name(name)}.png", grid_figure(grid, dossier.classes)


def _sampled(dossier: Dossier, board: Board) -> list[str]:
    """Rows of which there are samples, in the board's order."""
    grids = dossier.grids.get(board.setting.name, {})
    return [row.info.name for row in board.rows if row.info.name in grids]


def _tidy(figures: Path, drawn: set[Path]) -> None:
    """Remove figures of an earlier report, and folders that this leaves empty; what it did not write stays."""
    patterns = [f"{place}{name}.png" for place in ("", "*/") for name in FIGURES]
    for pattern in (*patterns, "samples/*.png", "*/samples/*.png"):
        for path in set(figures.glob(pattern)) - drawn:
            path.unlink()
    for folder in sorted((path for path in figures.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def render(dossier: Dossier, figures: set[str]) -> str:
    """The page as text.

    Args:
        dossier: What it shows.
        figures: The figures that there are, as paths relative to the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("benchbench", "report/templates"),
        autoescape=False,  # noqa: S701  (Markdown, not HTML; names from data go through the filter below)
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["md"] = escape
    environment.filters["file"] = file_name
    sections = [section(dossier, board, figures) for board in dossier.boards]
    classes = ClassTables(dossier, dossier.board)
    page = environment.get_template("leaderboard.md.j2").render(
        board=dossier.board,
        dossier=dossier,
        citation=citation(dossier),
        manifest=dossier.manifest,
        protocol=dossier.manifest["benchmark"]["protocol"],
        sections=sections,
        figures=figures,
        distrust=distrust(dossier.boards),
        settings=settings_table(dossier, [one.anchor for one in sections]),
        class_lifts=classes.lifts(),
        class_metrics=classes.metrics(),
        class_dagger=classes.dagger,
        copied_share=COPIED_SHARE,
        outputs={column.output for board in dossier.boards for column in board.metrics},
        keys={column.key for board in dossier.boards for column in board.columns},
        failures=[failure for board in dossier.boards for row in board.rows for failure in row.info.failures],
        noticed=noticed_table(dossier),
        reproductions=reproduction_tables(dossier),
        reproduction_note=reproduction_note(dossier),
        sampled={one.figures: _sampled(dossier, one.board) for one in sections},
    )
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the page."""
    return [Markdown]
