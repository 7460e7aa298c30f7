"""``index.html``: the whole report in one file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Dossier
from benchbench.store.files import write_atomic
from benchbench.types import Report


class Html(Report):
    """The report as one page for a browser: verdict, tables that sort, charts, samples, the whole manifest."""

    name = "html"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``index.html``."""
        path = folder / "index.html"
        write_atomic(path, render(dossier).encode())
        return [path]


def render(dossier: Dossier) -> str:
    """The page. The same dossier gives the same text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from benchbench.report import _inline, _page
    from benchbench.report._citation import citation
    from benchbench.report._phrases import distrust
    from benchbench.report._reproduction import reproduction_note, reproduction_tables
    from benchbench.report._tables import noticed_table, settings_table
    from benchbench.text import printable

    environment = Environment(
        loader=PackageLoader("benchbench", "report/templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["inline"] = _inline.inline
    environment.filters["printable"] = printable
    environment.filters["row_role"] = _page.role
    environment.filters["table"] = _inline.table
    views = [_page.view(dossier, board) for board in dossier.boards]
    return environment.get_template("index.html.j2").render(
        dossier=dossier,
        citation=citation(dossier),
        board=dossier.board,
        manifest=dossier.manifest,
        manifest_text=json.dumps(dossier.manifest, indent=2),
        views=views,
        role=_page.role,
        distrust=distrust(dossier.boards),
        settings=settings_table(dossier, [view.anchor for view in views]) if len(views) > 1 else "",
        settings_charts=_page.settings_charts(dossier),
        settings_lines=_page.settings_lines(dossier),
        noticed=noticed_table(dossier),
        reproductions=reproduction_tables(dossier),
        reproduction_note=reproduction_note(dossier),
        real=_page.grid(dossier.real, dossier.classes),
        failures=[failure for board in dossier.boards for row in board.rows for failure in row.info.failures],
    )


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the page."""
    return [Html]
