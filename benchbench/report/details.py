"""``details.json``: confusion matrices and training curves of all arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Dossier
from benchbench.leaderboard.dossier import ArmDetail
from benchbench.report._lines import json_lines
from benchbench.store.files import write_atomic
from benchbench.types import Report

DETAILS_SCHEMA = 1


class Details(Report):
    """What the classifiers of every arm got wrong, and how they learned."""

    name = "details"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``details.json``."""
        head = {
            "schema_version": DETAILS_SCHEMA,
            "benchmark": dossier.board.benchmark,
            "classes": list(dossier.classes),
        }
        path = folder / "details.json"
        write_atomic(path, json_lines(head, "arms", map(_item, dossier.details)))
        return [path]


def _item(detail: ArmDetail) -> dict[str, object]:
    """A detail with its losses to six digits: the file is for looking at, and may be committed."""
    curve = [[float(f"{number:.6g}") for number in point] for point in detail.curve]
    return {**asdict(detail), "curve": curve}


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the details."""
    return [Details]
