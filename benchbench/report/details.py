"""``details.json``: confusion matrices and training curves of all arms, training curves and health of all fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Dossier
from benchbench.leaderboard.dossier import ArmDetail, FitDetail
from benchbench.report._lines import json_lines
from benchbench.store.files import write_atomic
from benchbench.types import Report

DETAILS_SCHEMA = 2


class Details(Report):
    """What the classifiers of every arm got wrong, and how they and the generators learned."""

    name = "details"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``details.json``."""
        head = {
            "schema_version": DETAILS_SCHEMA,
            "benchmark": dossier.board.benchmark,
            "classes": list(dossier.classes),
        }
        path = folder / "details.json"
        write_atomic(path, json_lines(head, arms=map(_arm, dossier.details), fits=map(_fit, dossier.fits)))
        return [path]


def _arm(detail: ArmDetail) -> dict[str, object]:
    curve = [[_short(number) for number in point] for point in detail.curve]
    return {**asdict(detail), "curve": curve}


def _fit(detail: FitDetail) -> dict[str, object]:
    curve = [{name: _short(number) for name, number in point.items()} for point in detail.curve]
    return {**asdict(detail), "curve": curve}


def _short(number: float) -> float | None:
    """Six digits: the file is for looking at, and may be committed; None for what JSON cannot say."""
    return float(f"{number:.6g}") if math.isfinite(number) else None


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the details."""
    return [Details]
